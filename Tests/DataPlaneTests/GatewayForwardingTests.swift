import DataPlane
import Testing
import Wire

extension RingTests {
  /// What a router owes its neighbours: hops, sizes, marks, checksums, and silence where nothing may pass.
  @Suite struct Forwarding {
    private static let payload = Packet.udp(1000, 2000, Packet.pattern(100))
    private static func v4(ttl: UInt8 = 64, tos: UInt8 = 0, to: String = "10.2.0.2", from: String = "10.1.0.2")
      -> [UInt8]
    {
      Packet.ipv4(from: from, to: to, tos: tos, ttl: ttl, payload)
    }
    private static func v6(
      hops: UInt8 = 64, tos: UInt8 = 0, to: String = "2001:db8:2::2", from: String = "2001:db8:1::2"
    ) -> [UInt8] {
      Packet.ipv6(from: from, to: to, trafficClass: tos, hops: hops, payload)
    }

    // MARK: Hops

    @Test func lastHopIsReported() throws {
      let couple = try Couple()
      for packet in [Self.v4(ttl: 1), Self.v4(ttl: 0), Self.v6(hops: 1), Self.v6(hops: 0)] {
        let drops = couple.one.drops { couple.one.fromHost(packet) }
        #expect(drops == ["hop-limit": 1])
        let answers = couple.one.takenClear()
        #expect(couple.one.taken().isEmpty && answers.count == 1)
        let answer = Array(try #require(answers.first).dropFirst(14))
        if packet[0] >> 4 == 4 {
          #expect(answer[9] == 1 && answer[20] == 11 && answer[21] == 0)
          #expect(Array(answer[12..<20]) == Packet.octets("10.1.0.1") + Packet.octets("10.1.0.2"))
          #expect(Packet.checksum(Array(answer.prefix(20))) == 0 && Packet.checksum(Array(answer.dropFirst(20))) == 0)
          #expect(Array(answer[28..<56]) == Array(packet.prefix(28)))
        } else {
          #expect(answer[6] == 58 && answer[40] == 3 && answer[41] == 0)
          #expect(Array(answer[8..<40]) == Packet.octets("2001:db8:1::1") + Packet.octets("2001:db8:1::2"))
          #expect(Packet.transportChecksum(58, "2001:db8:1::1", "2001:db8:1::2", Array(answer.dropFirst(40))) == 0)
        }
      }
      couple.finish()
    }

    /// The far gateway's Time Exceeded comes back through the tunnel.
    @Test func lastHopBehindTheTunnel() throws {
      let couple = try Couple()
      for packet in [Self.v4(ttl: 2), Self.v6(hops: 2)] {
        #expect(couple.carry(packet: packet).inner.isEmpty)
        let back = couple.two.taken()
        #expect(back.count == 1 && couple.two.drops["hop-limit"] != nil)
        for frame in back {
          couple.one.put(Couple.readdressed(frame, to: couple.one.fabric.mac), on: couple.one.fabric)
        }
        let answers = couple.one.takenClear()
        #expect(answers.count == 1)
        let answer = Array(try #require(answers.first).dropFirst(14))
        if packet[0] >> 4 == 4 {
          #expect(answer[20] == 11 && Array(answer[12..<20]) == Packet.octets("10.2.0.1") + Packet.octets("10.1.0.2"))
        } else {
          #expect(answer[40] == 3 && Array(answer[8..<24]) == Packet.octets("2001:db8:2::1"))
        }
      }
      couple.finish()
    }

    // MARK: Sizes

    /// IPv4 20, UDP 8, security header 8 + 2 options of 20 + 8, ICV 16.
    private static let overhead = 28 + 56 + 16

    @Test func announcedMTUIsExact() throws {
      let couple = try Couple { $0.ports[1].mtu = 1500 }
      let most = 1500 - Self.overhead
      for isIPv4 in [true, false] {
        func packet(_ length: Int) -> [UInt8] {
          isIPv4
            ? Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1, 2, Packet.pattern(length - 28)))
            : Packet.ipv6(from: "2001:db8:1::2", to: "2001:db8:2::2", Packet.udp(1, 2, Packet.pattern(length - 48)))
        }
        let drops = couple.one.drops { couple.one.fromHost(packet(most + 1)) }
        #expect(drops == ["too-big": 1])
        let answer = Array(try #require(couple.one.takenClear().first).dropFirst(14))
        if isIPv4 {
          #expect(answer[20] == 3 && answer[21] == 4 && answer.word(at: 26) == most)
        } else {
          #expect(answer[40] == 2 && answer[41] == 0 && answer.word(at: 44) == 0 && answer.word(at: 46) == most)
        }
        let outer = RoundTrips.expectCarried(packet(most), couple)
        #expect(outer.first?.count == 14 + 1500)
      }
      couple.finish()
    }

    /// Those who do not react are told no oftener than the rate allows.
    @Test func errorsAreRateLimited() throws {
      let station = try Station(1) { $0.icmpRate = 10 }
      for _ in 0..<100 { station.fromHost(Self.v4(ttl: 1)) }
      // A burst of half the rate, and what a moment earns.
      let answers = station.takenClear().count
      #expect((5...50).contains(answers))
      #expect(station.drops["hop-limit"] == 100)
      station.finish()
    }

    @Test(arguments: [true, false]) func segmentSizes(_ isClamped: Bool) throws {
      let couple = try Couple {
        $0.ports[1].mtu = 1500
        $0.mssClamp = isClamped
      }
      for (offered, isIPv4) in [
        (1460, true), (1361, true), (1360, true), (536, true), (1440, false), (1341, false), (1340, false),
      ] {
        let (from, to) = isIPv4 ? ("10.1.0.2", "10.2.0.2") : ("2001:db8:1::2", "2001:db8:2::2")
        let segment = Packet.syn(from: from, to: to, mss: offered)
        let packet =
          isIPv4
          ? Packet.ipv4(from: from, to: to, protocol: 6, segment) : Packet.ipv6(from: from, to: to, next: 6, segment)
        let frame = try #require(couple.carry(packet: packet).inner.first)
        let got = Array(frame.dropFirst(14 + (isIPv4 ? 20 : 40)))
        let most = 1500 - Self.overhead - (isIPv4 ? 40 : 60)
        #expect(got.word(at: 22) == (isClamped ? min(offered, most) : offered))
        #expect(Packet.transportChecksum(6, from, to, got) == 0)
      }
      couple.finish()
    }

    // MARK: Marks

    /// RFC 6040, figures 3 and 4: rows inner Not-ECT, ECT(1), ECT(0), CE; columns outer the same; -1 is a drop.
    private static let leaving = [[0, 0, 0, -1], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]]

