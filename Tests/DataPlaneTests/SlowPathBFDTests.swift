import DataPlane
import Testing
import Wire

/// BFD over the slow path: who is heard, what is sent where, and what a pool's shared address does. Frames are built and read
/// octet by octet.
@Suite struct SlowPathBFDTests {
  typealias Bench = SlowPathBench

  static let routerMAC = MACAddress(rawValue: 0x0200_0000_00FE)
  static let router4 = "192.0.2.254"
  static let router6 = "2001:db8:f::fe"
  static let routerLinkLocal = "fe80::fe"
  static let member = "192.0.2.11"

  /// Our address that a neighbour speaks to.
  static func own(for neighbour: String) -> String {
    neighbour.hasPrefix("fe80") ? "fe80::ff:fe00:a1" : neighbour.contains(":") ? "2001:db8:f::1" : "192.0.2.1"
  }

  /// What a frame to BFD's port says; nothing for any other frame.
  struct Said: Equatable {
    var source: String
    var destination: String
    var sourcePort: Int
    var hops: UInt8
    var trafficClass: UInt8
    var octets: [UInt8]
    var state: UInt8 { octets[1] >> 6 }
    var diagnostic: UInt8 { octets[0] & 0x1F }
    var isPoll: Bool { octets[1] & 0x20 != 0 }
    var isFinal: Bool { octets[1] & 0x10 != 0 }
    var mine: [UInt8] { Array(octets[4..<8]) }
    var yours: [UInt8] { Array(octets[8..<12]) }

    init?(_ event: Bench.Event) {
      guard case .transmit(let frame, _) = event, frame.count > 42 else { return nil }
      let ip = Array(frame.dropFirst(14))
      let start = ip[0] >> 4 == 4 ? 20 : 40
      guard ip[start == 20 ? 9 : 6] == 17, ip.word(at: start + 2) == 3784 else { return nil }
      source = Self.address(ip, start == 20 ? 12 : 8, start)
      destination = Self.address(ip, start == 20 ? 16 : 24, start)
      sourcePort = ip.word(at: start)
      hops = ip[start == 20 ? 8 : 7]
      trafficClass = start == 20 ? ip[1] : ip[0] << 4 | ip[1] >> 4
      octets = Array(ip.dropFirst(start + 8))
      let datagram = Array(ip.dropFirst(start))
      #expect(datagram.word(at: 4) == 32 && datagram.count == 32)
      #expect(Packet.transportChecksum(17, source, destination, datagram) == 0, "the UDP checksum")
      if start == 20 { #expect(Packet.checksum(Array(ip[0..<20])) == 0 && ip.word(at: 2) == ip.count) }
    }

    private static func address(_ ip: [UInt8], _ offset: Int, _ start: Int) -> String {
      func number(_ range: Range<Int>) -> UInt64 { ip[range].reduce(0) { $0 << 8 | UInt64($1) } }
      return start == 20
        ? "\(IPAddress(ipv4: UInt32(number(offset..<offset + 4))))"
        : "\(IPAddress(high: number(offset..<offset + 8), low: number(offset + 8..<offset + 16)))"
    }
  }

  static let ports = [
    Bench.port(0, ["10.8.0.1/24"]),
    Bench.port(
      1, isProtected: true, ["192.0.2.1/24", "2001:db8:f::1/64"],
      neighbours: [router4, router6, routerLinkLocal, member].map { .init(address: Bench.address($0), mac: routerMAC) }),
  ]

  static func neighbour(_ address: String, interval: UInt32 = 50_000, port: UInt16 = 1) -> BFDNeighbour {
    BFDNeighbour(
      key: NeighbourKey(port: port, address: Bench.address(address)), settings: .init(interval: interval, multiplier: 3)
    )
  }

  /// A slow path with sessions, and what it last said to each neighbour.
  struct Lab {
    var bench: Bench
    var last: [String: Said] = [:]

    init(_ neighbours: [BFDNeighbour], ports: [SlowPathPort] = SlowPathBFDTests.ports) {
      bench = Bench(ports: ports)
      configure(neighbours, ports: ports)
    }

