import DataPlane
import Testing
import Wire

extension RingTests {
  /// BFD and a pool's shared address through a gateway, from wire to wire.
  @Suite struct BFD {
    typealias Frames = SlowPathBFDTests
    static let routers = ["192.0.2.9", "2001:db8:f::9"]

    static func watch(_ plan: inout GatewayPlan) {
      plan.bfd.sessions = routers.map {
        .init(port: 1, neighbour: Station.address($0), interval: 50, multiplier: 3)
      }
      plan.bfd.tracked = [0]
    }

    /// A packet of a router to the station's address of its family.
    static func frame(
      _ station: Station, state: UInt8, from router: String, hops: UInt8 = 255, port: Int = 3784,
      yours: [UInt8] = [0, 0, 0, 0]
    ) -> [UInt8] {
      let own = router.contains(":") ? "2001:db8:f::2" : "192.0.2.2"
      let frame = Frames.frame(Frames.packet(state, yours: yours), from: router, to: own, hops: hops, port: port)
      return Couple.readdressed(frame, to: station.fabric.mac)
    }

    static func said(_ station: Station) -> [Frames.Said] {
      station.taken().compactMap { Frames.Said(.transmit($0, port: 1)) }
    }

    @Test(arguments: routers) func aSessionComesUp(_ router: String) throws {
      let station = try Station(2, Self.watch)
      #expect(
        station.drops { station.put(Self.frame(station, state: 1, from: router), on: station.fabric) } == ["handled": 1]
      )
      let opening = try #require(Self.said(station).first { $0.destination == router && $0.state == 2 })
      station.put(Self.frame(station, state: 3, from: router, yours: opening.mine), on: station.fabric)
      #expect(Self.said(station).contains { $0.destination == router && $0.state == 3 && $0.mine == opening.mine })
      let bfd = try #require(station.gateway.status.bfd)
      #expect(bfd.hold == nil && bfd.sessions.map(\.neighbour) == Self.routers.sorted { $0 < $1 })
      let session = try #require(bfd.sessions.first { $0.neighbour == router })
      #expect(session.state == "Up" && session.remoteState == "Up" && session.port == "fabric" && session.received == 2)
      // On its way out.
      station.gateway.leave()
      station.run()
      #expect(Self.said(station).contains { $0.destination == router && $0.state == 0 && $0.diagnostic == 7 })
      #expect(station.gateway.status.bfd?.hold == "the gateway is going to stop")
      station.finish()
    }

    /// A member that starts has its keys a moment later than its ports, and until then nobody is to send to it.
    @Test func noSessionComesUpBeforeThereAreKeys() throws {
      func watch(_ plan: inout GatewayPlan) {
        Self.watch(&plan)
        (plan.routes, plan.policies, plan.ports[1].defaultGroup) = ([], [], nil)
      }
      let station = try Station(2, groups: [], watch)
      #expect(station.gateway.status.bfd?.hold == "no trust group to seal and open in")
      station.put(Self.frame(station, state: 1, from: Self.routers[0]), on: station.fabric)
      #expect(!Self.said(station).contains { $0.state > 1 }, "AdminDown or Down")
      try station.gateway.reload(plan: station.plan, groups: [Keyring.train])
      #expect(station.gateway.status.bfd?.hold == nil)
      station.put(Self.frame(station, state: 1, from: Self.routers[0]), on: station.fabric)
      #expect(Self.said(station).contains { $0.destination == Self.routers[0] && $0.state == 2 })
      try station.gateway.reload(plan: station.plan, groups: [])
      #expect(station.gateway.status.bfd?.hold == "no trust group to seal and open in")
      station.run()
      #expect(Self.said(station).contains { $0.destination == Self.routers[0] && $0.state == 0 && $0.diagnostic == 6 })
      station.finish()
    }

    @Test(arguments: routers) func whatIsNotTheNeighboursIsDropped(_ router: String) throws {
      let station = try Station(2, Self.watch)
      func drops(_ frame: [UInt8]) -> [String: UInt64] {
        station.drops { station.put(frame, on: station.fabric) }
      }
      let stranger = router.contains(":") ? "2001:db8:f::8" : "192.0.2.8"
      #expect(drops(Self.frame(station, state: 1, from: router, hops: 254)) == ["bfd": 1])
      #expect(drops(Self.frame(station, state: 1, from: stranger)) == ["bfd": 1])
      #expect(drops(Self.frame(station, state: 1, from: router, yours: [1, 2, 3, 4])) == ["bfd": 1])
      #expect(drops(Self.frame(station, state: 1, from: router, port: 3785)) == ["unprotected": 1])
      #expect(Self.said(station).allSatisfy { $0.state == 1 })
      station.finish()
      // Without a session the port is nobody's.
      let alone = try Station(2)
      let unasked = alone.drops { alone.put(Self.frame(alone, state: 1, from: router), on: alone.fabric) }
      #expect(unasked == ["unprotected": 1] && alone.gateway.status.bfd == nil)
      alone.finish()
    }

    /// Who does not answer for a shared address opens what comes to it all the same, and a reload changes who does.
    @Test func everyMemberOpensWhatIsSentToTheSharedAddress() throws {
      let shared = "192.0.2.8"
      let couple = Couple(
        one: try Station(1) { plan in
          plan.peers[0].address = Station.address(shared)
          plan.peers[0].nextHop = Station.address(shared)
        },
        two: try Station(2) { plan in
          Self.watch(&plan)
          plan.ports[1].neighbours.removeAll { $0.address == Station.address(shared) }
          plan.ports[1].shared = [.init(address: Station.address(shared), after: [0])]
        })
      let packet = Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1000, 2000, Packet.pattern(64)))
      #expect(couple.two.gateway.status.shared?.map(\.active) == [false])
      #expect(couple.carry(packet: packet).inner.count == 1)
      var plan = couple.two.plan
      plan.ports[1].shared[0].after = []
      try couple.two.gateway.reload(plan: plan, groups: [Keyring.train])
      #expect(couple.two.gateway.status.shared?.map(\.active) == [true])
      #expect(couple.carry(packet: packet).inner.count == 1)
      couple.finish()
    }
  }
}