    @Test(arguments: [4, 6]) func congestion(_ outerFamily: Int) throws {
      let couple = try Couple { RoundTrips.edit(&$0, RoundTrips.Shape(outer: outerFamily)) }
      for isIPv4 in [true, false] {
        for inner in 0...3 {
          for outer in 0...3 {
            let tos = UInt8(inner | 10 << 2)
            couple.one.fromHost(isIPv4 ? Self.v4(tos: tos) : Self.v6(tos: tos))
            var frame = try #require(couple.one.take())
            // On the way in: a copy, the code point too.
            #expect(Self.trafficClass(Array(frame.dropFirst(14))) == tos)
            frame = Self.marked(frame, UInt8(outer | 63 << 2))
            let drops = couple.two.drops {
              couple.two.put(Couple.readdressed(frame, to: couple.two.fabric.mac), on: couple.two.fabric)
            }
            let wanted = Self.leaving[inner][outer]
            #expect(drops == (wanted < 0 ? ["congestion": 1] : [:]))
            let got = couple.two.takeClear().map { Self.trafficClass(Array($0.dropFirst(14))) }
            // Never inward: the outer code point 63 stays outside.
            #expect(got == (wanted < 0 ? nil : UInt8(wanted | 10 << 2)), "inner \(inner), outer \(outer)")
          }
        }
      }
      couple.finish()
    }

