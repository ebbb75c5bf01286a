import DataPlane
import Testing
import Wire

/// Start, reload, links, limits and bad input.
@Suite struct SlowPathTests {
  typealias Frames = SlowPathFrames
  typealias Bench = SlowPathBench

  static let announcements: [Bench.Event] = [
    .transmit(Frames.arpOwnAnnouncement, port: 0), .transmit(Frames.ownAnnouncement, port: 0),
    .transmit(Frames.ownAnnouncementLinkLocal, port: 0), .transmit(Frames.ownFabricAnnouncement4, port: 1),
    .transmit(Frames.ownFabricAnnouncement6, port: 1), .transmit(Frames.ownFabricAnnouncementLinkLocal, port: 1),
  ]

  @Test func addressesAreAnnouncedTwiceAtStart() {
    var bench = Bench(isQuiet: false)
    #expect(bench.take() == Self.announcements)
    #expect(bench.wait(1.9) == [])
    #expect(bench.wait(0.1) == Self.announcements)
    #expect(bench.wait(100) == [])
    #expect(bench.path.counters.announcementsSent == 12)
  }

  @Test func aLinkThatComesUpIsAnnouncedAndItsNeighboursAreAsked() {
    var bench = Bench()
    _ = bench.neighbour(Frames.arpRequest)
    _ = bench.take()
    bench.now &+= Bench.second
    bench.path.linkUp(port: 0, now: bench.now, output: &bench.output)
    #expect(bench.take() == [.transmit(Frames.arpOwnProbe, port: 0)] + Self.announcements.prefix(3))
    bench.path.linkUp(port: 9, now: bench.now, output: &bench.output)
    #expect(bench.take() == [])
  }

