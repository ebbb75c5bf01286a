import DataPlane
import Foundation
import Glibc
import Keys
import Support
import Testing
import Wire

extension RingTests {
  /// Connections with clients outside the group (wire format, section 5).
  @Suite struct Connections {
    private static let content = Packet.udp(1000, 2000, Packet.pattern(60))
    private static func toPool(from: String = ConnectionLab.address()) -> [UInt8] {
      Packet.ipv4(from: from, to: "10.2.0.2", content)
    }
    private static func toClient(_ address: String = ConnectionLab.address()) -> [UInt8] {
      Packet.ipv4(from: "10.2.0.2", to: address, content)
    }
    /// As so many gateways pass it on.
    private static func routed(from: String, to: String, hops: UInt8 = 1) -> [UInt8] {
      Packet.ipv4(from: from, to: to, ttl: 64 - hops, content)
    }

    @Test(arguments: Suite.allCases, [true, false])
    func memberSealsWhatTheReferenceOpens(_ suite: Suite, _ options: Bool) throws {
      let member = try ConnectionLab.member(suite: suite, options: options)
      member.fromHost(Self.toClient())
      let frame = try #require(member.take())
      let expected = ConnectionReference.opened(
        try ConnectionLab.id().fromPool, suite, Self.routed(from: "10.2.0.2", to: ConnectionLab.address()))
      #expect(try ConnectionReference.open([Array(frame.dropFirst(14 + 28))]) == [expected])
      // Its other traffic is sealed as ever.
      member.fromHost(Packet.ipv4(from: "10.2.0.2", to: "10.1.0.2", Self.content))
      let ordinary = try #require(member.take())
      #expect(
        try Reference.open([Array(ordinary.dropFirst(14 + 28))], overUDP: true, source: "192.0.2.2")
          == [Packet.ipv4(from: "10.2.0.2", to: "10.1.0.2", ttl: 63, Self.content).hex])
      // A slot that nobody has.
      let drops = member.drops { member.fromHost(Self.toClient(ConnectionLab.address(slot: 4))) }
      #expect(drops == ["no-route": 1] && member.take() == nil)
      member.finish()
    }

