import DataPlane
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// Far more flows than are remembered, at random and so in each other's places: each packet gets its own way, also in
  /// the burst in which another's pushes it out.
  @Suite struct ManyFlows {
    private static func mac(_ link: Int, _ number: Int) -> MACAddress {
      MACAddress(rawValue: 0x0200_0001_0000 | UInt64(link) << 8 | UInt64(number))
    }

    /// Addresses of both sides make the flow, the destination's third number its way; ports tell more.
    private static func packet(_ number: Int) -> [UInt8] {
      Packet.raw(
        from: [10, 1, 0, UInt8(number / 128 % 250)], to: [10, 2, UInt8(number % 128), UInt8(number / 32_000 + 2)],
        UInt16(truncatingIfNeeded: number), number)
    }

    /// Each once, or some often.
    private static func order(_ flows: Int, _ count: Int) -> [Int] {
      var random = RepeatableGenerator(seed: UInt64(flows))
      return flows == count
        ? (0..<flows).shuffled(using: &random) : (0..<count).map { _ in Int.random(in: 0..<flows, using: &random) }
    }

    /// 32 peers behind 32 next hops of a port, each for four of the inner networks 10.`to`.0.0/24 to
    /// 10.`to`.127.0/24.
    private static func addPeers(_ plan: inout GatewayPlan, like first: Int, network: String, to: Int, coffset: UInt8) {
      let peer = plan.peers[first]
      for number in 0..<32 {
        var peer = peer
        peer.name += ".\(number)"
        peer.nextHop = Station.address("\(network).\(100 + number)")
        plan.ports[peer.port].neighbours.append(.init(address: peer.nextHop, mac: mac(9, number)))
        plan.peers.append(peer)
        var sealing = GatewayPlan.Sealing(group: peer.port == 1 && plan.proxies.count > 0 ? 1 : 0)
        (sealing.peers, sealing.coffset) = ([plan.peers.count - 1], coffset)
        plan.routes.append(
          .init(prefix: Station.prefixes("10.\(to).\(number * 4).0/22")[0], action: .seal(sealing)))
      }
    }

    private static func put(_ numbers: [Int], into station: Station) -> [[UInt8]] {
      for number in numbers {
        station.put(
          Packet.frame(to: station.clear.mac, from: Station.host, packet(number)), on: station.clear, then: false)
      }
      station.run()
      return station.taken()
    }

    /// Sealed for each flow's peer, opened, and sent to each flow's next hop.
    @Test(arguments: [(12_000, 120_000), (100_000, 100_000)]) func betweenTwo(flows: Int, count: Int) throws {
      let couple = try Couple { plan in
        let own = Int(plan.member)
        plan.ports[0].addresses[0] = Station.prefixes("10.\(own).0.1/16")[0]
        for number in 0..<128 {
          let via = Station.address("10.\(own).255.\(number)")
          plan.ports[0].neighbours.append(.init(address: via, mac: Self.mac(own, number)))
          plan.routes.append(
            .init(prefix: Station.prefixes("10.\(own).\(number).0/24")[0], action: .forward(port: 0, via: via)))
        }
        Self.addPeers(&plan, like: 0, network: "192.0.2", to: 3 - own, coffset: 7)
      }
      let order = Self.order(flows, count)
      var wrong: [String] = []
      for start in stride(from: 0, to: count, by: 512) {
        let numbers = Array(order[start..<min(start + 512, count)])
        let outer = Self.put(numbers, into: couple.one)
        for frame in outer {
          // The inner header is in clear, 42 octets of outer headers and 56 of the security header from the start.
          let network = Int(frame[42 + 56 + 18])
          if Array(frame.prefix(6)) != Packet.octets(of: Self.mac(9, network / 4)) {
            wrong.append("sealed \(frame.hex)")
          }
          couple.two.put(Couple.readdressed(frame, to: couple.two.fabric.mac), on: couple.two.fabric, then: false)
        }
        couple.two.run()
        let inner = couple.two.takenClear()
        for frame in inner where Array(frame.prefix(6)) != Packet.octets(of: Self.mac(2, Int(frame[14 + 18]))) {
          wrong.append("opened \(frame.hex)")
        }
        // Each of them, and each as it was.
        let wanted = numbers.map { RoundTrips.hopped(Self.packet($0), by: 2) }
        if outer.count != numbers.count || Self.counted(inner.map { Array($0.dropFirst(14)) }) != Self.counted(wanted) {
          wrong.append("a burst of \(numbers.count): \(outer.count), \(inner.count)")
        }
      }
      #expect(
        wrong.isEmpty, "\(wrong.count) wrong: \(wrong.first ?? "") \(couple.one.drops) \(couple.two.drops)")
      couple.finish()
    }

    private static func counted(_ packets: [[UInt8]]) -> [[UInt8]: Int] {
      packets.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// From one group into another, where another flow's way would be another peer.
    @Test func throughAProxy() throws {
      let sender = try Station(1) { plan in
        plan.peers[0].address = Station.address("192.0.2.3")
        plan.peers[0].nextHop = Station.address("192.0.2.3")
      }
      let proxy = try ProxyLab.proxy { plan in
        Self.addPeers(&plan, like: 1, network: "198.51.100", to: 2, coffset: 7)
      }
      let order = Self.order(12_000, 120_000)
      var wrong: [String] = []
      for start in stride(from: 0, to: order.count, by: 512) {
        let numbers = Array(order[start..<min(start + 512, order.count)])
        for frame in Self.put(numbers, into: sender) {
          proxy.put(Couple.readdressed(frame, to: proxy.clear.mac), on: proxy.clear, then: false)
        }
        proxy.run()
        let sent = proxy.taken()
        if sent.count != numbers.count { wrong.append("a burst of \(numbers.count): \(sent.count)") }
        for frame in sent {
          let network = Int(frame[42 + 56 + 18])
          if Array(frame.prefix(6)) != Packet.octets(of: Self.mac(9, network / 4)) {
            wrong.append("proxied \(frame.hex)")
          }
        }
      }
      #expect(wrong.isEmpty, "\(wrong.count) wrong: \(wrong.first ?? "") \(proxy.drops)")
      sender.finish()
      proxy.finish()
    }
  }
}

extension Packet {
  /// A small UDP packet with a number in it, made quickly.
  static func raw(from source: [UInt8], to destination: [UInt8], _ port: UInt16, _ number: Int) -> [UInt8] {
    var packet: [UInt8] = [0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0] + source + destination
    packet.replaceSubrange(10..<12, with: word(Int(checksum(packet))))
    return packet + word(Int(port)) + [7, 208, 0, 12, 0, 0] + word(number >> 16) + word(number & 0xFFFF)
  }
}
