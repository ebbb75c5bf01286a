import DataPlane
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// Packets of known flows fare as if nothing were known: each odd packet goes both ways, and what comes of it is the
  /// same (`TwoWays`). What the general way does is the other suites' matter.
  @Suite struct KnownFlows {
    /// How the clear side's flows are sealed: by the second number of the inner destination.
    private static func edit(_ plan: inout GatewayPlan, vlans: Bool) {
      plan.icmpRate = 100_000
      plan.ports[0].mtu = 9000
      plan.ports[1].mtu = 1500
      if vlans { (plan.ports[0].vlan, plan.ports[1].vlan) = (100, 200) }
      var ip = plan.peers
      for index in ip.indices {
        ip[index].name += "-ip"
        ip[index].carriage = .ip
      }
      plan.peers += ip
      var sealings = (0..<5).map { _ in GatewayPlan.Sealing(group: 0) }
      sealings[0].peers = [0]
      (sealings[1].peers, sealings[1].coffset, sealings[1].options) = ([1], 255, false)
      (sealings[2].peers, sealings[2].coffset, sealings[2].dscp) = ([2], 7, .fixed(46))
      (sealings[3].peers, sealings[3].coffset, sealings[3].ioffset, sealings[3].dscp) = ([3], 12, 1, .fixed(0))
      (sealings[3].suite, sealings[3].context) = (.aes128, .sourceAddress)
      (sealings[4].peers, sealings[4].group, sealings[4].coffset) = ([0, 1, 2, 3], 1, 255)
      plan.routes = sealings.enumerated().flatMap { index, sealing in
        Station.prefixes("10.\(index + 2).0.0/16", "2001:db8:\(index + 2)::/48").map {
          .init(prefix: $0, action: .seal(sealing))
        }
      }
      plan.policies.append(.init(group: 1, speaks: [], forms: [.ipv4]))
    }

    /// The usual packets of all flows.
    private static func packets() -> [[UInt8]] {
      (2...6).flatMap { route in
        var packets: [[UInt8]] = []
        for (index, number) in [17, 6, 6, 6].enumerated() {
          let size = [0, 5, 8, 15][index]
          let data = Packet.pattern(40 + 8 * route)
          let ports = Packet.word(1000 + index) + Packet.word(443)
          let segment = ports + [0, 0, 0, 1, 0, 0, 0, 0, UInt8(size << 4), 0x10, 0xFF, 0xFF, 0, 0, 0, 0]
          let options = [UInt8](repeating: 1, count: max(0, size - 5) * 4)
          let payload = number == 17 ? Packet.udp(1000, 2000, data) : segment + options + data
          packets.append(
            Packet.ipv4(
              from: "10.1.0.2", to: "10.\(route).0.2", protocol: UInt8(number), tos: UInt8(16 * index), id: 7,
              df: (route + index) % 2 == 0, payload))
          packets.append(
            Packet.ipv6(
              from: "2001:db8:1::2", to: "2001:db8:\(route)::2", next: UInt8(number), trafficClass: UInt8(16 * index),
              payload))
        }
        return packets
      }
    }

    @Test(arguments: [false, true]) func sealing(vlans: Bool) throws {
      let groups = [Keyring.train, Keyring.other]
      let station = try Station(1, groups: groups) { Self.edit(&$0, vlans: vlans) }
      let ways = try TwoWays(station, groups: groups)
      let tags = vlans ? [100] : []
      let usual = Self.packets().map { Packet.frame(to: station.clear.mac, from: Station.host, vlans: tags, $0) }
      let ip = vlans ? 18 : 14
      for seed in UInt64(0)..<800 {
        var oddities = Oddities(seed: seed &* 2 &+ (vlans ? 1 : 0))
        let odds = (0..<32).map { _ in
          let frame = oddities.pick(usual)
          let (odd, name) =
            switch oddities.below(6) {
            case 0: oddities.segment(frame, ip: ip)
            // About the largest that the tunnel takes whole, or far beyond.
            case 1:
              oddities.lengthened(
                frame, ip: ip, to: oddities.below(4) > 0 ? 1330 + oddities.below(130) : 1000 + oddities.below(7900))
            default: oddities.changed(frame, ip: ip, reach: 100, vlan: vlans ? 100 : nil)
            }
          return TwoWays.Odd(usual: [frame], frame: odd, name: name)
        }
        try ways.compare(odds, on: station.clear, "sealing, VLANs \(vlans), seed \(seed)")
      }
      #expect(ways.repeated == 0, "a counter twice")
      station.finish()
    }

    // MARK: Proxy

    private static func inner(_ side: Int, _ payload: [UInt8], number: UInt8 = 17, isIPv4: Bool = true) -> [UInt8] {
      isIPv4
        ? Packet.ipv4(from: "10.\(side + 1).0.2", to: "10.\(2 - side).0.2", protocol: number, id: 5, payload)
        : Packet.ipv6(from: "2001:db8:\(side + 1)::2", to: "2001:db8:\(2 - side)::2", next: number, payload)
    }

    private static func inners(_ side: Int) -> [[UInt8]] {
      let segment = [3, 232, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0xFF, 0xFF, 0, 0, 0, 0] + Packet.pattern(60)
      return [true, false].flatMap { isIPv4 in
        [
          inner(side, Packet.udp(1000, 2000, Packet.pattern(80)), isIPv4: isIPv4),
          inner(side, segment, number: 6, isIPv4: isIPv4),
        ]
      }
    }

    /// From one group into another: odd inside, and odd outside.
    @Test(arguments: [0, 1]) func proxying(side: Int) throws {
      var sides = [ProxyLab.Side(), ProxyLab.Side()]
      (sides[0].coffset, sides[0].mtu) = (5, 1500)
      (sides[1].coffset, sides[1].mtu, sides[1].suite, sides[1].outer) = (20, 1400, .aes128, 6)
      let station = try ProxyLab.proxy(sides) { plan in
        plan.icmpRate = 100_000
        // One policy after the other, which count apart.
        plan.proxies = [0, 1].flatMap { from in
          ["10.0.0.0/8", "2001:db8::/32"].map { prefix in
            var policy = ProxyLab.policy(from, 1 - from)
            policy.sources = Station.prefixes(prefix)
            return policy
          }
        }
      }
      let ways = try TwoWays(station, groups: ProxyLab.groups)
      let wire = ProxyLab.wire(station, side)
      var oddities = Oddities(seed: UInt64(500 + side))
      var (all, names): ([Foreign], [String]) = ([], [])
      func add(_ name: String, _ payload: [UInt8]) {
        var one = Foreign(group: side)
        one.payload = payload
        all.append(one)
        names.append(name)
      }
      for payload in Self.inners(side) { add("usual", payload) }
      for _ in 0..<32 * 24 {
        let frame = Packet.frame(to: .zero, from: .zero, oddities.pick(Self.inners(side)))
        let (odd, name) =
          switch oddities.below(4) {
          case 0: oddities.segment(frame, ip: 14)
          case 1: oddities.lengthened(frame, ip: 14, to: 1250 + oddities.below(150))
          default: oddities.changed(frame, ip: 14, reach: 80, vlan: nil)
          }
        add("inner \(name)", Array(odd.dropFirst(14)))
      }
      let packets = try Foreign.seal(all)
      func frame(_ index: Int, ecn: UInt8 = 0) -> [UInt8] {
        Packet.frame(
          to: wire.mac, from: Station.router, ProxyLab.outer(packets[index], side: side, sides[side], ecn: ecn))
      }
      let usual = (0..<4).map { frame($0) }
      for start in stride(from: 4, to: packets.count, by: 32) {
        let odds = (start..<min(start + 32, packets.count)).map { index in
          let ecn = UInt8(oddities.below(8))
          return TwoWays.Odd(
            usual: usual, frame: frame(index, ecn: ecn > 3 ? 0 : ecn), name: "\(names[index]), ECN \(ecn)")
        }
        try ways.compare(odds, on: wire, "proxy from \(side)")
      }
      for _ in 0..<60 {
        let odds = (0..<32).map { _ in
          let (odd, name) = oddities.changed(oddities.pick(usual), ip: 14, reach: 98, vlan: nil)
          return TwoWays.Odd(usual: usual, frame: odd, name: name)
        }
        try ways.compare(odds, on: wire, "proxy from \(side), outside")
      }
      #expect(ways.repeated == 0, "a counter twice")
      station.finish()
    }
  }
}
