import DataPlane
import Testing
import Wire

extension RingTests {
  /// Transport mode: a bump in the wire. Hosts 10.1.0.1 and 10.1.0.2 sit on one network with two bumps between them.
  @Suite struct Bumps {
    private static let far = MACAddress(rawValue: 0x0200_0000_000B)

    private static func bump(
      _ number: Int, mtu: UInt16 = 1500, carriage: GatewayPlan.Carriage = .udp, coffset: UInt8 = 0,
      _ edit: (inout GatewayPlan) -> Void = { _ in }
    ) throws -> Station {
      try Station(number) { plan in
        plan.ports[0].mode = .transport
        plan.ports[0].pair = 1
        plan.ports[1].pair = 0
        plan.ports[1].mtu = mtu
        for index in 0..<2 {
          plan.ports[index].addresses = []
          plan.ports[index].neighbours = []
        }
        var sealing = GatewayPlan.Sealing(group: 0)
        sealing.mode = .transport
        sealing.carriage = carriage
        sealing.coffset = coffset
        plan.peers = []
        let other = number == 1 ? 2 : 1
        plan.routes = Station.prefixes("10.1.0.\(other)/32", "2001:db8:1::\(other)/128").map {
          .init(prefix: $0, action: .seal(sealing))
        }
        plan.policies = [
          .init(
            group: 0, speaks: Station.prefixes("10.1.0.\(other)/32", "2001:db8:1::\(other)/128"), forms: [.transport])
        ]
        edit(&plan)
      }
    }

    private static func couple(
      mtu: UInt16 = 1500, carriage: GatewayPlan.Carriage = .udp, coffset: UInt8 = 0,
      _ edit: (inout GatewayPlan) -> Void = { _ in }
    ) throws -> Couple {
      Couple(
        one: try bump(1, mtu: mtu, carriage: carriage, coffset: coffset, edit),
        two: try bump(2, mtu: mtu, carriage: carriage, coffset: coffset, edit))
    }

    /// A bump neither routes nor owns addresses: frames pass for whomever they are.
    private static func carry(_ packet: [UInt8], _ couple: Couple, vlans: [Int] = [], type: Int? = nil) -> (
      outer: [[UInt8]], inner: [[UInt8]]
    ) {
      couple.one.put(Packet.frame(to: far, from: Station.host, vlans: vlans, type: type, packet), on: couple.one.clear)
      let outer = couple.one.taken()
      for frame in outer { couple.two.put(frame, on: couple.two.fabric, then: false) }
      couple.two.run()
      return (outer, couple.two.takenClear())
    }