    @Test func fixedCodePoint() throws {
      let station = try Station(1) { plan in
        plan.routes = plan.routes.map { route in
          guard case .seal(var sealing) = route.action else { return route }
          sealing.dscp = .fixed(46)
          return .init(prefix: route.prefix, action: .seal(sealing))
        }
      }
      for tos in [UInt8(0), 3, 0x29] {
        station.fromHost(Self.v4(tos: tos))
        let frame = try #require(station.take())
        #expect(Self.trafficClass(Array(frame.dropFirst(14))) == 46 << 2 | tos & 3)
      }
      station.finish()
    }

    private static func trafficClass(_ packet: [UInt8]) -> UInt8 {
      packet[0] >> 4 == 4 ? packet[1] : packet[0] << 4 | packet[1] >> 4
    }

    private static func marked(_ frame: [UInt8], _ value: UInt8) -> [UInt8] {
      var frame = frame
      if frame[14] >> 4 == 4 {
        frame[15] = value
        frame.replaceSubrange(24..<26, with: [0, 0])
        frame.replaceSubrange(24..<26, with: Packet.word(Int(Packet.checksum(Array(frame[14..<34])))))
      } else {
        frame[14] = 0x60 | value >> 4
        frame[15] = value << 4 | frame[15] & 0xF
      }
      return frame
    }

    // MARK: Flows

    /// A station whose routes lead to four peers, 192.0.2.2 to 192.0.2.5.
    private static func fourPeers(_ spread: GatewayPlan.Spread) throws -> Station {
      try Station(1) { plan in
        for number in 3...5 {
          plan.peers.append(
            .init(
              name: "p\(number)", address: Station.address("192.0.2.\(number)"), source: Station.address("192.0.2.1"),
              port: 1,
              nextHop: Station.address("192.0.2.\(number)")))
        }
        plan.routes = plan.routes.map { route in
          guard case .seal(var sealing) = route.action else { return route }
          sealing.peers = [0, 2, 3, 4]
          sealing.spread = spread
          return .init(prefix: route.prefix, action: .seal(sealing))
        }
      }
    }

    /// One flow, packet by packet: every peer gets a quarter at any length of time, and ports do not follow from peers.
    @Test func packetsOfAFlowSpread() throws {
      let station = try Self.fourPeers(.packet)
      var ports: [UInt8: Set<Int>] = [:]
      var peers: [UInt8: Int] = [:]
      for number in 1...800 {
        station.fromHost(Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(5000, 53, [1])))
        let frame = try #require(station.taken().first)
        let header = Array(frame[14..<42])
        #expect(Packet.checksum(Array(header.prefix(20))) == 0)
        ports[header[19], default: []].insert(header.word(at: 20))
        peers[header[19], default: 0] += 1
        #expect(peers.values.allSatisfy { abs($0 - number / 4) <= 3 }, "\(peers) of \(number)")
      }
      #expect(peers.keys.sorted() == [2, 3, 4, 5])
      for (peer, ports) in ports {
        #expect(ports.allSatisfy { (49152...65535).contains($0) } && ports.count > 190, "\(peer)")
        // All over the range: in each eighth of it, 2048 ports wide, 25 are expected.
        let eighths = Dictionary(grouping: ports) { ($0 - 49152) / 2048 }
        #expect(eighths.count == 8 && eighths.values.allSatisfy { (15...35).contains($0.count) }, "\(peer)")
      }
      station.finish()
    }