    @Test func memberOpensWhatTheReferenceSeals() throws {
      let id = try ConnectionLab.id()
      var wanted: [ConnectionReference.Wanted] = []
      for generation in [6, 7, 8] {
        for suite in Suite.allCases {
          wanted.append(.init(id: id, payload: Self.toPool(), suite: suite, generations: [generation, 7]))
        }
      }
      let member = try ConnectionLab.member()
      for packet in try ConnectionReference.seal(wanted) {
        let drops = member.drops { member.fromPeer(packet) }
        #expect(drops == [:])
        #expect(
          member.takenClear().map { Array($0.dropFirst(14)) }
            == [Self.routed(from: ConnectionLab.address(), to: "10.2.0.2")])
      }
      member.finish()
    }

    /// The order of section 6: what fails first names the drop.
    @Test func refusals() throws {
      let id = try ConnectionLab.id()
      let denied = try ConnectionLab.id(slot: 5)
      let foreign = ConnectionID(device: 0x2A03, number: try ConnectionLab.number())
      let good = ConnectionReference.Wanted(id: id, payload: Self.toPool())
      let cases: [(ConnectionReference.Wanted, String)] = [
        (.init(id: id.fromPool, payload: good.payload), "unknown-key"),
        (.init(id: foreign, payload: good.payload), "unknown-key"),
        (.init(id: id.fromPool, payload: good.payload, epoch: 3), "epoch"),
        (.init(id: id, payload: good.payload, epoch: -2), "epoch"),
        (.init(id: id, payload: Self.toPool(from: ConnectionLab.address(serial: 1))), "policy-inner"),
        (.init(id: id, payload: Self.toPool(from: ConnectionLab.address(slot: 4))), "policy-inner"),
        (.init(id: id, payload: Self.toPool(from: "10.1.0.2")), "policy-inner"),
        (.init(id: id, payload: Self.toPool(from: "10.2.0.9")), "policy-inner"),
        (.init(id: denied, payload: Self.toPool(from: ConnectionLab.address(slot: 5))), "unknown-key"),
        // Another client of the pool: its packets would go back to the protected side.
        (
          .init(id: id, payload: Packet.ipv4(from: ConnectionLab.address(), to: "10.128.48.130", Self.content)),
          "policy-inner"
        ),
      ]
      let packets = try ConnectionReference.seal(cases.map(\.0) + [good])
      let member = try ConnectionLab.member()
      for (packet, (_, reason)) in zip(packets, cases) {
        #expect(member.drops { member.fromPeer(packet) } == [reason: 1])
      }
      let last = try #require(packets.last)
      // With a tag that does not verify, the direction is still looked at first.
      #expect(
        member.drops { member.fromPeer(packets[0].setting(packets[0][80] ^ 1, at: 80)) } == ["unknown-key": 1])
      #expect(member.drops { member.fromPeer(last.setting(last[80] ^ 1, at: 80)) } == ["authentication": 1])
      #expect(member.takenClear().isEmpty)
      #expect(member.drops { member.fromPeer(last) } == [:] && member.takenClear().count == 1)
      // A gateway without clients opens no connection.
      let plain = try Station(2)
      #expect(plain.drops { plain.fromPeer(last) } == ["unknown-key": 1])
      plain.finish()
      member.finish()
    }

    /// A client that was removed is denied with the next plan, in both directions.
    @Test func removal() throws {
      let member = try ConnectionLab.member(slots: [ConnectionLab.slot, 9])
      let packet = try #require(
        try ConnectionReference.seal([.init(id: ConnectionLab.id(), payload: Self.toPool())]).first)
      #expect(member.drops { member.fromPeer(packet) } == [:])
      member.fromHost(Self.toClient())
      #expect(member.take() != nil)
      var plan = member.plan
      plan.clientPools = [try ConnectionLab.pool(plan, slots: [9])]
      try member.gateway.reload(plan: plan, groups: [Keyring.train])
      // No key is derived for it any more, though it would authenticate.
      #expect(member.drops { member.fromPeer(packet) } == ["unknown-key": 1])
      #expect(member.drops { member.fromHost(Self.toClient()) } == ["no-route": 1])
      usleep(120_000)
      member.run()
      #expect(member.gateway.status.cache.entries == 0)
      member.finish()
    }

    /// A client with keys that the reference derived, against a member that has the root keys.
    @Test(arguments: Suite.allCases, [true, false])
    func clientAgainstMember(_ suite: Suite, _ options: Bool) throws {
      Foreign.awaitEpoch()
      let group = try ConnectionLab.granted(
        ConnectionLab.id(), epochs: [ConnectionLab.epoch, ConnectionLab.epoch + 1],
        keys: ConnectionReference.keys)
      let client = try ConnectionLab.client(group, suite: suite, options: options)
      let member = try ConnectionLab.member(suite: suite, options: options)
      let couple = Couple(one: client, two: member)
      let there = couple.carry(packet: Self.toPool())
      #expect(
        there.inner.map { Array($0.dropFirst(14)) } == [
          Self.routed(from: ConnectionLab.address(), to: "10.2.0.2", hops: 2)
        ])
      member.fromHost(Self.toClient())
      for frame in member.taken() { client.put(Couple.readdressed(frame, to: client.fabric.mac), on: client.fabric) }
      #expect(
        client.takenClear().map { Array($0.dropFirst(14)) }
          == [Self.routed(from: "10.2.0.2", to: ConnectionLab.address(), hops: 2)])
      // Whatever else speaks on the client's side has no right to the connection.
      #expect(client.drops { client.fromHost(Self.toPool(from: "10.1.0.2")) } == ["policy-inner": 1])
      // Its own packets come back, another connection's, and packets of the group itself.
      let own = try #require(there.outer.first)
      let back = Packet.ipv4(from: "192.0.2.2", to: "192.0.2.1", Array(own.dropFirst(14 + 20)))
      #expect(client.drops { client.fromFabric(back) } == ["unknown-key": 1])
      let foreign = try ConnectionReference.seal([
        .init(id: ConnectionLab.id(serial: 1).fromPool, payload: Self.toClient()),
        .init(id: ConnectionLab.id().fromPool, payload: Self.toClient(), generations: [6, 7]),
      ])
      for packet in foreign {
        let outer = Packet.ipv4(from: "192.0.2.2", to: "192.0.2.1", Packet.udp(50000, 4500, packet))
        #expect(client.drops { client.fromFabric(outer) } == ["unknown-key": 1])
      }
      let ordinary = try Reference.seal([Self.toClient()])
      let outer = Packet.ipv4(from: "192.0.2.2", to: "192.0.2.1", Packet.udp(50000, 4500, ordinary[0]))
      #expect(client.drops { client.fromFabric(outer) } == ["unknown-key": 1])
      couple.finish()
    }

    /// Keys that the member's own engine derives, for every combination, are the reference's.
    @Test func derivedKeysAreTheReferences() throws {
      var wanted: [ConnectionKeyRequest] = []
      let maker = try ConnectionKeyMaker()
      let group = try ConnectionLab.granted(ConnectionLab.id(), epochs: [70_000], generations: [6, 7]) { requests in
        wanted = requests
        return try maker.keys(for: requests, of: Keyring.train)
      }
      let expected = try ConnectionReference.keys(for: wanted)
      #expect(group.grant?.keys.map(\.key) == expected && expected.count == 16)
      #expect(throws: KeyProblem.self) {
        try maker.keys(for: [.init(generations: [5, 7], request: wanted[0].request)], of: Keyring.train)
      }
    }

    /// Without a key for the epoch nothing leaves; a renewal brings it.
    @Test func epochWithoutKey() throws {
      let maker = try ConnectionKeyMaker()
      func group(_ epochs: [UInt64]) throws -> TrustGroup {
        try ConnectionLab.granted(ConnectionLab.id(), epochs: epochs) { try maker.keys(for: $0, of: Keyring.train) }
      }
      let client = try ConnectionLab.client(try group([ConnectionLab.epoch - 1]))
      #expect(client.drops { client.fromHost(Self.toPool()) } == ["counter-exhausted": 1])
      try client.gateway.reload(plan: client.plan, groups: [try group([ConnectionLab.epoch, ConnectionLab.epoch + 1])])
      #expect(client.drops { client.fromHost(Self.toPool()) } == [:])
      #expect(client.taken().count == 1)
      client.finish()
    }

    /// What a table that went held of a connection is nowhere in memory any more; what is in force is found.
    @Test func erasure() throws {
      // A connection of its own: other tests leave copies of the keys that theirs share, from the reference's output.
      let id = try ConnectionLab.id(slot: 6)
      let epoch = ConnectionLab.epoch
      var masked: [UInt64: [UInt8]] = [:]
      var client: Station?
      func group(_ epochs: [UInt64]) throws -> TrustGroup {
        let maker = try ConnectionKeyMaker()
        let group = try ConnectionLab.granted(id, epochs: epochs) { try maker.keys(for: $0, of: Keyring.train) }
        for key in group.grant?.keys ?? [] where !key.isFromPool && key.suite == .aes256 && key.generations == [7, 7] {
          masked[key.epoch] = key.key.withOctets { octets in octets.map { $0 ^ 0x5a } }
        }
        return group
      }
      let station = try ConnectionLab.client(try group([epoch, epoch + 1]))
      client = station
      station.fromHost(Self.toPool(from: ConnectionLab.address(slot: 6)))
      #expect(station.taken().count == 1)
      let old = try #require(masked[epoch])
      #expect(try !ProcessMemory.occurrences(masked: old).isEmpty)
      try station.gateway.reload(plan: station.plan, groups: [try group([epoch + 1, epoch + 2])])
      station.run()
      let left = try ProcessMemory.occurrences(masked: old)
      #expect(left == [])
      let live = try #require(masked[epoch + 1])
      #expect(try !ProcessMemory.occurrences(masked: live).isEmpty)
      station.finish()
      client = nil
      #expect(client == nil)
    }

    /// Data keys go with the last epoch in which they are accepted, though nobody pushes them out.
    @Test func keysOfPastEpochsGo() throws {
      let member = try ConnectionLab.member()
      let id = try ConnectionLab.id()
      let keeper = try #require(member.gateway.keeper)
      let wanted = ConnectionReference.Wanted(id: id, payload: Self.toPool(), suite: .aes256, generations: [7, 7])
      #expect(
        member.drops { for packet in (try? ConnectionReference.seal([wanted])) ?? [] { member.fromPeer(packet) } }
          == [:])
      // Without a record it seals one epoch ahead.
      member.fromHost(Self.toClient())
      let now = NodeSystem.clock()
      for (epochs, entries) in [(0, 2), (1, 2), (2, 1), (3, 0)] as [(UInt64, UInt64)] {
        keeper.tick(clock: now + 600 * epochs)
        // Lcores look every 100 ms.
        usleep(120_000)
        member.run()
        #expect(member.gateway.status.cache.entries == entries, "\(epochs) epochs on")
      }
      member.finish()
    }

    /// A plan that contradicts itself is refused, in words.
    @Test func plansThatCannotBe() throws {
      #expect(throws: GatewayError.self) { _ = try ConnectionLab.member { $0.deviceID = 1 << 40 } }
      #expect(throws: GatewayError.self) {
        _ = try ConnectionLab.member {
          $0.clientPools[0].prefix = IPPrefix("10.128.0.0/24") ?? $0.clientPools[0].prefix
        }
      }
      #expect(throws: GatewayError.self) { _ = try ConnectionLab.member { $0.clientPools.append($0.clientPools[0]) } }
      let id = try ConnectionLab.id()
      #expect(throws: GatewayError.self) {
        _ = try Station(1) { $0.connection = .init(group: 0, id: id, address: Station.address("10.128.48.128")) }
      }
    }
  }
}
