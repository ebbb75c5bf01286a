import DataPlane
import Testing
import Wire

extension RingTests {
  /// No octets from outside stop a gateway, get past the tag, or cost a buffer.
  @Suite struct Hostile {
    private static let payload = Packet.udp(1000, 2000, Packet.pattern(60))

    private static func sealed(_ outer: Int = 4) throws -> [UInt8] {
      let one = try Station(1) { RoundTrips.edit(&$0, RoundTrips.Shape(outer: outer), coffset: 5) }
      one.fromHost(Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", payload))
      let frame = try #require(one.take())
      one.finish()
      return frame
    }

    private static func frames(for station: Station) throws -> [[UInt8]] {
      let mac = station.clear.mac
      let arp: [UInt8] =
        [0, 1, 8, 0, 6, 4, 0, 1] + Packet.octets(of: Station.host) + Packet.octets("10.2.0.2") + [0, 0, 0, 0, 0, 0]
        + Packet.octets("10.2.0.1")
      let options = [UInt8](repeating: 1, count: 40)
      let extensions: [UInt8] =
        [43, 0, 5, 2, 0, 0, 1, 0, 60, 2, 0, 0] + [UInt8](repeating: 0, count: 20) + [
          44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9,
        ]
      return [
        Packet.frame(
          to: mac, from: Station.host, vlans: [0],
          Packet.ipv4(from: "10.2.0.2", to: "10.1.0.2", options: options, payload)),
        Packet.frame(to: mac, from: Station.host, type: 0x0806, arp),
        Packet.frame(
          to: mac, from: Station.host,
          Packet.ipv6(from: "2001:db8:2::2", to: "2001:db8:1::2", next: 0, extensions + payload)),
        Packet.frame(
          to: mac, from: Station.host,
          Packet.ipv4(
            from: "10.2.0.2", to: "10.1.0.2", protocol: 6, Packet.syn(from: "10.2.0.2", to: "10.1.0.2", mss: 9000))),
        Packet.frame(
          to: mac, from: Station.host,
          Packet.ipv4(from: "10.2.0.2", to: "10.2.0.1", protocol: 1, Packet.echo([1, 2, 3]))),
        Packet.frame(
          to: mac, from: Station.host,
          Packet.ipv6(
            from: "2001:db8:2::2", to: "ff02::1:ff00:1", next: 58, hops: 255,
            [135, 0, 0, 0, 0, 0, 0, 0] + Packet.octets("2001:db8:2::1") + [1, 1] + Packet.octets(of: Station.host))),
        try sealed(4), try sealed(6),
      ]
    }

    @Test(arguments: ["tunnel", "bump", "frames"]) func truncations(_ kind: String) throws {
      let station = try Self.station(kind)
      var count = UInt64(0)
      for frame in try Self.frames(for: station) {
        for length in 0..<frame.count {
          for wire in [station.clear, station.fabric] {
            station.put(Couple.readdressed(Array(frame.prefix(length)), to: wire.mac).prefixed(length), on: wire)
            count += 1
          }
        }
        _ = (station.taken(), station.takenClear())
      }
      #expect(station.gateway.status.totals.in == count)
      station.finish()
    }

    private static func station(_ kind: String) throws -> Station {
      try Station(2) { plan in
        guard kind != "tunnel" else { return }
        var sealing = GatewayPlan.Sealing(group: 0)
        sealing.mode = kind == "bump" ? .transport : .ethernet
        sealing.peers = kind == "bump" ? [] : [0]
        plan.ports[0].mode = sealing.mode
        plan.policies[0].forms = Set(PayloadForm.allCases)
        if kind == "bump" {
          plan.ports[0].pair = 1
          plan.ports[1].pair = 0
          plan.bypassUnmatched = true
          plan.routes = plan.routes.map { .init(prefix: $0.prefix, action: .seal(sealing)) }
        } else {
          plan.frames[0] = sealing
        }
      }
    }

    /// One octet changed, everywhere: behind the outer headers nothing is delivered, before them nothing wrong.
    @Test(arguments: [4, 6]) func mutations(_ outer: Int) throws {
      let two = try Station(2)
      let frame = Couple.readdressed(try Self.sealed(outer), to: two.fabric.mac)
      let start = 14 + (outer == 4 ? 20 : 40) + 8
      let wanted = RoundTrips.hopped(Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Self.payload), by: 2)
      var delivered = 0
      for place in frame.indices {
        for bits in [0x01, 0x10, 0x80, 0xFF] as [UInt8] {
          two.put(frame.setting(frame[place] ^ bits, at: place), on: two.fabric)
          let got = two.takenClear().map { Array($0.dropFirst(14)) }
          #expect(got.isEmpty || (place < start && got == [wanted]), "octet \(place)")
          delivered += got.count
          _ = two.taken()
        }
      }
      // Such as the source MAC address, the hop limit and the UDP source port.
      #expect(delivered > 0)
      two.finish()
    }

