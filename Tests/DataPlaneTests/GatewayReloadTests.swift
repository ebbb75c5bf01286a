import DataPlane
import Glibc
import Keys
import Testing
import Wire

extension RingTests {
  /// New tables under traffic, and what the old ones leave behind: nothing.
  @Suite struct Reloads {
    private static let packet = Packet.ipv4(
      from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1000, 2000, Packet.pattern(100)))

    /// An lcore at work; every reload changes generations and routes.
    @Test func nothingIsLostUnderLoad() throws {
      let station = try Station(1)
      try station.gateway.launch()
      let frame = Packet.frame(to: station.clear.mac, from: Station.host, Self.packet)
      var (sent, got) = (0, 0)
      func pump(_ count: Int) {
        for _ in 0..<count {
          while !frame.withUnsafeBytes({ station.gateway.put($0, on: station.clear, queue: 0) }) {
            got += station.taken().count
          }
          sent += 1
          if sent % 64 == 0 {
            got += station.taken().count
            // Never more on the way than the far ring holds.
            while sent - got > 700 {
              usleep(20)
              got += station.taken().count
            }
          }
        }
      }
      pump(2000)
      // Each table has 64 MiB of prefixes: more reloads than memory would hold, if old ones stayed.
      for round in 0..<24 {
        var groups = [Keyring.train]
        if round % 2 == 0 { groups.append(Keyring.other) }
        var plan = station.plan
        plan.routes.append(.init(prefix: try #require(IPPrefix("10.3.\(round).0/24")), action: .drop))
        try station.gateway.reload(plan: plan, groups: groups)
        pump(500)
      }
      var waits = 0
      while got < sent, waits < 2000 {
        usleep(1000)
        waits += 1
        got += station.taken().count
      }
      #expect(got == sent && station.drops == [:], "\(sent - got) missing, \(station.drops)")
      station.gateway.stop()
      #expect(station.gateway.buffersLost == 0)
      let totals = station.gateway.status.totals
      #expect(totals.in == UInt64(sent) && totals.out == UInt64(sent))
    }

    @Test func groupThatWentOpensNothing() throws {
      let both = [Keyring.train, Keyring.other]
      let one = try Station(1, groups: both) { plan in
        plan.routes = plan.routes.map { route in
          guard case .seal(var sealing) = route.action else { return route }
          sealing.group = 1
          return .init(prefix: route.prefix, action: .seal(sealing))
        }
      }
      let two = try Station(2, groups: both) { plan in
        plan.policies.append(.init(group: 1, speaks: plan.policies[0].speaks, forms: plan.policies[0].forms))
      }
      one.fromHost(Self.packet)
      let frame = Couple.readdressed(try #require(one.take()), to: two.fabric.mac)
      func give() -> [String: UInt64] { two.drops { two.put(frame, on: two.fabric) } }
      #expect(give() == [:] && give() == [:])
      usleep(150_000)
      two.run()
      #expect(two.gateway.status.cache.entries == 1)

      var without = two.plan
      without.policies.removeLast()
      try two.gateway.reload(plan: without, groups: [Keyring.train])
      two.run()
      #expect(give() == ["unknown-key": 1])
      usleep(150_000)
      two.run()
      #expect(two.gateway.status.cache.entries == 0)

      // The same names with other octets: the old data key is not found again.
      let impostor = Keyring.group("other", isDefault: false, seed: 101) { group in
        group.rootKeys = group.rootKeys.enumerated().map { place, root in
          RootKey(
            level: root.level, id: root.id, previous: Keyring.generation(UInt8(200 + place), 6),
            current: Keyring.generation(UInt8(200 + place), 7),
            next: Keyring.generation(UInt8(200 + place), 8))
        }
      }
      try two.gateway.reload(plan: two.plan, groups: [Keyring.train, impostor])
      two.run()
      #expect(give() == ["authentication": 1])
      try two.gateway.reload(plan: two.plan, groups: both)
      two.run()
      #expect(give() == [:])
      one.finish()
      two.finish()
    }

    /// A generation that was rotated out.
    @Test func rotation() throws {
      let station = try Station(2)
      let old = try Reference.seal([Self.packet], generation: 6)
      let current = try Reference.seal([Self.packet], generation: 7)
      func opens(_ packets: [[UInt8]]) -> [String: UInt64] {
        station.drops { packets.forEach { station.fromPeer($0) } }
      }
      #expect(opens(old) == [:] && opens(current) == [:])
      let rotated = Keyring.group("train", isDefault: true, seed: 1, index: 8)
      try station.gateway.reload(plan: station.plan, groups: [rotated])
      station.run()
      #expect(opens(old) == ["unknown-key": 1] && opens(current) == [:])
      station.finish()
    }

    /// What cannot be taken over changes nothing.
    @Test func refusedWhole() throws {
      let station = try Station(1)
      #expect(throws: (any Error).self) { try station.gateway.reload(plan: station.plan, groups: []) }
      var fewer = station.plan
      fewer.ports.removeLast()
      #expect(throws: (any Error).self) { try station.gateway.reload(plan: fewer, groups: [Keyring.train]) }
      var narrow = station.plan
      narrow.deviceID |= 1 << 40
      #expect(throws: (any Error).self) { try station.gateway.reload(plan: narrow, groups: [Keyring.train]) }
      station.fromHost(Self.packet)
      #expect(station.taken().count == 1)
      station.finish()
    }

    /// Two lcores seal under one identity: no counter twice.
    @Test func lcoresHaveCountersOfTheirOwn() throws {
      let station = try Station(1, lcores: 2)
      var counters: Set<[UInt8]> = []
      for lcore in 0..<2 {
        for _ in 0..<100 {
          let frame = Packet.frame(to: station.clear.mac, from: Station.host, Self.packet)
          #expect(frame.withUnsafeBytes { station.gateway.put($0, on: station.clear, queue: lcore) })
          station.gateway.step(lcore: lcore)
          let sealed = try #require(station.fabric.take(queue: lcore))
          // Behind 42 octets of outer headers: ID, two options, and at octet 50 the counter of 48 bits.
          counters.insert(Array(sealed[42 + 50..<42 + 56]))
        }
      }
      #expect(counters.count == 200)
      #expect(Set(counters.map { $0[0] >> 2 }) == [1], "the member")
      #expect(Set(counters.map { ($0[0] & 3) << 3 | $0[1] >> 5 }) == [0, 1], "the lcores")
      while station.fabric.take(queue: 1) != nil {}
      station.finish()
    }
  }
}
