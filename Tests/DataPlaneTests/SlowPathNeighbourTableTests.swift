import DataPlane
import Testing
import Wire

/// The state machine alone: evidence and time in, actions out.
@Suite struct SlowPathNeighbourTableTests {
  static let second: UInt64 = 1_000_000_000

  static func key(_ low: UInt32, port: UInt16 = 0) -> NeighbourKey {
    NeighbourKey(port: port, address: IPAddress(ipv4: 0x0A01_0000 &+ low))
  }
  static func mac(_ low: UInt64) -> MACAddress { MACAddress(rawValue: 0x0200_0000_0000 | low) }
  static func packet(_ number: UInt) -> HeldPacket { HeldPacket(rawValue: number) }

  /// A table, its clock, and what it wanted since it was last looked at.
  struct Bench {
    var table: NeighbourTable
    var now: UInt64 = 1_000 * second
    var actions: [NeighbourAction] = []

    init(_ change: (inout NeighbourLimits) -> Void = { _ in }) {
      var limits = NeighbourLimits()
      change(&limits)
      table = NeighbourTable(limits: limits)
    }

    mutating func configure(
      permanent: [NeighbourKey: MACAddress] = [:], pinned: Set<NeighbourKey> = [],
      isOnLink: (NeighbourKey) -> Bool = { _ in true }
    ) -> [NeighbourAction] {
      table.configure(
        permanent: permanent, pinned: pinned, limits: table.limits, now: now, &actions, isOnLink: isOnLink)
      return take()
    }

    mutating func demand(_ low: UInt32, _ number: UInt) -> NeighbourTable.Demand {
      table.demand(key(low), packet(number), now: now, &actions)
    }
    mutating func hear(_ low: UInt32, _ mac: MACAddress) -> [NeighbourAction] {
      table.hear(key(low), mac, now: now, &actions)
      return take()
    }
    mutating func tell(
      _ low: UInt32, _ mac: MACAddress?, solicited: Bool, overrides: Bool = true
    ) -> [NeighbourAction] {
      table.tell(key(low), mac, solicited: solicited, overrides: overrides, now: now, &actions)
      return take()
    }
    /// Lets time pass in steps of a tenth of a second.
    mutating func wait(_ seconds: Double) -> [NeighbourAction] {
      let end = now &+ UInt64(seconds * Double(second))
      while now < end {
        now = min(end, now &+ second / 10)
        table.walk(now: now, &actions)
      }
      return take()
    }
    mutating func take() -> [NeighbourAction] {
      defer { actions = [] }
      return actions
    }
    func state(_ low: UInt32) -> NeighbourState? {
      table.entries(now: now).first { $0.key == key(low) }?.state
    }
  }

  @Test func askedThreeTimesThenPacketsAreGivenUp() {
    var bench = Bench()
    #expect(bench.demand(5, 1) == .held)
    #expect(bench.demand(5, 2) == .held)
    #expect(bench.take() == [.solicit(Self.key(5), nil)], "one request, however many packets wait")
    #expect(bench.wait(0.9) == [])
    #expect(bench.wait(0.1) == [.solicit(Self.key(5), nil)])
    #expect(bench.wait(1) == [.solicit(Self.key(5), nil)])
    #expect(bench.wait(1) == [.drop(Self.packet(1)), .drop(Self.packet(2))])
    #expect(bench.state(5) == .failed)
    #expect(bench.demand(5, 3) == .refused, "not asked again at once")
    #expect(bench.take() == [])
    #expect(bench.wait(3) == [])
    #expect(bench.table.count == 0)
    #expect(bench.demand(5, 4) == .held)
    #expect(bench.take() == [.solicit(Self.key(5), nil)])
  }

