import DataPlane
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// What known flows and frames must not outlive, and what they must not mix up.
  @Suite struct KnownChanges {
    private static let outward = Packet.ipv4(
      from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1000, 2000, Packet.pattern(100)))
    private static let host = MACAddress(rawValue: 0x0200_0000_0A0A)

    // MARK: Changes in between

    private static func edited(_ plan: GatewayPlan, _ edit: (inout GatewayPlan) -> Void) -> GatewayPlan {
      var plan = plan
      edit(&plan)
      return plan
    }

    private static func editSealing(_ plan: inout GatewayPlan, _ edit: (inout GatewayPlan.Sealing) -> Void) {
      plan.routes = plan.routes.map { route in
        guard case .seal(var sealing) = route.action else { return route }
        edit(&sealing)
        return .init(prefix: route.prefix, action: .seal(sealing))
      }
    }

    private static func rotated(_ index: UInt64) -> TrustGroup {
      Keyring.group("train", isDefault: true, seed: 1, index: index)
    }

    @Test func reloadsWhileSealing() throws {
      let station = try Station(1)
      let mac = MACAddress(rawValue: 0x0200_0000_0F0F)
      /// What the next packet looks like: next hop, outer version, generation, V, DSCP; or its drop.
      func look() -> [String] {
        var frames: [[UInt8]] = []
        let drops = station.drops {
          station.fromHost(Self.outward)
          // Nor what asks for a neighbour.
          frames = station.taken().filter { $0[$0[14] >> 4 == 4 ? 23 : 20] == 17 }
        }
        return drops.keys.sorted()
          + frames.map { frame in
            let start = 14 + (frame[14] >> 4 == 4 ? 28 : 48)
            let isIPv4 = frame[14] >> 4 == 4
            return "\(frame[5]) v\(frame[14] >> 4) g\(frame[start + 10]) V\(frame[start + 1] >> 4) "
              + "\(isIPv4 ? frame[15] : 0)"
          }
      }
      let usual = "15 v4 g7 V0 0"
      let changes: [(String, [String], [TrustGroup], (inout GatewayPlan) -> Void)] = [
        (
          "next hop", ["\(mac.rawValue & 0xFF) v4 g7 V0 0"], [Keyring.train],
          { plan in
            for index in plan.ports[1].neighbours.indices { plan.ports[1].neighbours[index].mac = mac }
          }
        ),
        ("peer", ["15 v6 g7 V0 0"], [Keyring.train], { Self.editSealing(&$0) { $0.peers = [1] } }),
        ("suite", ["15 v4 g7 V1 0"], [Keyring.train], { Self.editSealing(&$0) { $0.suite = .aes128 } }),
        ("class", ["15 v4 g7 V0 184"], [Keyring.train], { Self.editSealing(&$0) { $0.dscp = .fixed(46) } }),
        ("keys", ["15 v4 g8 V0 0"], [Self.rotated(8)], { _ in }),
        ("route", ["no-route"], [Keyring.train], { $0.routes.removeAll() }),
        (
          "denied", ["no-route"], [Keyring.train],
          { plan in
            plan.routes = plan.routes.map { .init(prefix: $0.prefix, action: .drop) }
          }
        ),
        (
          "own address", ["own-address"], [Keyring.train],
          { plan in
            plan.ports[0].addresses += Station.prefixes("10.2.0.2/32")
          }
        ),
        // Waits for a neighbour that nobody knows any more.
        ("neighbour", [], [Keyring.train], { $0.ports[1].neighbours = [] }),
      ]
      for (name, wanted, groups, edit) in changes {
        try station.gateway.reload(plan: station.plan, groups: [Keyring.train])
        for _ in 0..<3 { #expect(look() == [usual], "before \(name)") }
        try station.gateway.reload(plan: Self.edited(station.plan, edit), groups: groups)
        for _ in 0..<3 { #expect(look() == wanted, "\(name)") }
      }
      station.finish()
    }

    @Test func reloadsWhileOpening() throws {
      let station = try Station(2, groups: [Keyring.train])
      var plain = Foreign(coffset: 4)
      plain.payload = Self.outward
      var (old, bare) = (plain, plain)
      old.generation = 6
      bare.options = false
      let frames = try zip(Foreign.seal([plain, old, bare]), [plain, old, bare]).map {
        $1.frame($0, to: station.fabric.mac, vlans: [])
      }
      func look(_ frame: [UInt8]) -> [String] {
        var sent: [[UInt8]] = []
        let drops = station.drops {
          station.put(frame, on: station.fabric)
          sent = station.takenClear().filter { $0.word(at: 12) != 0x0806 }
        }
        return drops.keys.sorted() + sent.map { "to \($0[4]) \($0[5])" }
      }
      let far = Station.address("10.2.0.3")
      let changes: [(String, [[String]], [TrustGroup], (inout GatewayPlan) -> Void)] = [
        (
          "host", [["to 10 10"], ["to 10 10"], ["to 10 10"]], [Keyring.train],
          { plan in
            for index in plan.ports[0].neighbours.indices { plan.ports[0].neighbours[index].mac = Self.host }
          }
        ),
        (
          "via", [["to 10 10"], ["to 10 10"], ["to 10 10"]], [Keyring.train],
          { plan in
            plan.ports[0].neighbours[1].mac = Self.host
            plan.routes.append(
              .init(prefix: Station.prefixes("10.2.0.2/32")[0], action: .forward(port: 0, via: far)))
          }
        ),
        (
          "speaks", [["policy-inner"], ["policy-inner"], ["policy-inner"]], [Keyring.train],
          { plan in
            plan.policies[0].speaks = Station.prefixes("10.9.0.0/16")
          }
        ),
        (
          "form", [["policy-inner"], ["policy-inner"], ["policy-inner"]], [Keyring.train],
          { plan in
            plan.policies[0].forms = [.ipv6]
          }
        ),
        (
          "identity", [["policy-inner"], ["policy-inner"], ["policy-inner"]], [Keyring.train],
          { plan in
            (plan.deviceID, plan.member) = (0x2A63, 33)
          }
        ),
        (
          "offset", [["policy-offset"], ["policy-offset"], ["policy-offset"]],
          [Keyring.group("train", isDefault: true, seed: 1) { $0.maxCOffset = 3 }], { _ in }
        ),
        ("keys", [["to 0 10"], ["unknown-key"], ["to 0 10"]], [Self.rotated(8)], { _ in }),
        ("keys again", [["unknown-key"], ["unknown-key"], ["unknown-key"]], [Self.rotated(9)], { _ in }),
        (
          "other keys", [["unknown-key"], ["unknown-key"], ["authentication"]],
          [Keyring.group("train", isDefault: true, seed: 77)], { _ in }
        ),
        ("impostor", [["authentication"], ["authentication"], ["authentication"]], [impostor], { _ in }),
        (
          "no default", [["to 0 10"], ["to 0 10"], ["unknown-key"]], [Keyring.train], { $0.ports[1].defaultGroup = nil }
        ),
        (
          "no route", [["no-route"], ["no-route"], ["no-route"]], [Keyring.train],
          { plan in
            plan.routes.append(.init(prefix: Station.prefixes("10.2.0.2/32")[0], action: .drop))
          }
        ),
        ("our port's MTU", [["too-big"], ["too-big"], ["too-big"]], [Keyring.train], { $0.ports[0].mtu = 100 }),
        (
          "UDP port", [["unprotected"], ["unprotected"], ["unprotected"]], [Keyring.train],
          { $0.ports[1].udpPort = 4501 }
        ),
        (
          "own address outside", [["not-for-us"], ["not-for-us"], ["not-for-us"]], [Keyring.train],
          { plan in
            plan.ports[1].addresses = Station.prefixes("192.0.2.77/24", "2001:db8:f::2/64")
            plan.peers[0].source = Station.address("192.0.2.77")
          }
        ),
        ("host unknown", [[], [], []], [Keyring.train], { $0.ports[0].neighbours = [] }),
      ]
      for (name, wanted, groups, edit) in changes {
        // Each by itself, as the last frame of its kind is the one that is known best.
        for (frame, wanted) in zip(frames, wanted) {
          try station.gateway.reload(plan: station.plan, groups: [Keyring.train])
          // What waited for its neighbour goes first.
          station.run()
          _ = station.takenClear()
          for _ in 0..<3 { #expect(look(frame) == ["to 0 10"], "before \(name)") }
          try station.gateway.reload(plan: Self.edited(station.plan, edit), groups: groups)
          for _ in 0..<3 { #expect(look(frame) == wanted, "\(name)") }
        }
      }
      station.finish()
    }

    /// The names of `Keyring.train`, and other octets.
    private var impostor: TrustGroup {
      Keyring.group("train", isDefault: true, seed: 1) { group in
        group.rootKeys = group.rootKeys.enumerated().map { place, root in
          RootKey(
            level: root.level, id: root.id, previous: Keyring.generation(UInt8(200 + place), 6),
            current: Keyring.generation(UInt8(200 + place), 7), next: Keyring.generation(UInt8(200 + place), 8))
        }
      }
    }

    /// A neighbour that says by itself that its MAC address is another.
    @Test func neighboursThatMove() throws {
      let couple = try Couple { plan in
        for port in plan.ports.indices { plan.ports[port].neighbours = [] }
      }
      func say(_ station: Station, _ wire: RingWire, _ sender: String, _ mac: MACAddress, to own: String) {
        let request: [UInt8] =
          [0, 1, 8, 0, 6, 4, 0, 1] + Packet.octets(of: mac) + Packet.octets(sender) + [0, 0, 0, 0, 0, 0]
          + Packet.octets(own)
        station.put(Packet.frame(to: wire.mac, from: mac, type: 0x0806, request), on: wire)
      }
      for last in UInt64(1)...3 {
        let (router, host) = (
          MACAddress(rawValue: 0x0200_0000_0F00 + last), MACAddress(rawValue: 0x0200_0000_0A00 + last)
        )
        say(couple.one, couple.one.fabric, "192.0.2.2", router, to: "192.0.2.1")
        say(couple.two, couple.two.clear, "10.2.0.2", host, to: "10.2.0.1")
        _ = (couple.one.taken(), couple.two.takenClear())
        for _ in 0..<4 {
          let (outer, inner) = couple.carry(packet: Self.outward)
          #expect(outer.map { Array($0.prefix(6)) } == [Packet.octets(of: router)])
          #expect(inner.map { Array($0.prefix(6)) } == [Packet.octets(of: host)])
        }
      }
      couple.finish()
    }

    // MARK: Order and replay

    /// What congestion, class or epoch make of a packet changes nothing about its turn.
    @Test func orderOfAFlow() throws {
      // The inner header is to be seen outside.
      let one = try Station(1) { Self.editSealing(&$0) { $0.coffset = 7 } }
      let two = try Station(2)
      var oddities = Oddities(seed: 11)
      var all: [Foreign] = []
      for index in 0..<320 {
        var packet = Foreign()
        packet.tos = oddities.pick([0, 0, 0, 0xB8, 1, 2, 3, 0x2B])
        packet.epoch = oddities.pick([0, 0, 1, -1])
        packet.coffset = oddities.pick([0, 0, 7])
        packet.payload = Packet.ipv4(
          from: "10.1.0.2", to: "10.2.0.2", tos: oddities.pick([2, 0xBA]), id: index, Packet.udp(1, 2, [1, 2, 3]))
        all.append(packet)
      }
      let packets = try Foreign.seal(all)
      var (sealed, opened): ([Int], [Int]) = ([], [])
      for start in stride(from: 0, to: all.count, by: 32) {
        for index in start..<start + 32 {
          two.put(all[index].frame(packets[index], to: two.fabric.mac, vlans: []), on: two.fabric, then: false)
          one.put(
            Packet.frame(to: one.clear.mac, from: Station.host, all[index].payload), on: one.clear, then: false)
        }
        one.run()
        two.run()
        opened += two.takenClear().map { $0.word(at: 18) }
        // Behind 42 octets of outer headers and 56 of the security header.
        sealed += one.taken().map { $0.word(at: 42 + 56 + 4) }
      }
      #expect(opened == Array(0..<all.count), "\(two.drops)")
      #expect(sealed == Array(0..<all.count), "\(one.drops)")
      one.finish()
      two.finish()
    }

    /// The same through a proxy, where packets of known ways wait for the others before they are sealed.
    @Test func orderThroughAProxy() throws {
      var sides = [ProxyLab.Side(), ProxyLab.Side()]
      sides[1].coffset = 7
      let proxy = try ProxyLab.proxy(sides)
      var oddities = Oddities(seed: 12)
      let all = (0..<320).map { index in
        var packet = Foreign()
        packet.payload = Packet.ipv4(
          from: "10.1.0.2", to: "10.2.0.2", tos: 2, id: index, Packet.udp(1, 2, [1, 2, 3]))
        return packet
      }
      let packets = try Foreign.seal(all)
      var sent: [Int] = []
      for start in stride(from: 0, to: all.count, by: 32) {
        for packet in packets[start..<start + 32] {
          let outer = ProxyLab.outer(packet, side: 0, ecn: oddities.pick([0, 0, 0, 3]))
          ProxyLab.put(outer, on: proxy, side: 0, then: false)
        }
        proxy.run()
        // Behind 28 octets of outer headers and 56 of the security header.
        sent += ProxyLab.taken(proxy, 1).map { $0.word(at: 28 + 56 + 4) }
      }
      #expect(sent == Array(0..<all.count), "\(proxy.drops)")
      proxy.finish()
    }

    /// Senders, sources and epochs in turns: each packet has its own data key, also when those of all are kept.
    @Test(arguments: Suite.allCases) func keysInTurn(_ suite: Suite) throws {
      let station = try Station(2)
      var oddities = Oddities(seed: 13)
      let all = (0..<640).map { _ in
        var packet = Foreign(suite: suite, context: .sourceAddress)
        packet.id = oddities.pick([0x2A63, 0x2A63, 0x2A64])
        packet.source = oddities.pick([1, 3])
        packet.epoch = oddities.pick([0, 0, 0, 1, -1])
        packet.payload = Self.outward
        return packet
      }
      let frames = try zip(all, Foreign.seal(all)).map { $0.frame($1, to: station.fabric.mac, vlans: []) }
      for start in stride(from: 0, to: frames.count, by: 32) {
        for frame in frames[start..<start + 32] { station.put(frame, on: station.fabric, then: false) }
        station.run()
        #expect(station.takenClear().count == 32, "\(station.drops)")
      }
      #expect(station.drops == [:])
      station.finish()
    }

    @Test func replays() throws {
      let station = try Station(2, replay: ReplayShape(windows: 64, largestWindow: 64))
      let all = (UInt64(0)..<200).map { sequence in
        var packet = Foreign(sequence: sequence)
        packet.payload = Self.outward
        return packet
      }
      let frames = try zip(all, Foreign.seal(all)).map { $0.frame($1, to: station.fabric.mac, vlans: []) }
      func give(_ numbers: [Int]) -> (drops: [String: UInt64], sent: Int) {
        let drops = station.drops {
          for number in numbers { station.put(frames[number], on: station.fabric, then: false) }
          station.run()
        }
        return (drops, station.takenClear().count)
      }
      func expect(
        _ numbers: [Int], _ drops: [String: UInt64], _ sent: Int, _ location: SourceLocation = #_sourceLocation
      ) {
        let found = give(numbers)
        #expect(found.drops == drops && found.sent == sent, "\(found)", sourceLocation: location)
      }
      for number in 0..<4 { expect([number], [:], 1) }
      // Within a burst, of which each looks new before any is opened, and in the next one.
      expect([10, 11, 10, 12, 11, 10], ["replay-duplicate": 3], 3)
      expect([10, 11, 12, 3, 13], ["replay-duplicate": 4], 1)
      expect(Array(100..<130), [:], 30)
      expect([66, 65, 64, 0, 129, 67, 66], ["replay-late": 3, "replay-duplicate": 2], 2)
      // What does not authenticate marks nothing.
      let broken = frames[150].setting(frames[150][100] ^ 1, at: 100)
      #expect(station.drops { station.put(broken, on: station.fabric) } == ["authentication": 1])
      expect([150, 150], ["replay-duplicate": 1], 1)
      // The first check that fails names the drop: the window's, before the tag's.
      #expect(station.drops { station.put(broken, on: station.fabric) } == ["replay-duplicate": 1])
      station.finish()
    }
  }
}
