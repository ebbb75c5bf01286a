import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// Each reason is produced here or in the suites beside, and counted once.
  @Suite struct Drops {
    private static func packet(_ size: Int = 40) -> [UInt8] {
      Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1000, 2000, Packet.pattern(size)))
    }

    /// The vectors of the independent implementation, through a gateway.
    @Test func vectors() throws {
      let file = try VectorFile.load()
      var reasons: Set<String> = []
      for positive in file.positive {
        let station = try Station(2, groups: [Self.group(positive)], time: .any) { plan in
          plan.policies = [
            .init(group: 0, speaks: Station.prefixes("0.0.0.0/0", "::/0"), forms: Set(PayloadForm.allCases))
          ]
        }
        // The gateway serves no pool of connections.
        let isConnection = positive.v >> 1 & 3 == 1
        func give(_ packet: [UInt8]) -> [String: UInt64] {
          station.drops {
            let udp = Packet.udp(50000, 4500, packet)
            station.fromFabric(
              positive.outerSource.contains(":")
                ? Packet.ipv6(from: positive.outerSource, to: "2001:db8:f::2", udp)
                : Packet.ipv4(from: positive.outerSource, to: "192.0.2.2", udp))
          }
        }
        let opened = station.gateway.status.totals.opened
        let drops = give(positive.packet)
        if isConnection {
          #expect(drops == ["unknown-key": 1], "\(positive.name)")
        } else if positive.payloadForm == "dummy" {
          #expect(drops == ["dummy": 1], "\(positive.name)")
        } else {
          #expect(station.gateway.status.totals.opened == opened + 1, "\(positive.name) \(drops)")
        }
        for negative in file.negative where negative.basedOn == positive.name {
          let isLate = ["authentication", "malformed-inner", "dummy"].contains(negative.drop)
          let wanted = isConnection && isLate ? "unknown-key" : negative.drop
          #expect(give(negative.packet) == [wanted: 1], "\(negative.name)")
          reasons.insert(wanted)
        }
        station.finish()
      }
      #expect(
        reasons.isSuperset(of: ["malformed", "version", "variant", "unknown-key", "authentication"]), "\(reasons)")
    }

    private static func group(_ vector: VectorFile.Positive) throws -> TrustGroup {
      func generation(_ found: VectorFile.Generation?) throws -> Generation? {
        guard let found else { return nil }
        return Generation(index: found.index, key: try found.key.withUnsafeBytes { try SecretKey.copying($0) })
      }
      let roots = try vector.rootKeys.map { root in
        RootKey(
          level: try #require(RootKeyLevel(rawValue: root.type)), id: root.id, previous: try generation(root.previous),
          current: try #require(try generation(root.current)), next: try generation(root.next))
      }
      return TrustGroup(name: "vector", isDefault: true, maxCOffset: 255, maxIOffset: 15, rootKeys: roots)
    }

    /// What the gateway seals, the independent implementation opens.
    @Test func referenceOpensWhatIsSealed() throws {
      for shape in [
        RoundTrips.Shape(), .init(engine: .openSSL, suite: .aes128),
        .init(carriage: .ip, suite: .aes128, context: .sourceAddress),
        .init(outer: 6, context: .sourceAddress, options: false), .init(outer: 6, carriage: .ip, isWide: true),
      ] {
        let station = try Station(1, engine: shape.engine) { RoundTrips.edit(&$0, shape, coffset: 7, ioffset: 2) }
        let inner = [0, 1, 15, 16, 17, 333].flatMap(RoundTrips.packets)
        inner.forEach { station.fromHost($0) }
        let headers = 14 + (shape.outer == 4 ? 20 : 40) + (shape.carriage == .udp ? 8 : 0)
        let sealed = station.taken().map { Array($0.dropFirst(headers)) }
        let opened = try Reference.open(
          sealed, overUDP: shape.carriage == .udp, source: shape.outer == 4 ? "192.0.2.1" : "2001:db8:f::1")
        #expect(opened == inner.map { RoundTrips.hopped($0, by: 1).hex }, "\(shape.testDescription)")
        station.finish()
      }
    }

    /// And the other way round: the generations held, the epochs around the clock's, and what has no form.
    @Test func referenceSealed() throws {
      Foreign.awaitEpoch()
      let station = try Station(2)
      for generation in 6...8 {
        let sealed = try Reference.seal([Self.packet()], generation: generation)
        for packet in sealed { station.fromPeer(packet) }
        #expect(station.takenClear().count == 1, "generation \(generation)")
      }
      for epoch in -3...3 {
        let sealed = try Reference.seal([Self.packet()], epoch: epoch)
        let drops = station.drops { for packet in sealed { station.fromPeer(packet) } }
        #expect(drops == (abs(epoch) < 2 ? [:] : ["epoch": 1]), "epoch \(epoch)")
      }
      let inner: [([UInt8], String)] = [
        ([], "malformed-inner"), ([0x50], "malformed-inner"), ([0x45] + Packet.pattern(18), "malformed-inner"),
        (Array(Self.packet().dropLast()), "malformed-inner"), ([0, 0, 143, 0] + Packet.pattern(13), "malformed-inner"),
        ([0, 0, 17, 1], "malformed-inner"), ([0, 0, 59, 0] + Packet.pattern(50), "dummy"),
        ([0, 0, 17, 0], "policy-inner"),
        ([0, 0, 143, 0] + Packet.pattern(60), "policy-inner"),
      ]
      for (packet, wanted) in zip(try Reference.seal(inner.map(\.0)), inner) {
        #expect(station.drops { station.fromPeer(packet) } == [wanted.1: 1], "\(wanted)")
      }
      // Padding behind the inner packet does not come out.
      let padded = try Reference.seal([Self.packet() + [9, 9, 9]])
      for packet in padded { station.fromPeer(packet) }
      #expect(station.takenClear().last.map { Array($0.dropFirst(14)) } == RoundTrips.hopped(Self.packet(), by: 1))
      station.finish()
    }

    @Test func keepalives() throws {
      let station = try Station(2)
      #expect(station.drops { station.fromPeer([0xFF]) } == ["keepalive": 1])
      #expect(station.drops { station.fromPeer([0xFE]) } == ["malformed": 1])
      #expect(station.drops { station.fromPeer([]) } == ["malformed": 1])
      station.finish()
    }

    /// Without a record nothing may be sealed.
    @Test func noCounters() throws {
      let station = try Station(1, time: .fixed(1_800_000_000))
      #expect(station.drops { (0..<40).forEach { _ in station.fromHost(Self.packet()) } } == ["counter-exhausted": 40])
      #expect(station.taken().isEmpty)
      station.finish()
    }

    /// A wire with room for seven frames that nobody takes.
    @Test func fullPort() throws {
      let station = try Station(1, capacity: 7)
      _ = station.taken()
      let drops = station.drops { (0..<20).forEach { _ in station.fromHost(Self.packet()) } }
      #expect(drops == ["transmit-full": 13])
      #expect(station.taken().count == 7)
      // Its own answers are counted apart.
      let before = station.gateway.status.totals
      (0..<12).forEach { _ in
        station.fromHost(Packet.ipv4(from: "10.1.0.2", to: "10.1.0.1", protocol: 1, Packet.echo([])))
      }
      let after = station.gateway.status.totals
      #expect(after.generatedOut - before.generatedOut == 7 && after.generatedDrops - before.generatedDrops == 5)
      station.finish()
    }

    @Test func floodOfPings() throws {
      let station = try Station(1)
      let ping = Packet.frame(
        to: station.clear.mac, from: Station.host,
        Packet.ipv4(from: "10.1.0.2", to: "10.1.0.1", protocol: 1, Packet.echo([])))
      for _ in 0..<1200 {
        station.put(ping, on: station.clear, then: false)
        station.gateway.step(lcore: 0)
      }
      #expect(station.drops == ["slow-path-full": 1200 - 1023])
      station.run()
      let drops = station.drops
      #expect(
        (drops["handled"] ?? 0) + (drops["slow-path-full"] ?? 0) == 1200 && (drops["handled"] ?? 0) >= 200,
        "\(drops)")
      station.finish()
    }

    /// A frame as long as its buffer leaves no room for headers.
    @Test func noRoom() throws {
      let station = try Station(1) { plan in
        plan.ports[0].mode = .ethernet
        plan.ports[1].vlan = 200
        var sealing = GatewayPlan.Sealing(group: 0)
        sealing.mode = .ethernet
        sealing.peers = [1]
        plan.frames[0] = sealing
      }
      let octets = Packet.pattern(65000)
      var size = octets.count
      while size > 0, !octets[..<size].withUnsafeBytes({ station.gateway.put($0, on: station.clear, queue: 0) }) {
        size -= 1
      }
      let drops = station.drops { station.run() }
      #expect(drops == ["no-buffer": 1], "\(size)")
      station.finish()
    }
  }
}