    mutating func configure(_ neighbours: [BFDNeighbour], ports: [SlowPathPort] = SlowPathBFDTests.ports) {
      bench.path.configure(ports: ports, nextHops: [], bfd: neighbours, now: bench.now, output: &bench.output)
      _ = take()
    }

    mutating func take() -> [Said] {
      let said = bench.take().compactMap { Said($0) }
      for one in said { last[one.destination] = one }
      return said
    }

    /// Time in steps of a millisecond.
    mutating func wait(_ milliseconds: Int) -> [Said] {
      for _ in 0..<milliseconds {
        bench.now &+= 1_000_000
        if bench.now >= bench.path.bfdDue { bench.path.tick(now: bench.now, output: &bench.output) }
      }
      bench.path.tick(now: bench.now, output: &bench.output)
      return take()
    }

    /// What a neighbour says to our session with it; `yours` nil: our discriminator as last said.
    mutating func hear(
      _ state: UInt8, from source: String, yours: [UInt8]? = nil, flags: UInt8 = 0, diagnostic: UInt8 = 0
    ) -> PuntDisposition {
      let mine = yours ?? last[source]?.mine ?? [0, 0, 0, 0]
      let frame = SlowPathBFDTests.frame(
        SlowPathBFDTests.packet(state, yours: mine, flags: flags, diagnostic: diagnostic), from: source,
        to: SlowPathBFDTests.own(for: source))
      return bench.receive(frame, PuntInfo(punt: .bfd, port: 1, l3Offset: 14))
    }

    mutating func goUp(_ source: String) {
      _ = wait(1)
      _ = hear(1, from: source)
      _ = hear(3, from: source)
      _ = hear(3, from: source, flags: 0x10)
      _ = take()
    }

    func state(_ address: String) -> BFDPacket.State? { status(address)?.state }
    func status(_ address: String) -> BFDStatus? {
      bench.path.bfdStatus(now: bench.now).first { $0.key.address == Bench.address(address) }
    }
  }

  static func packet(
    _ state: UInt8, yours: [UInt8], flags: UInt8 = 0, diagnostic: UInt8 = 0, interval: [UInt8] = [0, 0, 0xC3, 0x50]
  ) -> [UInt8] {
    [0x20 | diagnostic, state << 6 | flags, 3, 24, 0x11, 0x22, 0x33, 0x44] + yours + interval + interval + [0, 0, 0, 0]
  }

  static func frame(
    _ packet: [UInt8], from source: String, to own: String, hops: UInt8 = 255, port: Int = 3784, mac: UInt64 = 0xA1
  ) -> [UInt8] {
    var datagram = Packet.udp(50001, port, packet)
    datagram.replaceSubrange(6..<8, with: Packet.word(Int(Packet.transportChecksum(17, source, own, datagram))))
    let ip =
      source.contains(":")
      ? Packet.ipv6(from: source, to: own, hops: hops, datagram)
      : Packet.ipv4(from: source, to: own, ttl: hops, datagram)
    return Packet.frame(to: MACAddress(rawValue: 0x0200_0000_0000 | mac), from: routerMAC, ip)
  }

