import DataPlane
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// The protected side of `KnownFlows`: frames with known headers, and packets out of them between known hosts.
  @Suite struct KnownFrames {
    private static let groups = [
      Keyring.group("train", isDefault: true, seed: 1) { ($0.maxCOffset, $0.maxIOffset) = (16, 1) },
      Keyring.group("other", isDefault: false, seed: 101) { $0.maxCOffset = 4 },
    ]

    private static func edit(_ plan: inout GatewayPlan, vlans: Bool = false) {
      plan.icmpRate = 100_000
      plan.ports[0].mtu = 600
      if vlans { (plan.ports[0].vlan, plan.ports[1].vlan) = (100, 200) }
      // All by known neighbours: what waits for one is sent when it is heard.
      for (prefix, via) in [
        ("10.2.0.0/25", "10.2.0.3"), ("10.2.0.128/25", "10.2.0.2"), ("2001:db8:2::/65", "2001:db8:2::2"),
        ("2001:db8:2:0:8000::/65", "2001:db8:2::2"),
      ] {
        plan.routes.append(
          .init(prefix: Station.prefixes(prefix)[0], action: .forward(port: 0, via: Station.address(via))))
      }
      plan.policies.append(
        .init(group: 1, speaks: Station.prefixes("10.3.0.0/16", "2001:db8:3::/48"), forms: [.ipv4]))
    }

    static let shapes: [Foreign] = {
      var shapes: [Foreign] = []
      for outer in [4, 6] {
        for suite in Suite.allCases {
          for context in [KeyContext.device, .sourceAddress] {
            for options in [true, false] {
              let turn = shapes.count
              var shape = Foreign(suite: suite, context: context, options: options, outer: outer)
              shape.isWide = turn % 3 == 1
              if shape.isWide { shape.id |= 0xA1B2_C3D4_0000_0000 }
              shape.carriage = turn % 5 < 2 ? .ip : .udp
              shape.coffset = [0, 7, 0, 3][turn / 4 % 4]
              shapes.append(shape)
            }
          }
        }
      }
      return shapes
    }()

    private static let content = Packet.udp(1000, 2000, Packet.pattern(80))

    private static func v4(
      from: String = "10.1.0.2", to: String = "10.2.0.2", number: UInt8 = 17, tos: UInt8 = 0, df: Bool = true,
      fragment: Int = 0, ttl: UInt8 = 64, options: [UInt8] = [], _ payload: [UInt8] = content
    ) -> [UInt8] {
      Packet.ipv4(
        from: from, to: to, protocol: number, tos: tos, id: 5, df: df, fragment: fragment, ttl: ttl, options: options,
        payload)
    }
    private static func v6(
      from: String = "2001:db8:1::2", to: String = "2001:db8:2::2", tos: UInt8 = 0, hops: UInt8 = 64,
      _ payload: [UInt8] = content
    ) -> [UInt8] {
      Packet.ipv6(from: from, to: to, trafficClass: tos, hops: hops, payload)
    }

    /// Inner packets and other payloads, with what is odd about them.
    private static let payloads: [(String, [UInt8])] = {
      var all: [(String, [UInt8])] = [("IPv4", v4()), ("IPv6", v6())]
      for hops in [UInt8(0), 1, 2] { all += [("TTL \(hops)", v4(ttl: hops)), ("hop limit \(hops)", v6(hops: hops))] }
      for ecn in UInt8(0)...3 { all += [("ECN \(ecn)", v4(tos: 0xB8 | ecn)), ("ECN6 \(ecn)", v6(tos: 0xB8 | ecn))] }
      all += [
        ("no right to speak", v4(from: "10.9.0.2")), ("no right to speak 6", v6(from: "2001:db8:9::2")),
        ("another's source", v4(from: "10.3.0.2")), ("own address", v4(to: "10.2.0.1")),
        ("own address, echo", v4(to: "10.2.0.1", number: 1, Packet.echo([1, 2, 3]))),
        ("protected port's address", v4(to: "192.0.2.2")), ("own address 6", v6(to: "2001:db8:2::1")),
        ("no route", v4(to: "172.16.0.1")), ("routed back", v4(to: "10.1.0.9")),
        ("routed back 6", v6(to: "2001:db8:1::9")),
        ("multicast", v4(to: "224.0.0.1")), ("multicast 6", v6(to: "ff0e::1")), ("loopback", v4(from: "127.0.0.1")),
        ("mapped", v6(from: "::ffff:10.1.0.2")), ("fragment", v4(df: false, fragment: 0x2000)),
        ("last fragment", v4(df: false, fragment: 9)), ("options", v4(options: [1, 1, 1, 1])),
        ("another protocol", v4(number: 50)), ("padding", v4() + [1, 2, 3, 4, 5]), ("padding 6", v6() + [0]),
        ("wrong checksum", v4().setting(9, at: 10)), ("length beyond", v4().setting(0x70, at: 3)),
        ("length 19", v4().setting(19, at: 3)), ("IHL 4", v4().setting(0x44, at: 0)),
        ("IHL 15, short", Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", []).setting(0x4F, at: 0)),
        ("length beyond 6", v6().setting(1, at: 4)), ("short", Array(v4().prefix(19))),
        ("short 6", Array(v6().prefix(39))),
        ("nothing", []), ("one octet", [0x45]), ("version 5", v4().setting(0x55, at: 0)),
        ("dummy", [0, 0, 59, 0] + v4()), ("segment", [0, 0, 17, 0] + content), ("in a segment", [0, 0, 4, 0] + v4()),
        ("frame", [0, 0, 143, 0] + Packet.frame(to: Station.host, from: Station.router, v4())),
      ]
      for size in [571, 572, 573, 900] {
        let data = Packet.pattern(size - 8)
        all += [
          ("\(size + 20) octets", v4(Packet.udp(1, 2, data))),
          ("\(size + 20) octets, no DF", v4(df: false, Packet.udp(1, 2, data))),
          ("\(size + 20) octets, IPv6", v6(Packet.udp(1, 2, Array(data.dropFirst(20))))),
        ]
      }
      return all
    }()

    /// What is odd about a packet's header, in a frame otherwise of this shape.
    private static func variants(_ shape: Foreign) -> [(String, Foreign)] {
      var all: [(String, Foreign)] = []
      func add(_ name: String, _ edit: (inout Foreign) -> Void) {
        for (family, payload) in [("", v4()), (" 6", v6())] {
          var one = shape
          one.payload = payload
          edit(&one)
          all.append((name + family, one))
        }
      }
      add("plain") { _ in }
      for epoch in [-2, -1, 1, 2] { add("epoch \(epoch)") { $0.epoch = epoch } }
      for generation in [5, 6, 8, 9] { add("generation \(generation)") { $0.generation = generation } }
      for coffset in [0, 1, 5, 16, 17, 27, 33] { add("COffset \(coffset)") { $0.coffset = coffset } }
      add("IOffset 1") { ($0.coffset, $0.ioffset) = (7, 1) }
      add("IOffset 2") { ($0.coffset, $0.ioffset) = (7, 2) }
      add("another sender") { $0.id ^= 0x101 }
      add("another member") { $0.member = 12 }
      add("our own") { ($0.id, $0.member) = (shape.id & ~0xFFFF | 0x2A02, 2) }
      add("our ID, another member") { ($0.id, $0.member) = (0x2A02, 3) }
      add("another group") { ($0.group, $0.options) = (1, true) }
      add("another group, offset") { ($0.group, $0.options, $0.coffset) = (1, true, 5) }
      add("another group's host") { one in
        (one.group, one.options, one.payload) = (1, true, v4(from: "10.3.0.2"))
      }
      add("no group of ours") { ($0.group, $0.options) = (2, true) }
      add("other suite") { $0.suite = shape.suite == .aes128 ? .aes256 : .aes128 }
      add("other context") { $0.context = shape.context == .device ? .sourceAddress : .device }
      add("other options") { $0.options.toggle() }
      add("other width") { $0.isWide.toggle() }
      add("from elsewhere") { $0.source = 3 }
      for ecn in UInt8(1)...3 {
        for inner in UInt8(0)...3 {
          add("ECN \(inner) in \(ecn)") { one in
            one.tos = 0x20 | ecn
            one.payload[one.payload[0] >> 4 == 4 ? 1 : 0] ^= one.payload[0] >> 4 == 4 ? inner : 0
            if one.payload[0] >> 4 == 6 { one.payload[1] |= inner << 4 }
          }
        }
      }
      for (name, payload) in payloads {
        var one = shape
        one.payload = payload
        all.append((name, one))
      }
      return all
    }

    /// Inner packets changed at random, for what the list above does not think of.
    private static func random(_ shape: Foreign, seed: UInt64) -> [(String, Foreign)] {
      var oddities = Oddities(seed: seed)
      return (0..<64).map { _ in
        let frame = Packet.frame(to: .zero, from: .zero, oddities.pick([v4(), v6()]))
        let (odd, name) = oddities.changed(frame, ip: 14, reach: 80, vlan: nil)
        var one = shape
        one.payload = Array(odd.dropFirst(14))
        return ("inner \(name), seed \(seed)", one)
      }
    }

    @Test(arguments: [false, true]) func opening(vlans: Bool) throws {
      let station = try Station(2, groups: Self.groups) { Self.edit(&$0, vlans: vlans) }
      let ways = try TwoWays(station, groups: Self.groups)
      let shapes = Self.shapes.enumerated().filter { $0.offset % 2 == (vlans ? 1 : 0) || $0.offset < 2 }.map(\.element)
      let all = shapes.enumerated().map { index, shape in
        Self.variants(shape) + Self.random(shape, seed: UInt64(index * 2 + (vlans ? 1 : 0)))
      }
      let packets = try Foreign.seal(all.flatMap { $0.map(\.1) })
      try #require(packets.count == all.joined().count)
      let ip = vlans ? 18 : 14
      var next = 0
      for (number, variants) in all.enumerated() {
        let frames = variants.map { variant in
          defer { next += 1 }
          return variant.1.frame(packets[next], to: station.fabric.mac, vlans: vlans ? [200] : [])
        }
        let usual = Array(frames[0..<2])
        // Each oddity inside once, then outside many at random.
        for start in stride(from: 0, to: frames.count, by: 32) {
          let odds = (start..<min(start + 32, frames.count)).map {
            TwoWays.Odd(usual: usual, frame: frames[$0], name: variants[$0].0)
          }
          try ways.compare(odds, on: station.fabric, "opening \(shapes[number])")
        }
        for round in 0..<50 {
          let seed = UInt64(number * 100 + round) &* 2 &+ (vlans ? 1 : 0)
          var oddities = Oddities(seed: seed)
          let odds = (0..<32).map { _ in
            let frame = frames[oddities.below(2)]
            let (odd, name) = Self.changed(frame, ip: ip, vlan: vlans ? 200 : nil, &oddities)
            return TwoWays.Odd(usual: usual, frame: odd, name: name)
          }
          try ways.compare(odds, on: station.fabric, "opening, VLANs \(vlans), seed \(seed) \(shapes[number])")
        }
      }
      #expect(ways.repeated == 0, "a counter twice")
      station.finish()
    }

    /// In the outer headers or the security header, most of the time.
    private static func changed(_ frame: [UInt8], ip: Int, vlan: UInt16?, _ oddities: inout Oddities)
      -> (frame: [UInt8], name: String)
    {
      let isIPv4 = frame[ip] >> 4 == 4
      let upper = ip + (isIPv4 ? 20 : 40)
      let header = upper + (frame[ip + (isIPv4 ? 9 : 6)] == 17 ? 8 : 0)
      let end = header + 8 + 8 * Int(frame[header] & 0xF)
      switch oddities.below(8) {
      case 0: return (oddities.flipped(frame, 1, in: header..<end), "a bit of the security header")
      case 1: return (oddities.flipped(frame, 1, in: header..<header + 4), "a bit of its first word")
      case 2: return (oddities.flipped(frame, 1, in: end..<frame.count), "a bit of the payload")
      case 3: return (TwoWays.mended(oddities.flipped(frame, 1, in: ip..<header)), "an outer bit, mended")
      default: return oddities.changed(frame, ip: ip, reach: end, vlan: vlan)
      }
    }
  }
}
