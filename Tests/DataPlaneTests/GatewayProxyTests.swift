import DataPlane
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// From one trust group into another: opened and sealed again in one go (docs/proxy.md).
  @Suite struct Proxies {
    private typealias Side = ProxyLab.Side
    private static let content = Packet.udp(1000, 2000, Packet.pattern(80))

    private static func v4(
      _ side: Int, from: String? = nil, to: String? = nil, ttl: UInt8 = 64, tos: UInt8 = 0,
      df: Bool = true, _ content: [UInt8] = content
    ) -> [UInt8] {
      Packet.ipv4(
        from: from ?? ["10.1.0.2", "10.2.0.2"][side], to: to ?? ["10.2.0.2", "10.1.0.2"][side], tos: tos, df: df,
        ttl: ttl,
        content)
    }
    private static func v6(
      _ side: Int, from: String? = nil, to: String? = nil, hops: UInt8 = 64, tos: UInt8 = 0,
      _ content: [UInt8] = content
    ) -> [UInt8] {
      Packet.ipv6(
        from: from ?? ["2001:db8:1::2", "2001:db8:2::2"][side], to: to ?? ["2001:db8:2::2", "2001:db8:1::2"][side],
        trafficClass: tos, hops: hops, content)
    }

    /// Every pair of outer family, suite and context, with carriage, options, wide IDs and offsets in turn; both directions, both
    /// inner families. The reference seals what goes in and opens what comes out.
    @Test(arguments: [EngineChoice.auto, .openSSL]) func shapes(_ engine: EngineChoice) throws {
      var shapes: [Side] = []
      for outer in [4, 6] {
        for suite in Suite.allCases {
          for context in [KeyContext.device, .sourceAddress] {
            let turn = shapes.count
            shapes.append(
              Side(
                outer: outer, carriage: turn % 3 == 0 ? .ip : .udp, suite: suite, context: context,
                options: turn % 2 == 0,
                isWide: turn % 4 == 3, coffset: [0, 5, 20][turn % 3], ioffset: turn % 3 == 2 ? 2 : 0))
          }
        }
      }
      struct Case { var sides: [Side], from: Int, packet: [UInt8] }
      var cases: [Case] = []
      for local in shapes {
        for global in shapes {
          for from in 0...1 {
            cases += [Self.v4(from, tos: 0xB8), Self.v6(from, tos: 0xB8)].map {
              Case(sides: [local, global], from: from, packet: $0)
            }
          }
        }
      }
      let sealed = try ProxyReference.seal(
        cases.map { .init(side: $0.from, payload: $0.packet, shape: $0.sides[$0.from]) })
      var out: [(side: Int, outer: [UInt8])] = []
      var expected: [String] = []
      for start in stride(from: 0, to: cases.count, by: 4) {
        let proxy = try ProxyLab.proxy(cases[start].sides, engine: engine)
        for (one, packet) in zip(cases[start..<start + 4], sealed[start..<start + 4]) {
          let to = 1 - one.from
          ProxyLab.put(ProxyLab.outer(packet, side: one.from, one.sides[one.from]), on: proxy, side: one.from)
          let sent = ProxyLab.taken(proxy, to)
          #expect(sent.count == 1 && ProxyLab.taken(proxy, one.from).isEmpty, "\(one) \(proxy.drops)")
          guard let outer = sent.first else { continue }
          let shape = one.sides[to]
          let isIPv4 = shape.outer == 4
          #expect(
            outer[0] >> 4 == UInt8(shape.outer) && (isIPv4 ? outer[9] : outer[6]) == (shape.carriage == .udp ? 17 : 253)
          )
          #expect(isIPv4 ? outer[1] == 0xB8 : outer.word(at: 0) >> 4 & 0xFF == 0xB8)
          // Neither side shows anything of the data.
          let data = Array(one.packet.suffix(24))
          #expect(!outer.contains(data) && !packet.contains(data))
          out.append((to, outer))
          let end = (one.packet[0] >> 4 == 4 ? 28 : 48) / 4
          let coffset = min(Int(shape.coffset), end)
          expected.append(
            ProxyReference.sight(
              to, shape, coffset: coffset, ioffset: min(Int(shape.ioffset), coffset),
              RoundTrips.hopped(one.packet, by: 1)))
        }
        let status = proxy.gateway.status
        #expect(status.proxies.map(\.packets) == [2, 2] && status.totals.sealed == 4 && status.totals.opened == 4)
        proxy.finish()
      }
      #expect(try ProxyReference.look(out) == expected)
      #expect(expected.count == 256)
    }

    @Test func policies() throws {
      let packets: [(Int, [UInt8], String?)] = [
        (0, Self.v4(0), nil), (1, Self.v4(1), nil), (0, Self.v6(0), nil), (1, Self.v6(1), nil),
        // Sources: spoken for, but not in the policy; then not even spoken for.
        (0, Self.v4(0, from: "10.1.9.2"), "policy-domain"), (0, Self.v6(0, from: "2001:db8:1:9::2"), "policy-domain"),
        (0, Self.v4(0, from: "10.7.0.2"), "policy-inner"), (1, Self.v4(1, from: "10.1.0.2"), "policy-inner"),
        // Destinations outside.
        (0, Self.v4(0, to: "10.2.9.2"), "policy-domain"), (0, Self.v6(0, to: "2001:db8:2:9::2"), "policy-domain"),
        // Back into the group that it came from.
        (0, Self.v4(0, to: "10.1.0.77"), "policy-domain"), (1, Self.v4(1, to: "10.2.0.77"), "policy-domain"),
        // In clear, or as transport mode: never.
        (0, Self.v4(0, to: "10.8.0.2"), "policy-domain"), (0, Self.v4(0, to: "10.9.0.2"), "policy-domain"),
        // Nowhere.
        (0, Self.v4(0, to: "10.77.0.1"), "no-route"), (0, Self.v4(0, to: "10.66.0.1"), "no-route"),
      ]
      let sealed = try ProxyReference.seal(packets.map { .init(side: $0.0, payload: $0.1) })
      func edit(_ plan: inout GatewayPlan) {
        for (place, prefixes) in [
          Station.prefixes("10.1.0.0/24", "2001:db8:1::/64"), Station.prefixes("10.2.0.0/24", "2001:db8:2::/64"),
        ].enumerated() {
          plan.proxies[place].sources = prefixes
          plan.proxies[1 - place].destinations = prefixes
        }
        var transport = GatewayPlan.Sealing(group: 1)
        transport.mode = .transport
        plan.routes += [
          .init(
            prefix: Station.prefixes("10.8.0.0/16")[0], action: .bypass(port: 1, via: Station.address("198.51.100.2"))),
          .init(prefix: Station.prefixes("10.9.0.0/16")[0], action: .seal(transport)),
          .init(prefix: Station.prefixes("10.66.0.0/16")[0], action: .drop),
        ]
        // Prefixes as wide as can be do not open what no route or no right is for.
        plan.proxies += [wide(0, 1), wide(1, 0)].map { policy in
          var policy = policy
          policy.sources = Station.prefixes("10.1.0.0/24", "10.7.0.0/16")
          policy.destinations = Station.prefixes("10.8.0.0/14", "10.64.0.0/10")
          return policy
        }
      }
      func wide(_ from: Int, _ to: Int) -> GatewayPlan.Proxy { GatewayPlan.Proxy(from: from, to: to) }
      let proxy = try ProxyLab.proxy { edit(&$0) }
      let bare = try ProxyLab.proxy { plan in
        edit(&plan)
        plan.proxies = []
      }
      for ((side, packet, reason), outer) in zip(packets, sealed) {
        for (station, isBare) in [(proxy, false), (bare, true)] {
          // Without any policy the gateway is no proxy, and what it drops has the name it always had.
          let wanted = isBare ? (reason == nil || reason == "policy-domain" ? "policy-inner" : reason) : reason
          let drops = station.drops { ProxyLab.put(ProxyLab.outer(outer, side: side), on: station, side: side) }
          #expect(drops == (wanted.map { [$0: 1] } ?? [:]), "\(packet)")
          let sent = (0...1).map { ProxyLab.taken(station, $0).count }
          #expect(sent == (wanted == nil ? (side == 0 ? [0, 1] : [1, 0]) : [0, 0]))
        }
      }
      proxy.finish()
      bare.finish()
    }

    /// A direction is a policy of its own, and a reload changes them under traffic.
    @Test func oneDirectionAndReload() throws {
      let proxy = try ProxyLab.proxy { $0.proxies = [GatewayPlan.Proxy(from: 0, to: 1)] }
      let sealed = try ProxyReference.seal(
        (0..<12).map { .init(side: $0 % 2, payload: Self.v4($0 % 2)) })
      func carried(_ packets: ArraySlice<[UInt8]>) -> [Int] {
        for (index, packet) in packets.enumerated() {
          ProxyLab.put(ProxyLab.outer(packet, side: index % 2), on: proxy, side: index % 2, then: false)
        }
        proxy.run()
        return [ProxyLab.taken(proxy, 1).count, ProxyLab.taken(proxy, 0).count]
      }
      #expect(carried(sealed[0..<4]) == [2, 0])
      var plan = proxy.plan
      plan.proxies.append(GatewayPlan.Proxy(from: 1, to: 0))
      try proxy.gateway.reload(plan: plan, groups: ProxyLab.groups)
      #expect(carried(sealed[4..<8]) == [2, 2])
      plan.proxies = []
      try proxy.gateway.reload(plan: plan, groups: ProxyLab.groups)
      #expect(carried(sealed[8..<12]) == [0, 0])
      #expect(proxy.drops["policy-domain"] == 2 && proxy.drops["policy-inner"] == 4)
      for faulty in [GatewayPlan.Proxy(from: 0, to: 0), .init(from: 0, to: 2), .init(from: -1, to: 1)] {
        plan.proxies = [faulty]
        #expect(throws: (any Error).self) { try proxy.gateway.reload(plan: plan, groups: ProxyLab.groups) }
      }
      proxy.finish()
    }

    /// Transport mode's segments and Ethernet frames stay in their group, whatever a policy says.
    @Test func otherForms() throws {
      let frame = Packet.frame(to: Station.host, from: Station.router, Self.v4(0))
      let payloads = [[0, 0, 17, 0] + Self.content, [0, 0, 143, 0] + frame, [0, 0, 4, 0] + Self.v4(0)]
      let sealed = try ProxyReference.seal(payloads.map { .init(side: 0, payload: $0) })
      for forms in [[.ipv4, .ipv6], [.ipv4, .ipv6, .transport, .ethernet]] as [Set<PayloadForm>] {
        let proxy = try ProxyLab.proxy { plan in
          plan.policies[0].forms = forms
          plan.proxies = [GatewayPlan.Proxy(from: 0, to: 1)]
        }
        for packet in sealed {
          #expect(
            proxy.drops { ProxyLab.put(ProxyLab.outer(packet, side: 0), on: proxy, side: 0) } == ["policy-inner": 1])
        }
        #expect(ProxyLab.taken(proxy, 1).isEmpty && ProxyLab.taken(proxy, 0).isEmpty)
        proxy.finish()
      }
    }

    /// The error is sealed into the domain of the packet that it is about, and quotes it nowhere else.
    @Test func hopLimit() throws {
      let packets = [
        Self.v4(0, ttl: 1), Self.v6(0, hops: 1), Self.v4(1, ttl: 0), Self.v6(1, hops: 1), Self.v4(0, ttl: 2),
      ]
      let sides = [0, 0, 1, 1, 0]
      let sealed = try ProxyReference.seal(zip(sides, packets).map { .init(side: $0, payload: $1) })
      let proxy = try ProxyLab.proxy()
      var errors: [(side: Int, outer: [UInt8])] = []
      for (index, packet) in sealed.enumerated() {
        let side = sides[index]
        let drops = proxy.drops { ProxyLab.put(ProxyLab.outer(packet, side: side), on: proxy, side: side) }
        let back = ProxyLab.taken(proxy, side)
        let on = ProxyLab.taken(proxy, 1 - side)
        #expect(drops == (index < 4 ? ["hop-limit": 1] : [:]))
        #expect(back.count == (index < 4 ? 1 : 0) && on.count == (index < 4 ? 0 : 1))
        errors += back.map { (side, $0) }
      }
      for (index, line) in try ProxyReference.look(errors).enumerated() {
        let words = line.split(separator: " ")
        let error = try #require(words.last.flatMap { [UInt8](hex: String($0)) })
        #expect(words[0] == ["train", "other"][sides[index]])
        let original = packets[index]
        let isIPv4 = original[0] >> 4 == 4
        #expect(isIPv4 ? error[9] == 1 && error[20] == 11 : error[6] == 58 && error[40] == 3)
        // From the far end's address, for want of a clear side, to the source; with the packet as it came.
        #expect(
          isIPv4
            ? Array(error[12..<20]) == Array(original[16..<20] + original[12..<16])
            : Array(error[8..<40]) == Array(original[24..<40] + original[8..<24]))
        #expect(Array(error.dropFirst(isIPv4 ? 28 : 48)) == original)
      }
      // A source whose route leads into the other group: nothing of the packet goes there.
      let crossed = try ProxyLab.proxy { plan in
        guard case .seal(let sealing)? = plan.routes.last?.action else { return }
        plan.routes.append(.init(prefix: Station.prefixes("10.1.66.0/24")[0], action: .seal(sealing)))
      }
      let packet = try ProxyReference.seal(Self.v4(0, from: "10.1.66.2", ttl: 1), side: 0)
      #expect(crossed.drops { ProxyLab.put(ProxyLab.outer(packet, side: 0), on: crossed, side: 0) } == ["hop-limit": 1])
      #expect(ProxyLab.taken(crossed, 0).isEmpty && ProxyLab.taken(crossed, 1).isEmpty)
      proxy.finish()
      crossed.finish()
    }

    /// Two proxies whose routes lead in a circle: the hop limit ends it.
    @Test func loops() throws {
      // The second one sends what it opens of group 1 back as group 0.
      let first = try ProxyLab.proxy()
      let second = try ProxyLab.proxy { plan in
        for side in 0...1 {
          plan.identities[side]?.member += 1
          // It stands where stations 1 and 2 stand for the first.
          plan.ports[side].addresses =
            [
              Station.prefixes("192.0.2.1/24", "2001:db8:f::1/64"),
              Station.prefixes("198.51.100.2/24", "2001:db8:e::2/64"),
            ][side]
          plan.ports[side].neighbours = [["192.0.2.3"], ["198.51.100.3"]][side].map {
            .init(address: Station.address($0), mac: Station.router)
          }
          plan.peers[side].address = Station.address(["192.0.2.3", "198.51.100.3"][side])
          plan.peers[side].nextHop = plan.peers[side].address
          plan.peers[side].source = Station.address(["192.0.2.1", "198.51.100.2"][side])
          plan.policies[side].speaks = Station.prefixes("10.0.0.0/8")
        }
        guard case .seal(let local)? = plan.routes.first?.action else { return }
        plan.routes = [.init(prefix: Station.prefixes("10.2.0.0/16")[0], action: .seal(local))]
        plan.proxies = [GatewayPlan.Proxy(from: 1, to: 0)]
      }
      let packet = try ProxyReference.seal(Self.v4(0, ttl: 9), side: 0)
      var moving = [ProxyLab.outer(packet, side: 0)]
      var turns = 0
      while !moving.isEmpty, turns < 100 {
        for outer in moving { ProxyLab.put(outer, on: first, side: 0) }
        let between = ProxyLab.taken(first, 1)
        for outer in between { ProxyLab.put(outer, on: second, side: 1) }
        moving = ProxyLab.taken(second, 0)
        turns += between.count
      }
      #expect(turns == 4, "9 hops: eight passed on, the ninth is the end")
      #expect((first.drops["hop-limit"] ?? 0) + (second.drops["hop-limit"] ?? 0) == 1)
      first.finish()
      second.finish()
    }

    /// Each side has its MTU; what does not fit is reported into the domain that it came from, or fragmented outside.
    @Test(arguments: [(1400, 1600), (1600, 1400)]) func sizes(_ mtus: (Int, Int)) throws {
      let sides = [Side(mtu: UInt16(mtus.0)), Side(outer: 6, context: .sourceAddress, mtu: UInt16(mtus.1))]
      let proxy = try ProxyLab.proxy(sides)
      // Outer headers, security header with two options, ICV.
      let overhead = [20 + 8 + 56 + 16, 40 + 8 + 56 + 16]
      for from in 0...1 {
        let to = 1 - from
        let room = [mtus.0, mtus.1][to] - overhead[to]
        let fits = Packet.udp(1000, 2000, Packet.pattern(room - 28))
        let beyond = fits + [1]
        let cases: [([UInt8], Int)] = [
          (Self.v4(from, fits), 0), (Self.v4(from, beyond), room), (Self.v4(from, df: false, beyond), -1),
          (Self.v6(from, Packet.udp(1000, 2000, Packet.pattern(room - 48))), 0),
          (Self.v6(from, Packet.udp(1000, 2000, Packet.pattern(max(room, 1280) - 47))), max(room, 1280)),
        ]
        let sealed = try ProxyReference.seal(cases.map { .init(side: from, payload: $0.0, shape: sides[from]) })
        for ((packet, result), outer) in zip(cases, sealed) {
          let drops = proxy.drops {
            ProxyLab.put(ProxyLab.outer(outer, side: from, sides[from]), on: proxy, side: from)
          }
          let on = ProxyLab.taken(proxy, to)
          let back = ProxyLab.taken(proxy, from)
          if result > 0 {
            #expect(drops == ["too-big": 1] && on.isEmpty && back.count == 1)
            let line = try #require(try ProxyReference.look(back.map { (from, $0) }).first)
            let words = line.split(separator: " ")
            let error = try #require(words.last.flatMap { [UInt8](hex: String($0)) })
            #expect(words[0] == ["train", "other"][from])
            let isIPv4 = packet[0] >> 4 == 4
            #expect(
              isIPv4
                ? error[20] == 3 && error[21] == 4 && error.word(at: 26) == result
                : error[40] == 2 && error.word(at: 46) == result)
          } else {
            #expect(drops == [:] && back.isEmpty && on.count == (result < 0 ? 2 : 1), "\(packet.count)")
            guard result == 0, let outer = on.first else { continue }
            let line = try #require(try ProxyReference.look([(to, outer)]).first)
            #expect(line.hasSuffix(" " + RoundTrips.hopped(packet, by: 1).hex))
          }
        }
      }
      proxy.finish()
    }

    /// A SYN announces no segment that does not fit both ways: to its receiver as sealed for one side, and back as for the other.
    @Test func segments() throws {
      let sides = [Side(mtu: 1300), Side(mtu: 1500)]
      let proxy = try ProxyLab.proxy(sides)
      let payloads = (0...1).map { side in
        Packet.ipv4(
          from: ["10.1.0.2", "10.2.0.2"][side], to: ["10.2.0.2", "10.1.0.2"][side], protocol: 6,
          Packet.syn(from: ["10.1.0.2", "10.2.0.2"][side], to: ["10.2.0.2", "10.1.0.2"][side], mss: 1460))
      }
      let sealed = try ProxyReference.seal(payloads.enumerated().map { .init(side: $0, payload: $1) })
      for from in 0...1 {
        ProxyLab.put(ProxyLab.outer(sealed[from], side: from), on: proxy, side: from)
        let out = try #require(ProxyLab.taken(proxy, 1 - from).first)
        let line = try #require(try ProxyReference.look([(1 - from, out)]).first)
        let packet = try #require(line.split(separator: " ").last.flatMap { [UInt8](hex: String($0)) })
        // The narrower side: 1300 less 100 of outside, 40 of inside.
        #expect(packet.word(at: 42) == 1300 - 100 - 40)
        let segment = Array(packet.dropFirst(20))
        let names = ["10.1.0.2", "10.2.0.2"]
        #expect(Packet.transportChecksum(6, names[from], names[1 - from], segment) == 0)
      }
      proxy.finish()
    }

    /// RFC 6040 out of one tunnel and into the next.
    @Test func congestion() throws {
      let (notECT, ect0, ce) = (UInt8(0), UInt8(2), UInt8(3))
      let cases: [(inner: UInt8, outer: UInt8, result: UInt8?)] = [
        (notECT, notECT, notECT), (ect0, ect0, ect0), (ect0, ce, ce), (ce, ce, ce), (ect0, notECT, ect0),
        (notECT, ce, nil),
      ]
      let packets = cases.flatMap { [Self.v4(0, tos: 0x28 | $0.inner), Self.v6(0, tos: 0x28 | $0.inner)] }
      let sealed = try ProxyReference.seal(packets.map { .init(side: 0, payload: $0) })
      let proxy = try ProxyLab.proxy()
      for (index, packet) in sealed.enumerated() {
        let one = cases[index / 2]
        let drops = proxy.drops {
          ProxyLab.put(ProxyLab.outer(packet, side: 0, ecn: one.outer), on: proxy, side: 0)
        }
        let sent = ProxyLab.taken(proxy, 1)
        #expect(drops == (one.result == nil ? ["congestion": 1] : [:]))
        #expect(sent.map { $0[1] } == (one.result.map { [0x28 | $0] } ?? []))
        guard let result = one.result, let outer = sent.first else { continue }
        let line = try #require(try ProxyReference.look([(1, outer)]).first)
        let inner = try #require(line.split(separator: " ").last.flatMap { [UInt8](hex: String($0)) })
        #expect((inner[0] >> 4 == 4 ? Int(inner[1]) : inner.word(at: 0) >> 4 & 0xFF) == Int(0x28 | result))
      }
      proxy.finish()
    }

    /// The proxy is somebody else in each group, and knows its own packets of each.
    @Test func ownPacketsByGroup() throws {
      let proxy = try ProxyLab.proxy { $0.policies[1].speaks += ProxyLab.inner[0] }
      var sealed: [[UInt8]] = []
      for (id, member) in ProxyLab.identities {
        sealed += try ProxyReference.seal(
          (0...1).map { .init(side: $0, payload: Self.v4($0), id: id, member: Int(member)) })
      }
      // Local ID in local, local ID in global, global ID in local, global ID in global.
      for (index, reason) in ["policy-inner", nil, nil, "policy-inner"].enumerated() {
        let side = index % 2
        let drops = proxy.drops { ProxyLab.put(ProxyLab.outer(sealed[index], side: side), on: proxy, side: side) }
        #expect(drops == (reason.map { [$0: 1] } ?? [:]), "\(index)")
        #expect(ProxyLab.taken(proxy, 1 - side).count == (reason == nil ? 1 : 0))
      }
      // What it sent into the other group itself.
      let packet = try ProxyReference.seal(Self.v4(0), side: 0)
      ProxyLab.put(ProxyLab.outer(packet, side: 0), on: proxy, side: 0)
      let sent = try #require(ProxyLab.taken(proxy, 1).first)
      let back = ProxyLab.outer(ProxyLab.protectedPart(sent), side: 1)
      #expect(proxy.drops { ProxyLab.put(back, on: proxy, side: 1) } == ["policy-inner": 1])
      proxy.finish()
      for member in [64, 255] as [UInt8] {
        #expect(throws: (any Error).self) { try ProxyLab.proxy { $0.identities[1]?.member = member } }
      }
      #expect(throws: (any Error).self) { try ProxyLab.proxy { $0.identities[1]?.deviceID = 1 << 32 } }
    }

    /// Full bursts of both directions, with drops between, in fragments and whole: everything that went in came out or is counted.
    @Test func bursts() throws {
      let proxy = try ProxyLab.proxy()
      var packets: [[UInt8]] = []
      for index in 0..<64 {
        packets.append(
          index % 5 == 4 ? Self.v4(0, to: "10.1.0.9") : Self.v4(0, Packet.udp(1, 2, Packet.pattern(index * 19))))
      }
      let sealed = try ProxyReference.seal(packets.map { .init(side: 0, payload: $0) })
      for (index, packet) in sealed.enumerated() {
        let outer = ProxyLab.outer(
          index % 7 == 6 ? packet.dropLast() + [packet[packet.count - 1] ^ 1] : packet, side: 0)
        ProxyLab.put(outer, on: proxy, side: 0, then: false)
      }
      proxy.run()
      let bad = (0..<64).filter { $0 % 7 == 6 }.count
      let refused = (0..<64).filter { $0 % 5 == 4 && $0 % 7 != 6 }.count
      let good = (0..<64).filter { $0 % 5 != 4 && $0 % 7 != 6 }
      #expect(proxy.drops == ["authentication": UInt64(bad), "policy-domain": UInt64(refused)])
      let sent = ProxyLab.taken(proxy, 1)
      let seen = try ProxyReference.look(sent.map { (1, $0) })
      #expect(
        seen.map { $0.split(separator: " ").last.map(String.init) }
          == good.map { RoundTrips.hopped(packets[$0], by: 1).hex })
      #expect(Set(sent.map { Array(ProxyLab.protectedPart($0)[48..<56]) }).count == good.count, "counters differ")
      // An outer datagram in fragments is put together first.
      let large = try ProxyReference.seal(Self.v4(0, Packet.udp(1, 2, Packet.pattern(1500))), side: 0)
      let whole = ProxyLab.outer(large, side: 0)
      let body = Array(whole.dropFirst(20))
      for (offset, part) in [(0, body.prefix(1000)), (1000, body.dropFirst(1000))] {
        let isLast = offset > 0
        ProxyLab.put(
          Packet.ipv4(
            from: "192.0.2.1", to: "192.0.2.3", id: 7, df: false, fragment: offset / 8 | (isLast ? 0 : 0x2000),
            Array(part)),
          on: proxy, side: 0)
      }
      #expect(ProxyLab.taken(proxy, 1).count == 1)
      proxy.finish()
    }

    /// Outside clients are in no group: only a policy that names them lets them through, either way.
    @Test(arguments: [false, true]) func clients(_ admits: Bool) throws {
      let proxy = try ProxyLab.proxy { plan in
        var sealing = GatewayPlan.Sealing(group: 0)
        sealing.options = true
        plan.identities[0]?.deviceID = UInt64(ConnectionLab.device)
        plan.identities[0]?.member = 2
        guard let prefix = IPPrefix(ConnectionLab.prefix) else { return }
        plan.clientPools = [
          .init(group: 0, prefix: prefix, sealing: sealing, clients: [ConnectionLab.slot: plan.peers[0]])
        ]
        for place in plan.proxies.indices { plan.proxies[place].clients = admits }
        plan.proxies[0].sources.append(prefix)
        plan.proxies[1].destinations.append(prefix)
      }
      let client = ConnectionLab.address()
      let sealed = try #require(
        try ConnectionReference.seal([
          .init(id: try ConnectionLab.id(), payload: Self.v4(0, from: client))
        ]).first)
      let out = proxy.drops { ProxyLab.put(ProxyLab.outer(sealed, side: 0), on: proxy, side: 0) }
      #expect(out == (admits ? [:] : ["policy-domain": 1]))
      #expect(
        try ProxyReference.look(ProxyLab.taken(proxy, 1).map { (1, $0) }).map { $0.split(separator: " ")[0] }
          == (admits ? ["other"] : []))
      let answer = try ProxyReference.seal(Self.v4(1, to: client), side: 1)
      let back = proxy.drops { ProxyLab.put(ProxyLab.outer(answer, side: 1), on: proxy, side: 1) }
      #expect(back == (admits ? [:] : ["policy-domain": 1]))
      let sent = ProxyLab.taken(proxy, 0)
      #expect(sent.count == (admits ? 1 : 0))
      if let outer = sent.first {
        #expect(
          try ConnectionReference.open([ProxyLab.protectedPart(outer)])
            == [
              ConnectionReference.opened(
                try ConnectionLab.id().fromPool, .aes256,
                RoundTrips.hopped(Self.v4(1, to: client), by: 1))
            ])
      }
      proxy.finish()
    }
  }
}