    @Test(arguments: ["tunnel", "bump", "frames"]) func randomFrames(_ kind: String) throws {
      let station = try Self.station(kind)
      var random = RepeatableGenerator(seed: 2)
      let count = 34_000
      for index in 0..<count {
        for wire in [station.clear, station.fabric] {
          station.put(Self.random(index, for: wire, &random), on: wire, then: false)
        }
        if index % 16 == 15 {
          station.gateway.step(lcore: 0)
          station.gateway.stepSlowPath()
          _ = (station.taken(), station.takenClear())
        }
      }
      station.run()
      #expect(station.gateway.status.totals.in == UInt64(2 * count))
      station.finish()
    }

    /// From pure noise to noise behind right headers.
    private static func random(_ index: Int, for wire: RingWire, _ random: inout RepeatableGenerator) -> [UInt8] {
      let noise = random.octets(Int.random(in: 0...120, using: &random))
      let own = ["10.2.0.1", "192.0.2.2", "10.1.0.2", "10.2.0.2"][index / 8 % 4]
      let own6 = ["2001:db8:2::1", "2001:db8:f::2", "2001:db8:1::2", "ff02::1"][index / 8 % 4]
      let number = [1, 6, 17, 44, 58, 253, 0, 60, 43, 51][index % 10]
      switch index % 8 {
      case 0: return noise
      case 1:
        return Packet.frame(to: wire.mac, from: Station.host, type: Int.random(in: 0...0xFFFF, using: &random), noise)
      case 2:
        return Packet.frame(
          to: wire.mac, from: Station.host, type: [0x0800, 0x0806, 0x86DD, 0x8100][index / 8 % 4], noise)
      case 3:
        return Packet.frame(
          to: wire.mac, from: Station.host, Packet.ipv4(from: "10.1.0.9", to: own, protocol: UInt8(number), noise))
      case 4:
        return Packet.frame(
          to: wire.mac, from: Station.host, Packet.ipv6(from: "2001:db8:1::9", to: own6, next: UInt8(number), noise))
      case 5:
        let fragment = Int.random(in: 0...0x3FFF, using: &random)
        return Packet.frame(
          to: wire.mac, from: Station.host,
          Packet.ipv4(from: "10.1.0.9", to: own, id: index & 15, df: false, fragment: fragment, noise))
      case 6:
        return Packet.frame(
          to: wire.mac, from: Station.host,
          Packet.ipv4(from: "10.1.0.9", to: own, Packet.udp(1, 4500, [0xF1 | UInt8(index & 0xE), 0] + noise)))
      default:
        return Packet.frame(
          to: wire.mac, from: Station.host, type: 0x0806, [0, 1, 8, 0, 6, 4, 0, UInt8(1 + index & 1)] + noise)
      }
    }
  }
}

extension [UInt8] {
  func prefixed(_ count: Int) -> [UInt8] { Array(prefix(count)) }
}