  @Test(arguments: [router4, router6, routerLinkLocal]) func asRFC5881SaysIt(_ router: String) throws {
    var lab = Lab([Self.neighbour(router)])
    let said = try #require(lab.wait(1).first)
    #expect(said.destination == router && said.source == Self.own(for: router))
    #expect(said.hops == 255 && said.trafficClass == 0xC0 && (49152...65535).contains(said.sourcePort))
    #expect(said.mine != [0, 0, 0, 0])
    // Version 1, Down, multiplier 3, 24 octets; a second until it is up, 50 ms asked for, no echo.
    #expect(Array(said.octets[0..<4]) == [0x20, 0x40, 3, 24])
    #expect(Array(said.octets[8...]) == [0, 0, 0, 0, 0, 0x0F, 0x42, 0x40, 0, 0, 0xC3, 0x50, 0, 0, 0, 0])

    #expect(lab.hear(1, from: router, yours: [0, 0, 0, 0]) == .consumed)
    let opening = try #require(lab.take().first)
    #expect(opening.state == 2 && opening.mine == said.mine && opening.yours == [0x11, 0x22, 0x33, 0x44])
    #expect(opening.sourcePort == said.sourcePort)
    #expect(lab.hear(3, from: router) == .consumed)
    let up = try #require(lab.take().first)
    #expect(up.state == 3 && up.isPoll && Array(up.octets[12..<16]) == [0, 0, 0xC3, 0x50])
    // Its poll is answered, ours ends.
    #expect(lab.hear(3, from: router, flags: 0x20) == .consumed)
    let final = try #require(lab.take().first)
    #expect(final.isFinal && !final.isPoll)
    #expect(lab.hear(3, from: router, flags: 0x10) == .consumed)
    #expect(lab.wait(60).allSatisfy { !$0.isPoll && $0.state == 3 })
    let status = try #require(lab.status(router))
    #expect(status.state == .up && status.remoteState == .up && status.transmitInterval == 50_000_000)
    #expect(status.detectionTime == 150_000_000 && status.remoteDiscriminator == 0x1122_3344)
    #expect(status.received == 4 && status.flaps == 0)
    // Silence.
    let last = lab.wait(150)
    #expect(lab.state(router) == .down && last.last?.diagnostic == 1 && last.last?.yours == [0, 0, 0, 0])
    #expect(lab.status(router)?.flaps == 1 && lab.status(router)?.lastFailure == .timeExpired)
  }

  /// Whoever is not the neighbour, or is further than a hop away, or breaks a rule: counted, and without any effect.
  @Test func strangersAreRefused() {
    var lab = Lab([Self.neighbour(Self.router4), Self.neighbour(Self.router6)])
    lab.goUp(Self.router4)
    lab.goUp(Self.router6)
    let mine4 = lab.last[Self.router4]?.mine ?? []
    let down = Self.packet(1, yours: mine4)
    func receive(_ frame: [UInt8], port: UInt16 = 1) -> PuntDisposition {
      let disposition = lab.bench.receive(frame, PuntInfo(punt: .bfd, port: port, l3Offset: 14))
      #expect(lab.take() == [])
      #expect(lab.state(Self.router4) == .up && lab.state(Self.router6) == .up)
      return disposition
    }
    let good = Self.frame(down, from: Self.router4, to: "192.0.2.1")
    for (name, frame) in [
      ("another neighbour", Self.frame(down, from: "192.0.2.253", to: "192.0.2.1")),
      ("another of our addresses", Self.frame(down, from: Self.router4, to: "10.8.0.1")),
      ("a hop away", Self.frame(down, from: Self.router4, to: "192.0.2.1", hops: 254)),
      ("another port", Self.frame(down, from: Self.router4, to: "192.0.2.1", port: 3785)),
      (
        "another session's discriminator",
        Self.frame(Self.packet(1, yours: [1, 2, 3, 4]), from: Self.router4, to: "192.0.2.1")
      ),
      ("the other family's discriminator", Self.frame(down, from: Self.router6, to: "2001:db8:f::1")),
      (
        "no discriminator while up",
        Self.frame(Self.packet(3, yours: [0, 0, 0, 0]), from: Self.router4, to: "192.0.2.1")
      ),
      ("version 2", Self.frame([0x40] + down.dropFirst(), from: Self.router4, to: "192.0.2.1")),
      ("authentication", Self.frame(down.setting(0x44, at: 1), from: Self.router4, to: "192.0.2.1")),
      ("a wrong checksum", good.setting(good[41] ^ 1, at: 41)),
      ("a wrong header checksum", good.setting(good[25] ^ 1, at: 25)),
      (
        "no checksum over IPv6",
        Self.frame(down, from: Self.router6, to: "2001:db8:f::1").setting(0, at: 60).setting(0, at: 61)
      ),
    ] {
      #expect(receive(frame) == .dropped(.bfd), "\(name)")
    }
    #expect(receive(Self.frame(down, from: Self.router4, to: "192.0.2.1", mac: 0xA0)) == .dropped(.notForUs))
    #expect(
      receive(Packet.frame(to: lab.bench.path.mac(of: 1), from: Self.routerMAC, vlans: [7], Array(good.dropFirst(14))))
        == .dropped(.vlan))
    #expect(receive(good, port: 0) == .dropped(.notForUs))
    #expect(receive(good, port: 9) == .dropped(.malformedFrame))
    for count in 0..<good.count { #expect(receive(Array(good.prefix(count))) != .consumed, "\(count) octets") }
    // And the real one is heard.
    #expect(lab.bench.receive(good, PuntInfo(punt: .bfd, port: 1, l3Offset: 14)) == .consumed)
    #expect(lab.state(Self.router4) == .down)
  }