  @Test func anAnswerReleasesInOrderAndPublishesFirst() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.demand(5, 2)
    _ = bench.take()
    let mac = Self.mac(5)
    #expect(
      bench.tell(5, mac, solicited: true)
        == [.publish(Self.key(5), mac), .release(Self.packet(1), mac), .release(Self.packet(2), mac)])
    #expect(bench.state(5) == .reachable)
    #expect(bench.demand(5, 3) == .resolved(mac))
  }

  @Test func anUnsolicitedAnswerToAPendingOneIsStale() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.tell(5, Self.mac(5), solicited: false)
    #expect(bench.state(5) == .stale)
  }

  @Test func anAdvertisementWithoutAnAddressResolvesNothing() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.take()
    #expect(bench.tell(5, nil, solicited: true) == [])
    #expect(bench.state(5) == .incomplete)
  }

  @Test func nothingUnknownIsLearnedFromWhatNobodyAskedFor() {
    var bench = Bench()
    #expect(bench.tell(5, Self.mac(5), solicited: false) == [])
    #expect(bench.tell(5, Self.mac(5), solicited: true) == [])
    #expect(bench.table.count == 0)
  }

  @Test func aRequestForOurAddressTeachesAStaleNeighbour() {
    var bench = Bench()
    #expect(bench.hear(5, Self.mac(5)) == [.publish(Self.key(5), Self.mac(5))])
    #expect(bench.state(5) == .stale)
    #expect(bench.hear(5, Self.mac(5)) == [])
    #expect(bench.hear(5, Self.mac(6)) == [.publish(Self.key(5), Self.mac(6))])
  }

  @Test func unsolicitedNewsMovesAKnownNeighbour() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.tell(5, Self.mac(5), solicited: false) == [])
    #expect(bench.state(5) == .reachable)
    #expect(bench.tell(5, Self.mac(6), solicited: false) == [.publish(Self.key(5), Self.mac(6))])
    #expect(bench.state(5) == .stale)
  }

  /// RFC 4861, section 7.2.5: without the override flag a different address only casts doubt.
  @Test func withoutOverrideADifferentAddressOnlyCastsDoubt() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.tell(5, Self.mac(6), solicited: true, overrides: false) == [])
    #expect(bench.table.mac(of: Self.key(5)) == Self.mac(5))
    #expect(bench.state(5) == .stale)
  }

  @Test func aNeighbourAgesIsProbedByUnicastAndForgotten() {
    var bench = Bench()
    _ = bench.demand(5, 1)
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.wait(29.9) == [])
    #expect(bench.state(5) == .reachable)
    #expect(bench.wait(0.2) == [])
    #expect(bench.state(5) == .stale)
    #expect(bench.wait(269.7) == [])
    #expect(bench.wait(0.3) == [.solicit(Self.key(5), Self.mac(5))])
    #expect(bench.state(5) == .probing)
    #expect(bench.wait(2) == [.solicit(Self.key(5), Self.mac(5)), .solicit(Self.key(5), Self.mac(5))])
    #expect(bench.wait(1.1) == [.publish(Self.key(5), nil)])
    #expect(bench.table.count == 0)
    #expect(bench.table.lost == 1)
  }

  @Test func anAnsweredProbeConfirms() {
    var bench = Bench()
    _ = bench.hear(5, Self.mac(5))
    #expect(bench.wait(300) == [.solicit(Self.key(5), Self.mac(5))])
    #expect(bench.tell(5, Self.mac(5), solicited: true) == [])
    #expect(bench.state(5) == .reachable)
  }

  @Test func aNextHopIsAskedForAtOnceAndForEver() {
    var bench = Bench()
    #expect(bench.configure(pinned: [Self.key(5)]) == [.solicit(Self.key(5), nil)])
    // Three requests a second apart, three seconds of silence, over and over.
    let asked = bench.wait(60).filter { $0 == .solicit(Self.key(5), nil) }.count
    #expect(asked == 30)
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.state(5) == .reachable)
    // Kept fresh: a unicast probe when its time is up.
    #expect(bench.wait(30) == [.solicit(Self.key(5), Self.mac(5))])
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.wait(29.9) == [])
    // It disappears: three probes, then its address is withdrawn and it is asked for again.
    let gone = bench.wait(3.2)
    #expect(
      gone == [
        .solicit(Self.key(5), Self.mac(5)), .solicit(Self.key(5), Self.mac(5)), .solicit(Self.key(5), Self.mac(5)),
        .publish(Self.key(5), nil), .solicit(Self.key(5), nil),
      ])
    // It comes back by itself and is believed, then verified.
    #expect(
      bench.tell(5, Self.mac(6), solicited: false) == [.publish(Self.key(5), Self.mac(6))])
    #expect(bench.wait(0.2) == [.solicit(Self.key(5), Self.mac(6))])
  }

  @Test func aStaticNeighbourNeverChanges() {
    var bench = Bench()
    #expect(
      bench.configure(permanent: [Self.key(5): Self.mac(5)], pinned: [Self.key(5)])
        == [.publish(Self.key(5), Self.mac(5))])
    #expect(bench.hear(5, Self.mac(6)) == [])
    #expect(bench.tell(5, Self.mac(6), solicited: true) == [])
    #expect(bench.tell(5, Self.mac(6), solicited: false) == [])
    #expect(bench.wait(1000) == [])
    #expect(bench.demand(5, 1) == .resolved(Self.mac(5)))
  }

  @Test func packetsAreBoundedPerNeighbourAndInAll() {
    var bench = Bench { $0.heldInAll = 40 }
    for number in 0..<16 { #expect(bench.demand(5, UInt(number)) == .held) }
    _ = bench.take()
    #expect(bench.demand(5, 16) == .held)
    #expect(bench.take() == [.drop(Self.packet(0))], "the newest are kept")
    for number in 0..<16 { #expect(bench.demand(6, UInt(100 + number)) == .held) }
    for number in 0..<8 { #expect(bench.demand(7, UInt(200 + number)) == .held) }
    #expect(bench.demand(7, 208) == .refused)
    #expect(bench.demand(8, 300) == .refused)
    _ = bench.take()
    // What is given up makes room again.
    #expect(bench.wait(3).filter { if case .drop = $0 { true } else { false } }.count == 40)
    #expect(bench.demand(9, 400) == .held)
  }

  @Test func aScanCannotKeepANeighbourFromBeingAsked() {
    var bench = Bench()
    for low in 0..<256 { #expect(bench.demand(1000 &+ UInt32(low), UInt(low)) == .held) }
    #expect(bench.demand(5, 1000) == .refused, "256 in the first second")
    _ = bench.wait(1)
    // All had a second to answer; the oldest makes room, and its packet is given back.
    #expect(bench.demand(5, 1001) == .held)
    #expect(bench.take().contains(.solicit(Self.key(5), nil)))
    #expect(bench.table.entries(now: bench.now).count == 256)
    _ = bench.tell(5, Self.mac(5), solicited: true)
    #expect(bench.state(5) == .reachable)
  }

  @Test func aScanDoesNotTouchNextHops() {
    var bench = Bench { $0.pendingCapacity = 4 }
    _ = bench.configure(pinned: [Self.key(1), Self.key(2)])
    for step in 0..<200 {
      _ = bench.demand(1000 &+ UInt32(step), UInt(step))
      _ = bench.wait(0.2)
      #expect(bench.table.count <= 6)
    }
    #expect(bench.tell(1, Self.mac(1), solicited: true).contains(.publish(Self.key(1), Self.mac(1))))
    #expect(bench.tell(2, Self.mac(2), solicited: true).contains(.publish(Self.key(2), Self.mac(2))))
  }

  /// Spoofed requests from every address of a /16: half of the table at most, and nobody is pushed out.
  @Test func aFloodOfRequestsEvictsNobody() {
    var bench = Bench()
    _ = bench.configure(pinned: [Self.key(0xFFFE)])
    _ = bench.tell(0xFFFE, Self.mac(9), solicited: true)
    for low in 1...100 {
      _ = bench.demand(UInt32(low), UInt(low))
      _ = bench.tell(UInt32(low), Self.mac(UInt64(low)), solicited: true)
    }
    var withdrawn = 0
    for low in 200..<60_000 {
      for action in bench.hear(UInt32(low), Self.mac(0xBAD)) {
        if case .publish(_, nil) = action { withdrawn += 1 }
      }
    }
    #expect(withdrawn == 0)
    #expect(bench.table.count == 101 + 2048)
    #expect(bench.table.refused == 59_800 - 2048)
    for low in 1...100 { #expect(bench.table.mac(of: Self.key(UInt32(low))) == Self.mac(UInt64(low))) }
    // And there is room for who is asked for.
    #expect(bench.demand(150, 1) == .held)
    #expect(bench.tell(150, Self.mac(150), solicited: true).contains(.release(Self.packet(1), Self.mac(150))))
  }

  @Test func aFullTableTakesAnAnswerInForTheOldestStaleOnly() {
    var bench = Bench {
      $0.capacity = 4
      $0.heardCapacity = 2
    }
    for low in 1...4 {
      _ = bench.demand(UInt32(low), UInt(low))
      _ = bench.tell(UInt32(low), Self.mac(UInt64(low)), solicited: true)
      bench.now &+= 1
    }
    _ = bench.demand(5, 5)
    _ = bench.take()
    #expect(bench.tell(5, Self.mac(5), solicited: true) == [.drop(Self.packet(5))], "all four are reachable")
    _ = bench.wait(31)
    _ = bench.demand(5, 6)
    _ = bench.take()
    #expect(
      bench.tell(5, Self.mac(5), solicited: true)
        == [.publish(Self.key(1), nil), .publish(Self.key(5), Self.mac(5)), .release(Self.packet(6), Self.mac(5))])
  }

  @Test func probesOfAFullTableTakeTurns() {
    var bench = Bench()
    for low in 1...2048 { _ = bench.hear(UInt32(low), Self.mac(UInt64(low))) }
    bench.now &+= 300 * Self.second
    bench.table.walk(now: bench.now, &bench.actions)
    #expect(bench.take().count == 64)
    var probes = 64
    for _ in 0..<300 { probes += bench.wait(0.1).filter { if case .solicit = $0 { true } else { false } }.count }
    #expect(probes == 3 * 2048)
    _ = bench.wait(10)
    #expect(bench.table.count == 0)
  }

  @Test func aReloadKeepsWhatIsStillOnLink() {
    var bench = Bench()
    _ = bench.configure(permanent: [Self.key(1): Self.mac(1), Self.key(2): Self.mac(2)], pinned: [Self.key(3)])
    _ = bench.tell(3, Self.mac(3), solicited: true)
    _ = bench.hear(4, Self.mac(4))
    _ = bench.demand(5, 5)
    _ = bench.demand(6, 6)
    _ = bench.hear(7, Self.mac(7))
    _ = bench.take()
    let gone: Set = [Self.key(4), Self.key(5)]
    #expect(
      bench.configure(
        permanent: [Self.key(1): Self.mac(1), Self.key(6): Self.mac(6)], pinned: [Self.key(7), Self.key(8)],
        isOnLink: { !gone.contains($0) })
        == [
          .publish(Self.key(2), nil), .publish(Self.key(4), nil), .drop(Self.packet(5)),
          .publish(Self.key(6), Self.mac(6)), .release(Self.packet(6), Self.mac(6)), .solicit(Self.key(8), nil),
        ])
    #expect(bench.table.mac(of: Self.key(3)) == Self.mac(3))
    #expect(bench.wait(0.1) == [.solicit(Self.key(7), Self.mac(7))], "newly a next hop: verified")
    #expect(bench.configure(permanent: [Self.key(1): Self.mac(1), Self.key(6): Self.mac(6)]) == [])
  }

  @Test func aLinkThatCameBackIsVerified() {
    var bench = Bench()
    _ = bench.configure(permanent: [Self.key(1): Self.mac(1)], pinned: [Self.key(3)])
    _ = bench.tell(3, Self.mac(3), solicited: true)
    bench.table.suspect(port: 0, now: bench.now, &bench.actions)
    #expect(bench.wait(0.1) == [.solicit(Self.key(3), Self.mac(3))])
  }

  /// Anything in any order: the bounds hold, and every packet comes back exactly once.
  @Test func randomEvidenceStaysInBounds() {
    var random = SystemRandomNumberGenerator()
    var bench = Bench {
      $0.capacity = 32
      $0.heardCapacity = 16
      $0.pendingCapacity = 8
      $0.heldPerNeighbour = 4
      $0.heldInAll = 20
    }
    _ = bench.configure(permanent: [Self.key(1): Self.mac(1)], pinned: [Self.key(2), Self.key(3)])
    var held: Set<HeldPacket> = []
    var published: [NeighbourKey: MACAddress] = [Self.key(1): Self.mac(1)]
    for step in 0..<20_000 {
      let low = UInt32.random(in: 0..<80, using: &random)
      switch UInt8.random(in: 0..<6, using: &random) {
      case 0, 1:
        if bench.demand(low, UInt(step)) == .held { #expect(held.insert(Self.packet(UInt(step))).inserted) }
      case 2: bench.table.hear(Self.key(low), Self.mac(UInt64(step)), now: bench.now, &bench.actions)
      case 3, 4:
        bench.table.tell(
          Self.key(low), Bool.random(using: &random) ? Self.mac(UInt64(step)) : nil,
          solicited: Bool.random(using: &random), overrides: Bool.random(using: &random), now: bench.now,
          &bench.actions)
      default:
        bench.now &+= UInt64.random(in: 0..<20 * Self.second, using: &random)
        bench.table.walk(now: bench.now, &bench.actions)
      }
      for action in bench.take() {
        switch action {
        case .drop(let packet), .release(let packet, _): #expect(held.remove(packet) != nil)
        case .publish(let key, let mac): published[key] = mac
        case .solicit: break
        }
      }
      #expect(held.count <= 20)
    }
    let entries = bench.table.entries(now: bench.now)
    #expect(entries.count <= 32 + 8 + 3)
    let known = entries.compactMap { entry in entry.mac.map { (entry.key, $0) } }
    #expect(published == Dictionary(uniqueKeysWithValues: known), "lcores know what the table knows")
    for case .drop(let packet) in bench.wait(20) { #expect(held.remove(packet) != nil) }
    #expect(held.isEmpty, "nothing waits for ever")
  }
}
