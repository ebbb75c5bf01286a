import DataPlane
import Testing
import Wire

extension RingTests {
  /// open(seal(x)) = x between two gateways, whatever the shape; a router's hop is all that changes.
  @Suite struct RoundTrips {
    struct Shape: Sendable, CustomTestStringConvertible {
      var engine = EngineChoice.auto
      var outer = 4
      var carriage = GatewayPlan.Carriage.udp
      var suite = Suite.aes256
      var context = KeyContext.device
      var options = true
      var isWide = false
      var testDescription: String {
        "\(engine) over IPv\(outer) \(carriage) \(suite) \(context) options \(options) wide \(isWide)"
      }
    }

    static let shapes: [Shape] = {
      var shapes: [Shape] = []
      for engine in [EngineChoice.auto, .openSSL] {
        for outer in [4, 6] {
          for carriage in [GatewayPlan.Carriage.udp, .ip] {
            shapes.append(Shape(engine: engine, outer: outer, carriage: carriage))
          }
        }
        for suite in Suite.allCases {
          for context in [KeyContext.device, .sourceAddress] {
            for options in [true, false] {
              for isWide in [true, false] {
                shapes.append(
                  Shape(
                    engine: engine, outer: isWide ? 6 : 4, suite: suite, context: context, options: options,
                    isWide: isWide))
              }
            }
          }
        }
      }
      return shapes
    }()

    static func edit(_ plan: inout GatewayPlan, _ shape: Shape, coffset: UInt8 = 0, ioffset: UInt8 = 0) {
      plan.wideID = shape.isWide
      if shape.isWide { plan.deviceID |= 0xA1B2_C3D4_0000_0000 }
      for index in plan.peers.indices { plan.peers[index].carriage = shape.carriage }
      plan.routes = plan.routes.map { route in
        guard case .seal(var sealing) = route.action else { return route }
        sealing.peers = [shape.outer == 4 ? 0 : 1]
        sealing.suite = shape.suite
        sealing.context = shape.context
        sealing.options = shape.options
        sealing.coffset = coffset
        sealing.ioffset = ioffset
        return GatewayPlan.Route(prefix: route.prefix, action: .seal(sealing))
      }
    }

    @Test(arguments: shapes) func tunnel(_ shape: Shape) throws {
      let couple = try Couple(engine: shape.engine) { Self.edit(&$0, shape) }
      for size in [0, 1, 2, 3, 15, 16, 17, 63, 64, 100, 511, 1200, 1400] {
        for packet in Self.packets(size) { Self.expectCarried(packet, couple) }
      }
      couple.finish()
    }

    /// MTU 9000 on the clear side: every length class up to there.
    @Test(arguments: [EngineChoice.auto, .openSSL]) func jumbo(_ engine: EngineChoice) throws {
      let couple = try Couple(engine: engine) { $0.ports[0].mtu = 9000 }
      for size in Array(stride(from: 0, through: 8952, by: 373)) + [8940, 8951, 8952] {
        for packet in Self.packets(size) { Self.expectCarried(packet, couple) }
      }
      couple.finish()
    }

    @Test(arguments: [EngineChoice.auto, .openSSL]) func offsets(_ engine: EngineChoice) throws {
      for coffset in UInt8(0)...20 {
        for ioffset in [0, 1, 5, 15] where ioffset <= coffset {
          let couple = try Couple(engine: engine) { Self.edit(&$0, Shape(), coffset: coffset, ioffset: UInt8(ioffset)) }
          for packet in Self.packets(80) {
            let outer = Self.expectCarried(packet, couple)
            // UDP: 20 + 8 or 40 + 8 octets of headers; nothing behind them is in clear.
            let end = (packet[0] >> 4 == 4 ? 28 : 48) / 4
            let header = try #require(outer.first).dropFirst(14 + 20 + 8)
            let first = Array(header.prefix(4))
            // Version 4 bits, HL 4, V 4, Reserve 8, COffset 8, IOffset 4.
            let sent = first.word(at: 2) >> 4 & 0xFF
            #expect(sent == min(Int(coffset), end))
            #expect(Int(first[3] & 0xF) == min(ioffset, sent))
          }
          couple.finish()
        }
      }
    }

    static func packets(_ size: Int) -> [[UInt8]] {
      let payload = Packet.udp(1000, 2000, Packet.pattern(size))
      return [
        Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", tos: 0xB8, id: 77, ttl: 9, payload),
        Packet.ipv6(from: "2001:db8:1::2", to: "2001:db8:2::2", trafficClass: 0xB8, hops: 9, payload),
      ]
    }

    @discardableResult
    static func expectCarried(_ packet: [UInt8], _ couple: Couple, _ location: SourceLocation = #_sourceLocation)
      -> [[UInt8]]
    {
      let (outer, inner) = couple.carry(packet: packet)
      #expect(outer.count == 1 && inner.count == 1, "\(couple.one.drops) \(couple.two.drops)", sourceLocation: location)
      guard let frame = inner.first else { return outer }
      #expect(Array(frame.dropFirst(14)) == hopped(packet, by: 2), sourceLocation: location)
      #expect(
        Array(frame.prefix(12)) == Packet.octets(of: Station.host) + Packet.octets(of: couple.two.clear.mac),
        sourceLocation: location)
      // Nothing of the data is to be seen outside.
      let data = Array(packet.suffix(16))
      if packet.count >= 64 { #expect(!outer.contains { $0.contains(data) }, sourceLocation: location) }
      return outer
    }

    /// The packet after routers took hops from it.
    static func hopped(_ packet: [UInt8], by hops: UInt8) -> [UInt8] {
      var packet = packet
      if packet[0] >> 4 == 6 {
        packet[7] -= hops
        return packet
      }
      packet[8] -= hops
      packet.replaceSubrange(10..<12, with: [0, 0])
      let header = Array(packet.prefix(Int(packet[0] & 0xF) * 4))
      packet.replaceSubrange(10..<12, with: Packet.word(Int(Packet.checksum(header))))
      return packet
    }
  }
}