  /// Nothing may be made to talk faster than 200 packets a second by whoever forges a neighbour's packets.
  @Test func aFloodOfPollsIsAnsweredInMeasure() {
    var lab = Lab([Self.neighbour(Self.router4)])
    lab.goUp(Self.router4)
    var answers = 0
    for _ in 0..<1000 {
      for _ in 0..<100 { _ = lab.hear(3, from: Self.router4, flags: 0x20) }
      answers += lab.wait(1).count { $0.isFinal }
    }
    #expect((200...221).contains(answers), "\(answers)")
    #expect(lab.state(Self.router4) == .up)
  }

  @Test func aReloadDisturbsNoSession() throws {
    var lab = Lab([Self.neighbour(Self.router4), Self.neighbour(Self.router6)])
    lab.goUp(Self.router4)
    lab.goUp(Self.router6)
    let before = try #require(lab.last[Self.router4])
    lab.bench.path.configure(
      ports: Self.ports, nextHops: [],
      bfd: [Self.neighbour(Self.router4, interval: 100_000), Self.neighbour(Self.member)],
      now: lab.bench.now, output: &lab.bench.output)
    let said = lab.take()
    // The one that goes is told so, administratively; the one that stays is not.
    #expect(said.map(\.destination) == [Self.router6] && said[0].state == 0 && said[0].diagnostic == 7)
    let next = lab.wait(60)
    let stayed = try #require(next.first { $0.destination == Self.router4 })
    #expect(stayed.state == 3 && stayed.mine == before.mine && stayed.isPoll && stayed.octets[15] == 0xA0)
    let new = try #require(next.first { $0.destination == Self.member })
    #expect(new.state == 1 && new.mine != before.mine && new.sourcePort != before.sourcePort)
    #expect(lab.status(Self.router4)?.flaps == 0 && lab.state(Self.router6) == nil)
    #expect(lab.hear(3, from: Self.router6) == .dropped(.bfd))
  }

  /// Until ARP has answered nothing can be sent; then it is, at once.
  @Test func aSessionWaitsForItsNeighboursAddress() {
    let ports = [Bench.port(1, isProtected: true, ["192.0.2.1/24"])]
    var lab = Lab([Self.neighbour(Self.router4)], ports: ports)
    #expect(lab.wait(500) == [])
    let answer = Packet.frame(
      to: ports[0].mac, from: Self.routerMAC, type: 0x0806,
      [0, 1, 8, 0, 6, 4, 0, 2] + Packet.octets(of: Self.routerMAC) + [192, 0, 2, 254] + Packet.octets(of: ports[0].mac)
        + [192, 0, 2, 1])
    #expect(lab.bench.receive(answer, PuntInfo(punt: .neighbour, port: 1)) == .consumed)
    #expect(lab.wait(11).count == 1)
  }

