import DataPlane
import Testing
import Wire

extension RingTests {
  /// Many packets in one burst, each with a fate of its own: none changes another's. Those of a flow that pass keep their order;
  /// between flows there is none, as packets in frames that are not known yet come after those in known ones.
  @Suite struct Bursts {
    private static func packet(_ number: Int, _ index: Int) -> [UInt8] {
      Packet.ipv4(
        from: "10.\(number).0.2", to: "10.1.0.2", id: index, Packet.udp(number, index % 3, Packet.pattern(index % 97)))
    }

    /// By addresses and ports, which stand next to each other; each flow's packets in their order.
    private static func flows(_ packets: [[UInt8]]) -> [[UInt8]: [[UInt8]]] {
      Dictionary(grouping: packets) { Array($0[12..<24]) }
    }

    private static func receiver(_ engine: EngineChoice) throws -> Station {
      try Station(1, engine: engine) { $0.policies[0].speaks = Station.prefixes("10.2.0.0/15", "10.4.0.0/15") }
    }

    @Test(arguments: [EngineChoice.auto, .openSSL]) func opening(_ engine: EngineChoice) throws {
      var random = RepeatableGenerator(seed: 5)
      let numbers = (0..<960).map { _ in Int.random(in: 2...6, using: &random) }
      let sealed = try Self.sealed(by: numbers)
      let receiver = try Self.receiver(engine)
      var (frames, wanted): ([[UInt8]], [[UInt8]]) = ([], [])
      var reasons: [String: UInt64] = [:]
      for (index, number) in numbers.enumerated() {
        let packet = Self.packet(number, index)
        var frame = Couple.readdressed(try #require(sealed[index]), to: receiver.fabric.mac)
        var reason: String?
        switch Int.random(in: 0..<12, using: &random) {
        case 0: (frame, reason) = (frame.setting(frame[frame.count - 1] ^ 1, at: frame.count - 1), "authentication")
        case 1: (frame, reason) = (frame.setting(0x1F, at: 42), "version")
        case 2: (frame, reason) = (frame.setting(frame[60] ^ 1, at: 60), "unknown-key")
        case 3: (frame, reason) = (frame.setting(frame[24] ^ 1, at: 24), "checksum")
        case 4:
          (frame, reason) = (
            Packet.frame(
              to: receiver.fabric.mac, from: Station.router,
              Packet.ipv4(from: "192.0.2.2", to: "192.0.2.1", Packet.udp(1, 53, []))), "unprotected"
          )
        case 5:
          (frame, reason) = (
            Packet.frame(to: receiver.fabric.mac, from: Station.router, type: 0x9999, [1]), "ether-type"
          )
        case 6: (frame, reason) = (frame.setting(frame[42 + 54] ^ 0x40, at: 42 + 54), "authentication")
        default: break
        }
        // 10.6.0.2 may not speak.
        if reason == nil, number == 6 { reason = "policy-inner" }
        if let reason { reasons[reason, default: 0] += 1 } else { wanted.append(RoundTrips.hopped(packet, by: 2)) }
        frames.append(frame)
      }
      let drops = receiver.drops {
        for frame in frames { receiver.put(frame, on: receiver.fabric, then: false) }
        receiver.run()
      }
      let passed = Self.flows(receiver.takenClear().map { Array($0.dropFirst(14)) })
      #expect(passed == Self.flows(wanted))
      // Four senders that may speak, three ports each.
      #expect(passed.count == 12 && passed.values.allSatisfy { $0.count > 9 })
      #expect(drops == reasons)
      receiver.finish()
    }

    /// One station after the other, as locked memory for keys is short: packet i by station `numbers[i]`.
    private static func sealed(by numbers: [Int]) throws -> [Int: [UInt8]] {
      var sealed: [Int: [UInt8]] = [:]
      for number in Set(numbers).sorted() {
        let sender = try Station(number) { plan in
          var shape = RoundTrips.Shape()
          shape.suite = number % 2 == 0 ? .aes128 : .aes256
          shape.context = number == 3 ? .sourceAddress : .device
          RoundTrips.edit(&plan, shape)
        }
        for index in numbers.indices where numbers[index] == number {
          sender.fromHost(packet(number, index))
          sealed[index] = sender.take()
        }
        sender.finish()
      }
      return sealed
    }

    @Test func sealing() throws {
      let couple = try Couple()
      var random = RepeatableGenerator(seed: 6)
      var wanted: [[UInt8]] = []
      var reasons: [String: UInt64] = [:]
      let drops = couple.one.drops {
        for index in 0..<900 {
          var packet = Packet.ipv4(
            from: "10.1.0.2", to: "10.2.0.2", id: index, Packet.udp(1, index, Packet.pattern(index % 400)))
          if index % 2 == 0 {
            packet = Packet.ipv6(
              from: "2001:db8:1::2", to: "2001:db8:2::2", Packet.udp(1, index, Packet.pattern(index % 400)))
          }
          var reason: String?
          switch Int.random(in: 0..<8, using: &random) {
          case 0: (packet, reason) = (Packet.ipv4(from: "10.1.0.2", to: "10.66.0.2", Packet.udp(1, 2, [])), "no-route")
          case 1:
            (packet, reason) = (
              Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1, 2, [])).setting(7, at: 11), "checksum"
            )
          case 2:
            (packet, reason) = (Packet.ipv6(from: "2001:db8:1::2", to: "fe80::2", Packet.udp(1, 2, [])), "no-route")
          case 3: (packet, reason) = ([0x45, 0, 0], "malformed-frame")
          default: wanted.append(packet)
          }
          if let reason { reasons[reason, default: 0] += 1 }
          couple.one.put(
            Packet.frame(
              to: couple.one.clear.mac, from: Station.host, type: packet[0] >> 4 == 6 ? 0x86DD : 0x0800, packet),
            on: couple.one.clear, then: false)
        }
        couple.one.run()
      }
      #expect(drops == reasons)
      for frame in couple.one.taken() {
        couple.two.put(Couple.readdressed(frame, to: couple.two.fabric.mac), on: couple.two.fabric, then: false)
      }
      couple.two.run()
      #expect(couple.two.takenClear().map { Array($0.dropFirst(14)) } == wanted.map { RoundTrips.hopped($0, by: 2) })
      couple.finish()
    }

    /// Packets that wait for a neighbour outlive a reload.
    @Test func waitingAcrossAReload() throws {
      let station = try Station(1) { $0.ports[1].neighbours = [] }
      let packet = Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1, 2, Packet.pattern(30)))
      for _ in 0..<5 { station.fromHost(packet) }
      #expect(!station.taken().contains { $0.word(at: 12) == 0x0800 })
      try station.gateway.reload(plan: station.plan, groups: [Keyring.train, Keyring.other])
      station.run()
      let reply: [UInt8] =
        [0, 1, 8, 0, 6, 4, 0, 2] + Packet.octets(of: Station.router) + Packet.octets("192.0.2.2")
        + Packet.octets(of: station.fabric.mac)
        + Packet.octets("192.0.2.1")
      station.put(Packet.frame(to: station.fabric.mac, from: Station.router, type: 0x0806, reply), on: station.fabric)
      #expect(station.taken().count { $0.word(at: 12) == 0x0800 } == 5)
      station.finish()
    }

    /// A number that its field cannot hold is refused, never truncated (wire format, section 4).
    @Test func numbersThatDoNotFit() throws {
      #expect(throws: (any Error).self) { try Station(1) { $0.member = 64 } }
      #expect(throws: (any Error).self) { try Station(1, lcores: 33) }
      try Station(1) { $0.member = 63 }.finish()
    }
  }
}