    @Test func portsAndPeersFollowFlows() throws {
      let station = try Self.fourPeers(.flow)
      var ports: Set<Int> = []
      var peers: [UInt8: Int] = [:]
      for flow in 0..<800 {
        let packet = Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(flow, 53, [1]))
        station.fromHost(packet)
        station.fromHost(packet)
        let frames = station.taken()
        try #require(frames.count == 2)
        let header = frames.map { Array($0[14..<42]) }
        for outer in header {
          #expect(Packet.checksum(Array(outer.prefix(20))) == 0)
          #expect(outer[8] == 64 && outer[9] == 17 && outer.word(at: 22) == 4500 && outer.word(at: 26) == 0)
          #expect(outer.word(at: 24) == frames[0].count - 14 - 20 && outer.word(at: 2) == frames[0].count - 14)
          #expect(outer.word(at: 6) == 0x4000, "the inner packet has DF")
        }
        #expect(header[0].word(at: 20) == header[1].word(at: 20) && header[0][19] == header[1][19])
        ports.insert(header[0].word(at: 20))
        peers[header[0][19], default: 0] += 1
      }
      #expect(ports.allSatisfy { (49152...65535).contains($0) } && ports.count > 700)
      // 200 each, and six standard deviations of 12.
      #expect(peers.keys.sorted() == [2, 3, 4, 5] && peers.values.allSatisfy { (126...274).contains($0) }, "\(peers)")
      station.finish()
    }

    /// Whatever key the start gave: one weak key in a thousand would be one unhappy data centre in a thousand.
    @Test func everyKeySpreads() {
      var random = RepeatableGenerator(seed: 7)
      let (source, destination) = (Station.address("10.1.0.2"), Station.address("10.2.0.2"))
      for _ in 0..<1000 {
        let key = FlowKey(random.next(), random.next(), random.next(), random.next())
        var ports: Set<UInt16> = []
        var peers = [0, 0, 0, 0]
        for flow in UInt64(0)..<800 {
          let hash = key.hash(source: source, destination: destination, rest: (flow << 16 | 53) << 8 | 17)
          ports.insert(FlowChoice.sourcePort(hash))
          peers[FlowChoice.index(hash, below: 4)] += 1
        }
        #expect(ports.count > 700 && peers.allSatisfy { (126...274).contains($0) })
      }
    }

    // MARK: Frames

    @Test func framesThatAreNotTaken() throws {
      let station = try Station(1)
      let mac = station.clear.mac
      let good = Self.v4()
      let broken = good.setting(good[10] ^ 1, at: 10)
      let cases: [(String, [UInt8])] = [
        ("not-for-us", Packet.frame(to: MACAddress(rawValue: 0x0200_1111_1111), from: Station.host, good)),
        ("checksum", Packet.frame(to: mac, from: Station.host, broken)),
        ("ether-type", Packet.frame(to: mac, from: Station.host, type: 0x88CC, good)),
        ("vlan", Packet.frame(to: mac, from: Station.host, vlans: [5], good)),
        ("vlan", Packet.frame(to: mac, from: Station.host, vlans: [0, 0], good)),
        ("malformed-frame", Array(Packet.frame(to: mac, from: Station.host, good).prefix(13))),
        ("malformed-frame", Array(Packet.frame(to: mac, from: Station.host, good).prefix(33))),
        ("malformed-frame", Array(Packet.frame(to: mac, from: Station.host, good).dropLast())),
        ("malformed-frame", Packet.frame(to: mac, from: Station.host, Self.v6(from: "::ffff:10.1.0.2"))),
        ("no-route", Packet.frame(to: mac, from: Station.host, Self.v4(to: "10.77.0.1"))),
        ("no-route", Packet.frame(to: mac, from: Station.host, Self.v6(to: "2001:db8:77::1"))),
        // From one clear network to itself nothing is routed.
        ("no-route", Packet.frame(to: mac, from: Station.host, Self.v4(to: "10.1.0.3"))),
        ("own-address", Packet.frame(to: mac, from: Station.host, Self.v4(to: "10.1.0.1"))),
        ("own-address", Packet.frame(to: mac, from: Station.host, Self.v4(to: "192.0.2.1"))),
      ]
      for (reason, frame) in cases {
        let drops = station.drops { station.put(frame, on: station.clear) }
        #expect(drops == [reason: 1], "\(frame)")
      }
      #expect(station.taken().isEmpty && station.takenClear().isEmpty)
      // VLAN 0 is a priority only.
      station.put(Packet.frame(to: mac, from: Station.host, vlans: [0], good), on: station.clear)
      #expect(station.taken().count == 1)
      station.finish()
    }

    /// Even where a default route would seal them.
    @Test func whatNoRouterPasses() throws {
      let station = try Station(1) { plan in
        guard case .seal(let sealing)? = plan.routes.first?.action else { return }
        plan.routes += Station.prefixes("0.0.0.0/0", "::/0").map { .init(prefix: $0, action: .seal(sealing)) }
      }
      let to = [
        "224.0.0.5", "239.1.2.3", "255.255.255.255", "169.254.1.1", "127.0.0.1", "0.0.0.0", "ff02::5", "ff0e::1",
        "fe80::99", "::1", "::",
      ]
      for destination in to {
        let packet = destination.contains(":") ? Self.v6(to: destination) : Self.v4(to: destination)
        #expect(station.drops { station.fromHost(packet) } == ["no-route": 1], "\(destination)")
      }
      for source in [
        "169.254.1.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "fe80::99", "::", "ff02::1", "::1",
      ] {
        let packet =
          source.contains(":") ? Self.v6(to: "2001:db8:9::1", from: source) : Self.v4(to: "10.9.0.1", from: source)
        #expect(station.drops { station.fromHost(packet) } == ["no-route": 1], "\(source)")
      }
      // What a link gave to many is for no router (RFC 1812, section 5.3.4), whatever address it bears.
      for mac in [MACAddress(rawValue: 0xFFFF_FFFF_FFFF), MACAddress(rawValue: 0x0100_5E00_0001)] {
        let frame = Packet.frame(to: mac, from: Station.host, Self.v4())
        #expect(station.drops { station.put(frame, on: station.clear) } == ["no-route": 1])
      }
      #expect(station.taken().isEmpty && station.takenClear().isEmpty)
      // The default routes themselves work.
      station.fromHost(Self.v4(to: "203.0.113.1"))
      station.fromHost(Self.v6(to: "3fff::1"))
      #expect(station.taken().count == 2)
      station.finish()
    }

    @Test func taggedPorts() throws {
      let couple = try Couple {
        $0.ports[0].vlan = 100
        $0.ports[1].vlan = 200
      }
      let one = couple.one
      for (reason, tags) in [("vlan", []), ("vlan", [101]), ("vlan", [100, 100]), ("vlan", [0])] as [(String, [Int])] {
        let frame = Packet.frame(to: one.clear.mac, from: Station.host, vlans: tags, Self.v4())
        #expect(one.drops { one.put(frame, on: one.clear) } == [reason: 1])
      }
      // The priority in the tag does not matter.
      let (outer, inner) = couple.carry(Packet.frame(to: one.clear.mac, from: Station.host, vlans: [0xE064], Self.v4()))
      #expect(outer.count == 1 && Array(outer.first?[12..<18] ?? []) == [0x81, 0, 0, 200, 8, 0])
      #expect(inner.count == 1 && Array(inner.first?[12..<18] ?? []) == [0x81, 0, 0, 100, 8, 0])
      let bare = Packet.frame(to: couple.two.fabric.mac, from: Station.router, Array(outer.first?.dropFirst(18) ?? []))
      #expect(couple.two.drops { couple.two.put(bare, on: couple.two.fabric) } == ["vlan": 1])
      couple.finish()
    }

    // MARK: Own addresses

    @Test func pingsAreAnswered() throws {
      let couple = try Couple()
      let one = couple.one
      one.fromHost(Packet.ipv4(from: "10.1.0.2", to: "10.1.0.1", protocol: 1, Packet.echo(Packet.pattern(56))))
      one.fromHost(
        Packet.ipv6(
          from: "2001:db8:1::2", to: "2001:db8:1::1", next: 58,
          Packet.echo6(from: "2001:db8:1::2", to: "2001:db8:1::1", [1, 2])))
      let answers = one.takenClear()
      #expect(answers.map { $0[14] >> 4 == 4 ? $0[34] : $0[54] } == [0, 129] && one.drops["handled"] == 2)
      // From the fabric, in clear, to the protected port's address.
      one.fromFabric(Packet.ipv4(from: "192.0.2.9", to: "192.0.2.1", protocol: 1, Packet.echo([7])))
      #expect(one.taken().map { $0[34] } == [0])
      couple.finish()
    }

    @Test func pingsThroughTheTunnel() throws {
      let couple = try Couple()
      let pings = [
        Packet.ipv4(from: "10.1.0.2", to: "10.2.0.1", protocol: 1, Packet.echo(Packet.pattern(56))),
        Packet.ipv6(
          from: "2001:db8:1::2", to: "2001:db8:2::1", next: 58,
          Packet.echo6(from: "2001:db8:1::2", to: "2001:db8:2::1", [1, 2])),
      ]
      for ping in pings {
        #expect(couple.carry(packet: ping).inner.isEmpty)
        for frame in couple.two.taken() {
          couple.one.put(Couple.readdressed(frame, to: couple.one.fabric.mac), on: couple.one.fabric)
        }
        let answer = try #require(couple.one.takenClear().first)
        #expect(answer[14] >> 4 == 4 ? answer[34] == 0 : answer[54] == 129)
      }
      // Nothing else is offered there.
      for packet in [Self.v4(to: "10.2.0.1"), Self.v6(to: "2001:db8:2::1")] {
        let drops = couple.two.drops { #expect(couple.carry(packet: packet).inner.isEmpty) }
        #expect(drops == ["own-address": 1])
      }
      couple.finish()
    }

    // MARK: The protected side, in clear

    @Test func clearTrafficOnTheProtectedSide() throws {
      let station = try Station(1) { plan in
        let via = Station.address("192.0.2.254")
        plan.ports[1].neighbours.append(.init(address: via, mac: Station.router))
        plan.routes += Station.prefixes("198.51.100.0/24").map { .init(prefix: $0, action: .bypass(port: 1, via: via)) }
      }
      let cases: [(String, [UInt8])] = [
        ("unprotected", Self.v4(to: "192.0.2.1", from: "192.0.2.9")),
        ("unprotected", Self.v4(to: "10.1.0.2", from: "192.0.2.9")),
        ("unprotected", Self.v4(to: "10.1.0.2", from: "10.2.0.2")),
        ("unprotected", Self.v6(to: "2001:db8:1::2", from: "2001:db8:2::2")),
        ("not-for-us", Self.v4(to: "192.0.2.7", from: "192.0.2.9")),
        ("not-for-us", Self.v4(to: "10.2.0.2", from: "10.1.0.2")),
        ("not-for-us", Self.v6(to: "2001:db8:f::7", from: "2001:db8:f::9")),
        // Nobody reaches an IPv4 address with an IPv6 header.
        ("not-for-us", Self.v6(to: "::ffff:192.0.2.1", from: "2001:db8:f::9")),
        (
          "outer-icmp",
          Packet.ipv4(from: "192.0.2.9", to: "192.0.2.1", protocol: 1, [3, 4, 0, 0, 0, 0, 5, 0] + Self.v4())
        ),
        (
          "outer-icmp",
          Packet.ipv6(from: "2001:db8:f::9", to: "2001:db8:f::1", next: 58, [2, 0, 0, 0, 0, 0, 5, 0] + Self.v6())
        ),
        ("unprotected", Packet.ipv4(from: "192.0.2.9", to: "192.0.2.1", protocol: 1, Packet.echo([], type: 0))),
        ("checksum", Self.v4(to: "192.0.2.1").setting(9, at: 1)),
        ("malformed-frame", Packet.ipv4(from: "192.0.2.9", to: "192.0.2.1", [0x11, 0x94])),
      ]
      for (reason, packet) in cases {
        #expect(station.drops { station.fromFabric(packet) } == [reason: 1], "\(packet)")
      }
      #expect(station.taken().isEmpty && station.takenClear().isEmpty)

      // Both directions of the bypass, and only what it covers.
      station.fromHost(Self.v4(to: "198.51.100.7"))
      let out = try #require(station.take())
      #expect(Array(out.dropFirst(14)) == RoundTrips.hopped(Self.v4(to: "198.51.100.7"), by: 1))
      #expect(Array(out.prefix(6)) == Packet.octets(of: Station.router))
      station.fromFabric(Self.v4(to: "10.1.0.2", from: "198.51.100.7"))
      let back = try #require(station.takeClear())
      #expect(Array(back.dropFirst(14)) == RoundTrips.hopped(Self.v4(to: "10.1.0.2", from: "198.51.100.7"), by: 1))
      #expect(station.drops { station.fromFabric(Self.v4(to: "10.1.0.2", from: "198.51.101.7")) } == ["unprotected": 1])
      #expect(
        station.drops { station.fromFabric(Self.v4(ttl: 1, to: "10.1.0.2", from: "198.51.100.7")) } == ["hop-limit": 1])
      station.finish()
    }

    // MARK: Neighbours

    @Test func unknownNeighbourIsAskedAndPacketsWait() throws {
      let station = try Station(1) { $0.ports[1].neighbours = [] }
      station.fromHost(Self.v4())
      station.fromHost(Self.v4())
      #expect(!station.taken().contains { $0.word(at: 12) == 0x0800 })
      let reply: [UInt8] =
        [0, 1, 8, 0, 6, 4, 0, 2] + Packet.octets(of: Station.router) + Packet.octets("192.0.2.2")
        + Packet.octets(of: station.fabric.mac) + Packet.octets("192.0.2.1")
      station.put(Packet.frame(to: station.fabric.mac, from: Station.router, type: 0x0806, reply), on: station.fabric)
      let frames = station.taken()
      #expect(
        frames.count == 2
          && frames.allSatisfy { Array($0.prefix(6)) == Packet.octets(of: Station.router) && $0.word(at: 12) == 0x0800 }
      )
      station.fromHost(Self.v4())
      #expect(station.taken().count == 1)
      // Who waits for nobody: given up at the end, and counted.
      station.fromHost(Self.v6(to: "2001:db8:2::9"))
      station.finish()
    }

    @Test func nobodyHasABroadcastAddress() throws {
      let couple = try Couple()
      #expect(couple.carry(packet: Self.v4(to: "10.2.0.255")).inner.isEmpty)
      #expect(couple.two.drops == ["neighbour-unresolved": 1])
      couple.finish()
    }

    /// A host behind the far gateway that nobody has asked for yet.
    @Test func unknownHostIsAskedFor() throws {
      let couple = try Couple()
      let asked = couple.carry(packet: Self.v4(to: "10.2.0.77")).inner
      #expect(asked.count == 1 && asked[0].word(at: 12) == 0x0806 && asked[0].word(at: 20) == 1)
      #expect(
        Array(asked[0][38..<42]) == Packet.octets("10.2.0.77") && Array(asked[0][28..<32]) == Packet.octets("10.2.0.1"))
      // Given up at the end.
      couple.finish()
      #expect(couple.two.drops == ["stopping": 1])
    }
  }
}