  @Test func heldDownSessionsSayWhy() {
    var lab = Lab([Self.neighbour(Self.router4), Self.neighbour(Self.router6)])
    lab.goUp(Self.router4)
    lab.goUp(Self.router6)
    lab.bench.path.holdBFD(.concatenatedPathDown, now: lab.bench.now, output: &lab.bench.output)
    let said = lab.take()
    #expect(Set(said.map(\.destination)) == [Self.router4, Self.router6])
    #expect(said.allSatisfy { $0.state == 0 && $0.diagnostic == 6 })
    #expect(lab.hear(1, from: Self.router4, flags: 0x20) == .consumed && lab.take() == [])
    // A session that is added meanwhile is held too.
    lab.configure([Self.neighbour(Self.router4), Self.neighbour(Self.member)])
    #expect(lab.wait(1).filter { $0.destination == Self.member }.map(\.state) == [0])
    lab.bench.path.holdBFD(nil, now: lab.bench.now, output: &lab.bench.output)
    #expect(lab.take().allSatisfy { $0.state == 1 && $0.diagnostic == 0 })
    lab.goUp(Self.router4)
    #expect(lab.state(Self.router4) == .up)
  }
}

extension SlowPath {
  /// As `SlowPathBench.port` gives it.
  func mac(of port: UInt16) -> MACAddress { MACAddress(rawValue: 0x0200_0000_00A0 | UInt64(port)) }
}

/// An address that members share: one of them answers for it.
@Suite struct SharedAddressTests {
  typealias Bench = SlowPathBench
  typealias Lab = SlowPathBFDTests.Lab
  static let shared4 = "192.0.2.100"
  static let shared6 = "2001:db8:f::100"

  static func ports(after: [String]) -> [SlowPathPort] {
    let before = after.map { NeighbourKey(port: 1, address: Bench.address($0)) }
    let base = SlowPathBFDTests.ports[1]
    return [
      SlowPathPort(
        index: 1, mac: base.mac, mtu: 1500, isProtected: true,
        addresses: ["192.0.2.1/24", "2001:db8:f::1/64"].compactMap { IPPrefix($0) }, neighbours: base.neighbours,
        shared: [shared4, shared6].map { .init(address: Bench.address($0), after: before) })
    ]
  }

  /// A host asks for the address: whether it is answered.
  static func isAnswered(_ lab: inout Lab) -> Bool {
    _ = lab.bench.take()
    let host = MACAddress(rawValue: 0x0200_0000_0077)
    let request = Packet.frame(
      to: .broadcast, from: host, type: 0x0806,
      [0, 1, 8, 0, 6, 4, 0, 1] + Packet.octets(of: host) + [192, 0, 2, 77, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100])
    _ = lab.bench.receive(request, PuntInfo(punt: .neighbour, port: 1))
    return lab.bench.take().contains {
      guard case .transmit(let frame, 1) = $0 else { return false }
      return frame.word(at: 12) == 0x0806 && frame.word(at: 20) == 2 && Array(frame[28..<32]) == [192, 0, 2, 100]
    }
  }

  /// Gratuitous ARP and unsolicited advertisements about the shared addresses.
  static func announced(_ events: [Bench.Event]) -> Set<String> {
    var found: Set<String> = []
    for case .transmit(let frame, _) in events {
      if frame.word(at: 12) == 0x0806, Array(frame[28..<32]) == [192, 0, 2, 100],
        Array(frame[38..<42]) == [192, 0, 2, 100], frame[0..<6].allSatisfy({ $0 == 0xFF })
      {
        found.insert(shared4)
      }
      if frame.word(at: 12) == 0x86DD, frame.count >= 78, frame[54] == 136,
        Array(frame[62..<78]) == Packet.octets(shared6), frame[58] & 0x20 != 0, frame[38] == 0xFF
      {
        found.insert(shared6)
      }
    }
    return found
  }

  @Test func whoComesFirstAnswersAtOnce() {
    var bench = Bench(ports: Self.ports(after: []), isQuiet: false)
    #expect(Self.announced(bench.take()) == [Self.shared4, Self.shared6])
    var lab = Lab([], ports: Self.ports(after: []))
    #expect(Self.isAnswered(&lab))
    #expect(lab.bench.path.sharedStatus.map(\.isActive) == [true, true])
    // While it says that it cannot forward, it does not; then it announces itself again.
    lab.bench.path.holdBFD(.concatenatedPathDown, now: lab.bench.now, output: &lab.bench.output)
    #expect(!Self.isAnswered(&lab))
    lab.bench.path.holdBFD(nil, now: lab.bench.now, output: &lab.bench.output)
    lab.bench.path.tick(now: lab.bench.now, output: &lab.bench.output)
    #expect(Self.announced(lab.bench.take()) == [Self.shared4, Self.shared6])
    #expect(Self.isAnswered(&lab))
  }