    private static func expectCarried(
      _ packet: [UInt8], _ couple: Couple, vlans: [Int] = [], _ location: SourceLocation = #_sourceLocation
    ) throws {
      let (outer, inner) = carry(packet, couple, vlans: vlans)
      let drops = "\(couple.one.drops) \(couple.two.drops)"
      #expect(
        inner == [Packet.frame(to: far, from: Station.host, vlans: vlans, packet)], "\(drops)", sourceLocation: location
      )
      #expect(outer.count == 1, sourceLocation: location)
      let sealed = try #require(outer.first).dropFirst(14 + 4 * vlans.count)
      // The IP header stays but for protocol, length and checksum; the source's hop count too.
      let l3 = Array(sealed)
      if packet[0] >> 4 == 4 {
        let length = Int(packet[0] & 0xF) * 4
        #expect(
          Packet.checksum(Array(l3.prefix(length))) == 0 && Array(l3[12..<length]) == Array(packet[12..<length]),
          sourceLocation: location)
        #expect(
          l3[8] == packet[8] && l3.word(at: 2) == l3.count && [17, 253].contains(l3[9]), sourceLocation: location)
      } else {
        #expect(Array(l3[8..<40]) == Array(packet[8..<40]) && l3.word(at: 4) == l3.count - 40, sourceLocation: location)
      }
    }

    private static let hopByHop: [UInt8] = [60, 0, 5, 2, 0, 0, 1, 0]
    private static let destinationOptions: [UInt8] = [17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

    @Test(arguments: [GatewayPlan.Carriage.udp, .ip], [UInt8(0), 3, 20])
    func datagramsCross(_ carriage: GatewayPlan.Carriage, _ coffset: UInt8) throws {
      let couple = try Self.couple(carriage: carriage, coffset: coffset)
      for size in [0, 1, 2, 3, 16, 31, 100, 500, 1300] {
        let payload = Packet.udp(1000, 2000, Packet.pattern(size))
        try Self.expectCarried(
          Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", tos: 0xBA, id: 9, df: size % 2 == 0, ttl: 7, payload), couple)
        try Self.expectCarried(
          Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", options: [7, 7, 4, 0, 0, 0, 0, 0], payload), couple)
        try Self.expectCarried(
          Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", protocol: 47, Packet.pattern(size)), couple)
        try Self.expectCarried(
          Packet.ipv6(from: "2001:db8:1::1", to: "2001:db8:1::2", trafficClass: 0x2E, hops: 3, payload), couple)
        try Self.expectCarried(
          Packet.ipv6(
            from: "2001:db8:1::1", to: "2001:db8:1::2", next: 0, Self.hopByHop + Self.destinationOptions + payload),
          couple)
        try Self.expectCarried(Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", payload), couple, vlans: [100])
        try Self.expectCarried(
          Packet.ipv6(from: "2001:db8:1::1", to: "2001:db8:1::2", payload), couple, vlans: [7, 100])
      }
      couple.finish()
    }

    @Test func neighboursFindEachOther() throws {
      let couple = try Self.couple()
      let arp = Packet.pattern(28)
      let (outer, inner) = Self.carry(arp, couple, type: 0x0806)
      #expect(outer == inner && inner.count == 1)
      let solicitation = Packet.ipv6(
        from: "2001:db8:1::1", to: "ff02::1:ff00:2", next: 58, hops: 255, [135] + Packet.pattern(23))
      #expect(Self.carry(solicitation, couple).inner.count == 1)
      // Other types do not, nor anything that no route names.
      let drops = couple.one.drops { #expect(Self.carry(arp, couple, type: 0x88CC).outer.isEmpty) }
      #expect(drops == ["ether-type": 1])
      couple.finish()
    }

    @Test func failsClosed() throws {
      let couple = try Self.couple()
      let stray = Packet.ipv4(from: "10.1.0.1", to: "10.1.0.77", Packet.udp(1, 2, []))
      let outward = couple.one.drops { _ = Self.carry(stray, couple) }
      #expect(outward == ["no-route": 1])
      // In clear from the fabric.
      for (packet, reason) in [
        (stray, "unprotected"), (Packet.ipv4(from: "10.1.0.2", to: "10.1.0.1", Packet.udp(1, 2, [])), "unprotected"),
      ] {
        let drops = couple.one.drops {
          couple.one.put(Packet.frame(to: Self.far, from: Station.host, packet), on: couple.one.fabric)
        }
        #expect(drops == [reason: 1])
      }
      #expect(couple.one.takenClear().isEmpty)
      couple.finish()
    }

    @Test func passesWhereConfigured() throws {
      let couple = try Self.couple { $0.bypassUnmatched = true }
      let stray = Packet.ipv4(from: "10.1.0.1", to: "10.1.0.77", Packet.udp(1, 2, [1]))
      let (outer, inner) = Self.carry(stray, couple)
      #expect(outer == inner && inner.count == 1)
      #expect(Self.carry([1, 2, 3], couple, type: 0x88CC).inner.count == 1)
      couple.finish()
    }

    @Test func whoMaySpeak() throws {
      let couple = try Self.couple()
      let payload = Packet.udp(1, 2, Packet.pattern(30))
      let drops = couple.two.drops {
        // Host 1's neighbour, which bump 2 does not let speak for the group.
        #expect(Self.carry(Packet.ipv4(from: "10.1.0.9", to: "10.1.0.2", payload), couple).inner.isEmpty)
        #expect(Self.carry(Packet.ipv6(from: "2001:db8:1::9", to: "2001:db8:1::2", payload), couple).inner.isEmpty)
      }
      #expect(drops == ["policy-inner": 2])
      // A tunnel's form on a bump.
      let sealed = try Reference.seal([Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", payload)])
      for packet in sealed {
        let frame = Packet.frame(
          to: Self.far, from: Station.host, Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", Packet.udp(5, 4500, packet)))
        #expect(couple.two.drops { couple.two.put(frame, on: couple.two.fabric) } == ["policy-inner": 1])
      }
      couple.finish()
    }

    /// UDP 8, security header 56, Payload Info Header 4, ICV 16.
    @Test func announcedMTUIsExact() throws {
      let couple = try Self.couple()
      let most = 1500 - 8 - 56 - 4 - 16
      for isIPv4 in [true, false] {
        func packet(_ length: Int) -> [UInt8] {
          isIPv4
            ? Packet.ipv4(from: "10.1.0.1", to: "10.1.0.2", Packet.udp(1, 2, Packet.pattern(length - 28)))
            : Packet.ipv6(from: "2001:db8:1::1", to: "2001:db8:1::2", Packet.udp(1, 2, Packet.pattern(length - 48)))
        }
        let drops = couple.one.drops { #expect(Self.carry(packet(most + 1), couple).outer.isEmpty) }
        #expect(drops == ["too-big": 1])
        let answer = Array(try #require(couple.one.takeClear()).dropFirst(14))
        #expect(isIPv4 ? answer.word(at: 26) == most : answer.word(at: 46) == most)
        try Self.expectCarried(packet(most), couple)
      }
      couple.finish()
    }

    /// RFC 4301, section 7.1: whole datagrams only. Fragments are put together, sealed, and fragmented again outside.
    @Test func fragmentsAreMended() throws {
      let couple = try Self.couple(carriage: .ip)
      let data = Packet.pattern(2400)
      let first = Packet.ipv4(
        from: "10.1.0.1", to: "10.1.0.2", id: 5, df: false, fragment: 0x2000, Array(data.prefix(1200)))
      let second = Packet.ipv4(
        from: "10.1.0.1", to: "10.1.0.2", id: 5, df: false, fragment: 150, Array(data.dropFirst(1200)))
      #expect(Self.carry(second, couple).outer.isEmpty)
      let (outer, inner) = Self.carry(first, couple)
      #expect(outer.count == 2)
      // What comes out is again in pieces, as it does not fit the far host's link.
      #expect(
        inner.count == 2 && inner.map { Array($0.dropFirst(34)) }.sorted { $0.count > $1.count }.reduce([], +) == data)
      couple.finish()
    }
  }

  /// Ethernet mode: whole frames, tags and all.
  @Suite struct Frames {
    private static func couple(_ edit: (inout GatewayPlan) -> Void = { _ in }) throws -> Couple {
      func station(_ number: Int) throws -> Station {
        try Station(number) { plan in
          plan.ports[0].mode = .ethernet
          plan.ports[0].addresses = []
          plan.ports[0].neighbours = []
          var sealing = GatewayPlan.Sealing(group: 0)
          sealing.mode = .ethernet
          sealing.peers = [0]
          plan.frames[0] = sealing
          plan.routes = []
          plan.policies = [.init(group: 0, speaks: [], forms: [.ethernet])]
          edit(&plan)
        }
      }
      return Couple(one: try station(1), two: try station(2))
    }

    private static let payload = Packet.udp(1, 2, Packet.pattern(50))
    private static let far = MACAddress(rawValue: 0x0200_0000_000B)

    @Test func framesCross() throws {
      let couple = try Self.couple()
      for size in [0, 1, 45, 46, 300, 1400, 1500] {
        for tags in [[], [100], [7, 100], [7, 8, 9]] {
          let frame = Packet.frame(to: Self.far, from: Station.host, vlans: tags, type: 0x88CC, Packet.pattern(size))
          #expect(couple.carry(frame).inner == [frame], "\(size) \(tags)")
        }
      }
      let broadcast = Packet.frame(
        to: MACAddress(rawValue: 0xFFFF_FFFF_FFFF), from: Station.host,
        Packet.ipv4(from: "0.0.0.0", to: "255.255.255.255", Self.payload))
      #expect(couple.carry(broadcast).inner == [broadcast])
      #expect(couple.one.drops { couple.one.put(Packet.pattern(13), on: couple.one.clear) } == ["malformed-frame": 1])
      couple.finish()
    }

    /// Larger than the fabric's packets: in fragments.
    @Test func largeFrames() throws {
      let couple = try Self.couple { $0.ports[1].mtu = 1500 }
      let frame = Packet.frame(to: Self.far, from: Station.host, type: 0x88CC, Packet.pattern(1500))
      let (outer, inner) = couple.carry(frame)
      #expect(outer.count == 2 && inner == [frame])
      couple.finish()
    }

    /// Where the group has prefixes, who speaks IP or ARP must lie in them.
    @Test func whoMaySpeak() throws {
      let couple = try Self.couple { $0.policies[0].speaks = Station.prefixes("10.1.0.0/24", "2001:db8:1::/64") }
      func frame(_ packet: [UInt8], type: Int? = nil, tags: [Int] = []) -> [UInt8] {
        Packet.frame(to: Self.far, from: Station.host, vlans: tags, type: type, packet)
      }
      func arp(_ sender: String) -> [UInt8] {
        [0, 1, 8, 0, 6, 4, 0, 1] + Packet.octets(of: Station.host) + Packet.octets(sender) + Packet.pattern(10)
      }
      let good = [
        frame(Packet.ipv4(from: "10.1.0.9", to: "10.9.9.9", Self.payload)),
        frame(Packet.ipv6(from: "2001:db8:1::9", to: "2001:db8:9::9", Self.payload), tags: [5, 6]),
        frame(Packet.ipv6(from: "fe80::9", to: "ff02::1", Self.payload)), frame(arp("10.1.0.9"), type: 0x0806),
        frame(arp("0.0.0.0"), type: 0x0806), frame(Packet.pattern(60), type: 0x88CC),
      ]
      for frame in good { #expect(couple.carry(frame).inner == [frame]) }
      let bad = [
        frame(Packet.ipv4(from: "10.2.0.9", to: "10.9.9.9", Self.payload)),
        frame(Packet.ipv6(from: "2001:db8:2::9", to: "2001:db8:9::9", Self.payload)),
        frame(arp("10.2.0.9"), type: 0x0806),
        // An IPv6 packet borrows no IPv4 prefix.
        frame(Packet.ipv6(from: "::ffff:10.1.0.9", to: "2001:db8:9::9", Self.payload)),
        // What cannot be read may not pass for what may speak.
        frame(Array(Packet.ipv4(from: "10.1.0.9", to: "10.9.9.9", Self.payload).dropLast())),
        frame([1, 2, 3], type: 0x0806),
        frame(Packet.ipv4(from: "10.2.0.9", to: "10.9.9.9", Self.payload), tags: [5, 6, 7]),
      ]
      for frame in bad {
        let drops = couple.two.drops { #expect(couple.carry(frame).inner.isEmpty, "\(frame)") }
        #expect(drops == ["policy-inner": 1], "\(frame)")
      }
      couple.finish()
    }
  }
}