  @Test func aReloadKeepsNeighboursOnLinkAndAnnouncesWhatIsNew() {
    var bench = Bench()
    _ = bench.neighbour(Frames.arpRequest)
    _ = bench.neighbour(Frames.solicitation)
    _ = bench.take()
    // The IPv6 network goes, port 1 stays as it was, port 2 goes.
    bench.path.configure(
      ports: [Bench.port(0, ["10.1.0.1/24"]), Bench.ports[1]], nextHops: [], now: bench.now, output: &bench.output)
    #expect(bench.take() == [.publish(0, Bench.host6, nil), .transmit(Frames.arpOwnAnnouncement, port: 0)])
    #expect(bench.mac(of: Bench.host4) == Bench.hostMAC)
    // Another VLAN is another link.
    bench.path.configure(
      ports: [Bench.port(0, vlan: 7, ["10.1.0.1/24"])], nextHops: [], now: bench.now, output: &bench.output)
    #expect(bench.take().first == .publish(0, Bench.host4, nil))
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func aReloadGivesBackWhatWaitsForAPortThatIsGone() {
    var bench = Bench()
    _ = bench.unresolved(Bench.address("192.0.2.5"), 7, port: 1)
    _ = bench.take()
    bench.path.configure(ports: [Bench.ports[0]], nextHops: [], now: bench.now, output: &bench.output)
    #expect(bench.take() == [.drop(HeldPacket(rawValue: 7), .neighbourUnresolved)])
    #expect(bench.unresolved(Bench.address("192.0.2.5"), 8, port: 1) == .dropped(.neighbourUnresolved))
  }

  @Test func stoppingGivesEveryPacketBack() {
    var bench = Bench()
    for number in 1...3 { _ = bench.unresolved(Bench.host4, UInt(number)) }
    _ = bench.take()
    bench.path.stop(output: &bench.output)
    #expect(bench.take() == (1...3).map { .drop(HeldPacket(rawValue: $0), .stopping) })
    #expect(bench.wait(10).allSatisfy { if case .drop = $0 { false } else { true } })
  }

  @Test(arguments: ["10.9.0.5", "10.1.0.1", "10.1.0.0", "10.1.0.255", "224.0.0.1", "2001:db8:9::5", "ff02::1", "::"])
  func whatNoNeighbourCanHaveIsNotAskedFor(_ address: String) {
    var bench = Bench()
    #expect(bench.unresolved(Bench.address(address), 1) == .dropped(.neighbourUnresolved))
    #expect(bench.take() == [])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func aPacketThatMayNotBeKeptIsRefused() {
    var bench = Bench()
    #expect(bench.unresolved(Bench.host4, nil) == .dropped(.neighbourUnresolved))
    #expect(bench.take() == [])
  }

  @Test func aReloadChangesTheRate() {
    var bench = Bench()
    var limits = SlowPathLimits()
    limits.errorRate = 0
    bench.path.configure(ports: Bench.ports, nextHops: [], limits: limits, now: bench.now, output: &bench.output)
    _ = bench.receive(Frames.expired, PuntInfo(punt: .hopLimit, port: 0, l3Offset: 14))
    #expect(bench.take() == [])
  }

  @Test func aTokenBucketKeepsItsRate() {
    var bucket = TokenBucket(rate: 100, burst: 5)
    func passed(_ bucket: inout TokenBucket, at now: UInt64) -> Int {
      (0..<1000).filter { _ in bucket.take(now: now) }.count
    }
    #expect(passed(&bucket, at: 0) == 5)
    #expect(passed(&bucket, at: 9_999_999) == 0)
    #expect(passed(&bucket, at: 10_000_000) == 1)
    #expect(passed(&bucket, at: 5_000_000) == 0, "a clock that goes back earns nothing")
    #expect(passed(&bucket, at: .max) == 5)
    var sum = 0
    var steady = TokenBucket(rate: 100, burst: 5)
    for step in 0..<10_000 where steady.take(now: UInt64(step) * 1_000_000) { sum += 1 }
    #expect(sum == 1004, "ten seconds at 100/s and the burst")
    var closed = TokenBucket(rate: 0, burst: 5)
    #expect(passed(&closed, at: .max) == 0)
    var extreme = TokenBucket(rate: 1, burst: .max)
    #expect(passed(&extreme, at: .max) == 1000)
  }

  /// Spoofed ARP and solicitations from a whole prefix: bounded, and who was there before stays.
  @Test func aFloodChangesNothingForWhoIsThere() {
    var bench = Bench(nextHops: [NeighbourKey(port: 0, address: Bench.host4)])
    _ = bench.neighbour(Frames.arpAnswer)
    _ = bench.take()
    var frame = Frames.solicitation
    var withdrawn = 0
    for number in 0..<20_000 {
      // The source address's last octets; the checksum takes the opposite.
      frame[34] = UInt8(number >> 8)
      frame[35] = UInt8(number & 0xFF)
      var sum = UInt32(frame[56]) << 8 | UInt32(frame[57])
      let old = number == 0 ? 0 : UInt32(number - 1)
      sum = sum + old + (0xFFFF - UInt32(number))
      sum = (sum & 0xFFFF) + sum >> 16
      sum = (sum & 0xFFFF) + sum >> 16
      frame[56] = UInt8(sum >> 8 & 0xFF)
      frame[57] = UInt8(sum & 0xFF)
      _ = bench.neighbour(frame)
      for case .publish(_, _, nil) in bench.take() { withdrawn += 1 }
    }
    #expect(bench.path.counters.neighbourFramesInvalid == 0)
    #expect(bench.path.entries(now: bench.now).count == 1 + 2048)
    #expect(withdrawn == 0)
    #expect(bench.state(of: Bench.host4) == .reachable)
    #expect(bench.path.counters.neighboursRefused > 17_000)
  }

  /// Noise, damage and truncation of everything we know, to every port and for every reason: nothing traps, nothing
  /// grows, every packet comes back exactly once, and what is sent fits its port.
  @Test func anyFrameIsSurvived() {
    var limits = SlowPathLimits()
    limits.neighbours.heldInAll = 64
    var bench = Bench()
    bench.path.configure(
      ports: Bench.ports, nextHops: [NeighbourKey(port: 0, address: Bench.host4)],
      bfd: [SlowPathBFDTests.neighbour("10.1.0.9", port: 0)], limits: limits, now: bench.now, output: &bench.output)
    let watched = SlowPathBFDTests.frame(
      SlowPathBFDTests.packet(1, yours: [0, 0, 0, 0]), from: "10.1.0.9", to: "10.1.0.1", mac: 0xA0)
    let frames = Frames.all + [watched]
    var random = SystemRandomNumberGenerator()
    var held: Set<HeldPacket> = []
    func settle(_ events: [Bench.Event]) {
      for event in events {
        switch event {
        case .release(let packet, _), .drop(let packet, _): #expect(held.remove(packet) != nil)
        case .transmit(let frame, _): #expect(frame.count <= 1500 + 22 && frame[0] & 1 == 0 || frame.count <= 90)
        case .route, .publish: break
        }
      }
    }
    for step in 0..<100_000 {
      var frame: [UInt8]
      if step % 4 == 0 {
        frame = (0..<Int.random(in: 0...120, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      } else {
        frame = frames[Int.random(in: 0..<frames.count, using: &random)]
        for _ in 0..<Int.random(in: 0...3, using: &random) where !frame.isEmpty {
          frame[Int.random(in: 0..<frame.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if step % 8 == 1 { frame.removeLast(Int.random(in: 0...frame.count, using: &random)) }
      }
      let punts = Punt.allCases
      let offsets: [UInt16] = [0, 14, 18, UInt16.random(in: 0...(.max), using: &random)]
      let info = PuntInfo(
        punt: punts[Int.random(in: 0..<punts.count, using: &random)], port: UInt16.random(in: 0...3, using: &random),
        mtu: UInt16.random(in: 0...(.max), using: &random),
        nextHop: IPAddress(ipv4: 0x0A01_0000 | UInt32.random(in: 0...255, using: &random)),
        fromProtected: Bool.random(using: &random), isProxied: Bool.random(using: &random),
        l3Offset: offsets[Int.random(in: 0..<4, using: &random)])
      let packet = HeldPacket(rawValue: UInt(step))
      held.insert(packet)
      if bench.receive(frame, info, held: UInt(step)) != .held { held.remove(packet) }
      settle(bench.take())
      if step % 100 == 0 { settle(bench.wait(0.1)) }
      #expect(held.count <= 64)
    }
    settle(bench.wait(10))
    #expect(held.isEmpty)
    #expect(bench.path.entries(now: bench.now).count <= 4096 + 256 + 2)
  }
}