  @Test func theNextOneTakesOverWhenTheFirstIsGone() {
    let member = SlowPathBFDTests.member
    var lab = Lab([SlowPathBFDTests.neighbour(member)], ports: Self.ports(after: [member]))
    #expect(!Self.isAnswered(&lab), "the first may only not have been heard yet")
    lab.goUp(member)
    for _ in 0..<70 {
      _ = lab.hear(3, from: member)
      _ = lab.wait(100)
    }
    #expect(lab.state(member) == .up && !Self.isAnswered(&lab))
    // It falls silent.
    for _ in 0..<160 {
      lab.bench.now &+= 1_000_000
      if lab.bench.now >= lab.bench.path.bfdDue { lab.bench.path.tick(now: lab.bench.now, output: &lab.bench.output) }
    }
    #expect(Self.announced(lab.bench.take()) == [Self.shared4, Self.shared6])
    #expect(Self.isAnswered(&lab))
    // It comes back.
    lab.goUp(member)
    #expect(!Self.isAnswered(&lab))
    // It says that it is going to stop: no time is lost.
    _ = lab.hear(0, from: member, diagnostic: 7)
    #expect(Self.announced(lab.bench.take()) == [Self.shared4, Self.shared6])
    #expect(Self.isAnswered(&lab))
    // Another member in the middle of a reload: who answers stays.
    lab.configure([SlowPathBFDTests.neighbour(member)], ports: Self.ports(after: [member]))
    #expect(Self.isAnswered(&lab))
  }

  @Test func nobodyElseIsThere() {
    let member = SlowPathBFDTests.member
    var lab = Lab([SlowPathBFDTests.neighbour(member)], ports: Self.ports(after: [member]))
    _ = lab.wait(2000)
    #expect(!Self.isAnswered(&lab))
    _ = lab.wait(3100)
    #expect(Self.isAnswered(&lab))
    // After a link's return it waits again.
    lab.bench.path.linkUp(port: 1, now: lab.bench.now, output: &lab.bench.output)
    #expect(!Self.isAnswered(&lab))
    _ = lab.wait(5100)
    #expect(Self.isAnswered(&lab))
  }

  /// A member that comes up may have announced the address: who answers for it says so again.
  @Test func whoAnswersRepeatsItWhenAnotherComesUp() {
    let member = SlowPathBFDTests.member
    var lab = Lab([SlowPathBFDTests.neighbour(member)], ports: Self.ports(after: []))
    _ = lab.wait(3000)
    _ = lab.bench.take()
    _ = lab.hear(1, from: member)
    _ = lab.bench.take()
    _ = lab.hear(3, from: member)
    #expect(Self.announced(lab.bench.take()) == [Self.shared4, Self.shared6])
  }

  /// While another answers, its claim is no conflict; ours would be one.
  @Test func anothersClaimIsNoConflictWhileItComesFirst() {
    let member = SlowPathBFDTests.member
    let other = MACAddress(rawValue: 0x0200_0000_000B)
    let claim = Packet.frame(
      to: .broadcast, from: other, type: 0x0806,
      [0, 1, 8, 0, 6, 4, 0, 1] + Packet.octets(of: other) + [192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100])
    var second = Lab([SlowPathBFDTests.neighbour(member)], ports: Self.ports(after: [member]))
    _ = second.bench.receive(claim, PuntInfo(punt: .neighbour, port: 1))
    #expect(second.bench.path.counters.addressConflicts == 0)
    var first = Lab([], ports: Self.ports(after: []))
    _ = first.bench.receive(claim, PuntInfo(punt: .neighbour, port: 1))
    #expect(first.bench.path.counters.addressConflicts == 1)
  }
}
