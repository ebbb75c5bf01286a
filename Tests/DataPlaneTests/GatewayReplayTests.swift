import DataPlane
import Foundation
import Keys
import Testing
import Wire

extension RingTests {
  /// Replay protection through whole gateways (wire format, section 6), with packets of the independent implementation.
  @Suite struct Replay {
    private static let inner = Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", Packet.udp(1000, 2000, Packet.pattern(40)))
    private static let shape = ReplayShape(windows: 64, largestWindow: 64)

    /// The packets of one lcore of member 33, by their sequence numbers.
    private static func sealed(_ sequences: [UInt64], lcore: UInt64 = 0, generation: Int = 7, epoch: Int = 0) throws
      -> [[UInt8]]
    {
      try Reference.seal(
        inner, as: sequences.map { (0x2A63, 33 << 42 | lcore << 37 | $0 & (1 << 37 - 1)) }, generation: generation,
        epoch: epoch)
    }

    private static func windows(_ station: Station) -> Int? { station.gateway.status.replay?.windows }

    @Test func duplicatesAndLatePackets() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Self.sealed(Array(0..<200))
      for packet in packets[..<100] { #expect(station.drops { station.fromPeer(packet) } == [:]) }
      #expect(station.takenClear().count == 100)
      for place in [99, 98, 36] {
        #expect(station.drops { station.fromPeer(packets[place]) } == ["replay-duplicate": 1], "\(place)")
      }
      for place in [35, 34, 0] {
        #expect(station.drops { station.fromPeer(packets[place]) } == ["replay-late": 1], "\(place)")
      }
      // Out of order inside the window, each once: 100 to 199 in steps of 37.
      let shuffled = (0..<100).map { 100 + $0 / 50 * 50 + $0 * 37 % 50 }
      for place in shuffled { #expect(station.drops { station.fromPeer(packets[place]) } == [:], "\(place)") }
      #expect(station.takenClear().count == 100)
      let drops = station.drops { packets.forEach { station.fromPeer($0) } }
      #expect(drops == ["replay-late": 200 - 64, "replay-duplicate": 64])
      #expect(station.takenClear().isEmpty && Self.windows(station) == 1)
      station.finish()
    }

    /// The same packet twice in one burst: both look new before either is opened.
    @Test func twiceInOneBurst() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Self.sealed([5, 6, 5, 5, 6])
      #expect(packets[0] == packets[2])
      let drops = station.drops {
        for packet in packets {
          let outer = Packet.ipv4(from: "192.0.2.1", to: "192.0.2.2", Packet.udp(50000, 4500, packet))
          station.put(
            Packet.frame(to: station.fabric.mac, from: Station.router, outer), on: station.fabric, then: false)
        }
        station.run()
      }
      #expect(drops == ["replay-duplicate": 3] && station.takenClear().count == 2)
      station.finish()
    }

    /// What an attacker can alter (source port, outer address) leads to no other window, on whichever lcore it arrives.
    @Test func anotherPathAndAnotherLcore() throws {
      let station = try Station(2, lcores: 2, replay: Self.shape)
      let packets = try Self.sealed(Array(0..<64))
      func frame(_ packet: [UInt8], port: Int, source: String) -> [UInt8] {
        let outer = Packet.ipv4(from: source, to: "192.0.2.2", Packet.udp(port, 4500, packet))
        return Packet.frame(to: station.fabric.mac, from: Station.router, outer)
      }
      for (place, packet) in packets.enumerated() {
        for (queue, port) in [(place % 2, 50000), (1 - place % 2, 60000 + place)] {
          let isPut = frame(packet, port: port, source: queue == 0 ? "192.0.2.1" : "198.51.100.7").withUnsafeBytes {
            station.gateway.put($0, on: station.fabric, queue: queue)
          }
          #expect(isPut)
        }
      }
      station.gateway.step(lcore: 0)
      station.gateway.step(lcore: 1)
      station.gateway.step(lcore: 1)
      station.run()
      // Each lcore sends through a queue of its own.
      let passed = station.takenClear().count + Array(sequence(state: ()) { _ in station.clear.take(queue: 1) }).count
      #expect(passed == 64)
      #expect(station.drops["replay-duplicate"] == 64 && Self.windows(station) == 1)
      #expect(station.gateway.status.lcores.allSatisfy { $0.opened > 0 }, "\(station.gateway.status.lcores)")
      // Over IP, where the packet is the same octet for octet.
      let direct = Packet.ipv4(from: "192.0.2.1", to: "192.0.2.2", protocol: 253, packets[63])
      #expect(station.drops { station.fromFabric(direct) } == ["replay-duplicate": 1])
      station.finish()
    }

    /// Packets that do not authenticate change nothing: no memory for their senders, no window of a real one.
    @Test func forgedFlood() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Self.sealed([100, 101, 102, 103])
      station.fromPeer(packets[0])
      station.fromPeer(packets[1])
      #expect(station.takenClear().count == 2)
      var random = Repeatable(9)
      // Header: 4 octets, ID 4, two options of 20, Epoch 2 at 48, Counter 6 at 50.
      let drops = station.drops {
        for step in 0..<3000 {
          var forged = packets[step % 4]
          if step % 3 > 0 { for offset in 4..<8 { forged[offset] = UInt8.random(in: 0...255, using: &random) } }
          if step % 3 < 2 { for offset in 50..<56 { forged[offset] = UInt8.random(in: 0...255, using: &random) } }
          if step % 3 == 2 { forged[forged.count - 1] ^= 1 }
          station.fromPeer(forged)
        }
      }
      // Forged in the window's own name, a packet may be late before its tag is looked at; it moves nothing.
      #expect(drops.keys.allSatisfy { ["authentication", "replay-late"].contains($0) }, "\(drops)")
      #expect(drops["authentication", default: 0] > 2400 && Self.windows(station) == 1)
      #expect(
        station.drops { station.fromPeer(packets[2].setting(packets[2][70] ^ 1, at: 70)) } == ["authentication": 1])
      #expect(
        station.drops { station.fromPeer(packets[1].setting(packets[1][70] ^ 1, at: 70)) } == ["replay-duplicate": 1])
      #expect(station.drops { station.fromPeer(packets[2]) } == [:])
      #expect(station.drops { station.fromPeer(packets[0]) } == ["replay-duplicate": 1])
      station.finish()
    }

    /// Each epoch, generation, member and lcore number has a window of its own; the epoch bound stands beside it.
    @Test func windowsApart() throws {
      let station = try Station(2, replay: Self.shape)
      var packets: [[UInt8]] = []
      for epoch in -1...1 { packets += try Self.sealed([7], epoch: epoch) }
      for generation in [6, 8] { packets += try Self.sealed([7], generation: generation) }
      packets += try Self.sealed([7], lcore: 1)
      packets += try Reference.seal(Self.inner, as: [(0x2A63, 34 << 42 | 7), (0x2A64, 33 << 42 | 7)])
      for packet in packets { #expect(station.drops { station.fromPeer(packet) } == [:]) }
      #expect(station.takenClear().count == packets.count && Self.windows(station) == packets.count)
      for packet in packets { #expect(station.drops { station.fromPeer(packet) } == ["replay-duplicate": 1]) }
      for epoch in [-2, 2] {
        let old = try Self.sealed([7], epoch: epoch)
        #expect(station.drops { station.fromPeer(old[0]) } == ["epoch": 1])
      }
      station.finish()
    }

    /// What authenticates is marked, whatever becomes of it then.
    @Test func droppedAfterTheTag() throws {
      let station = try Station(2, replay: Self.shape)
      let dummy: [UInt8] = [0, 0, 59, 0] + Packet.pattern(50)
      let foreign = Packet.ipv4(from: "10.7.0.2", to: "10.2.0.2", Packet.udp(1, 2, []))
      for (payload, reason) in [(dummy, "dummy"), (foreign, "policy-inner"), ([0x50], "malformed-inner")] {
        let packet = try Reference.seal(payload, as: [(0x2A63, UInt64(reason.count))])
        #expect(station.drops { station.fromPeer(packet[0]) } == [reason: 1])
        #expect(station.drops { station.fromPeer(packet[0]) } == ["replay-duplicate": 1])
      }
      station.finish()
    }

    /// The count passes 2^37.
    @Test func wrap() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Self.sealed((0..<128).map { (1 << 37 - 64 + $0) & (1 << 37 - 1) })
      for packet in packets { #expect(station.drops { station.fromPeer(packet) } == [:]) }
      #expect(
        station.drops { packets.forEach { station.fromPeer($0) } } == ["replay-late": 64, "replay-duplicate": 64])
      station.finish()
    }

    /// More senders than windows: those that came first keep theirs, the others have the epoch bound and are counted.
    @Test func fullTable() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Reference.seal(Self.inner, as: (0..<70).map { (0x3000 + $0, 33 << 42) })
      for packet in packets { #expect(station.drops { station.fromPeer(packet) } == [:]) }
      let status = try #require(station.gateway.status.replay)
      #expect(status.windows == 64 && status.capacity == 64 && status.untracked == 6 && status.untrackedClient == 0)
      #expect(station.drops { packets[..<64].forEach { station.fromPeer($0) } } == ["replay-duplicate": 64])
      #expect(station.drops { packets[64...].forEach { station.fromPeer($0) } } == [:])
      #expect(station.gateway.status.replay?.untracked == 12)
      station.finish()
    }

    /// New keys, new plans: a window outlives them, as a replayed packet would.
    @Test func reloads() throws {
      let station = try Station(2, replay: Self.shape)
      let packets = try Self.sealed(Array(0..<50))
      for packet in packets[..<40] { station.fromPeer(packet) }
      try station.gateway.reload(plan: station.plan, groups: [Keyring.train, Keyring.other])
      #expect(station.drops { station.fromPeer(packets[39]) } == ["replay-duplicate": 1])
      // The next generation becomes the current one.
      let rotated = Keyring.group("train", isDefault: true, seed: 1, index: 8)
      try station.gateway.reload(plan: station.plan, groups: [rotated])
      #expect(station.drops { station.fromPeer(packets[39]) } == ["replay-duplicate": 1])
      #expect(station.drops { station.fromPeer(packets[40]) } == [:])

      var plan = station.plan
      plan.policies[0].replayWindow = 0
      try station.gateway.reload(plan: plan, groups: [Keyring.train])
      #expect(station.drops { station.fromPeer(packets[40]) } == [:])
      try station.gateway.reload(plan: station.plan, groups: [Keyring.train])
      #expect(station.drops { station.fromPeer(packets[40]) } == ["replay-duplicate": 1])
      plan.policies[0].replayWindow = 128
      #expect(throws: GatewayError.self) { try station.gateway.reload(plan: plan, groups: [Keyring.train]) }
      #expect(station.drops { station.fromPeer(packets[40]) } == ["replay-duplicate": 1])
      station.finish()
    }

    /// A group without a window beside one with: nothing of it is dropped, and nothing entered.
    @Test func onlyWhereItIsOn() throws {
      let station = try Station(2, replay: Self.shape) { $0.policies[0].replayWindow = 0 }
      let packet = try #require(try Self.sealed([1]).first)
      for _ in 0..<3 { #expect(station.drops { station.fromPeer(packet) } == [:]) }
      #expect(station.takenClear().count == 3 && Self.windows(station) == 0)
      station.finish()
      let off = try Station(2)
      for _ in 0..<3 { #expect(off.drops { off.fromPeer(packet) } == [:]) }
      #expect(off.gateway.status.replay == nil)
      off.finish()
      #expect(throws: GatewayError.self) { try Station(2) { $0.policies[0].replayWindow = 64 } }
    }

    /// What a gateway seals has windows at the other end, in order and wherever its count begins.
    @Test func betweenGateways() throws {
      let one = try Station(1)
      let two = try Station(2, replay: ReplayShape(windows: 64, largestWindow: 4096))
      let couple = Couple(one: one, two: two)
      var outer: [[UInt8]] = []
      for _ in 0..<300 {
        let carried = couple.carry(packet: Self.inner)
        #expect(carried.inner.count == 1)
        outer += carried.outer
      }
      let drops = two.drops {
        for frame in outer { two.put(Couple.readdressed(frame, to: two.fabric.mac), on: two.fabric) }
      }
      #expect(drops == ["replay-duplicate": 300] && two.takenClear().isEmpty && Self.windows(two) == 1)
      couple.finish()
    }

    /// A client that uses all of its 48 bits: four windows, the rest has the epoch bound.
    @Test func fourWindowsForAConnection() throws {
      let member = try ConnectionLab.member(slots: [ConnectionLab.slot, 9], replay: Self.shape)
      let packet = Packet.ipv4(from: ConnectionLab.address(), to: "10.2.0.2", Packet.udp(1000, 2000, []))
      let id = try ConnectionLab.id()
      let counters = (0..<20 as Range<UInt64>).map { $0 * 0x0B00 << 32 | 5 }
      var wanted: [ConnectionReference.Wanted] = counters.map { .init(id: id, payload: packet, counter: $0) }
      wanted.append(
        .init(
          id: try ConnectionLab.id(slot: 9),
          payload: Packet.ipv4(from: ConnectionLab.address(slot: 9), to: "10.2.0.2", Packet.udp(1000, 2000, [])),
          counter: 5))
      let sealed = try ConnectionReference.seal(wanted)
      for packet in sealed { #expect(member.drops { member.fromPeer(packet) } == [:]) }
      let status = try #require(member.gateway.status.replay)
      #expect(status.windows == 5 && status.untracked == 0 && status.untrackedClient == 16)
      let drops = member.drops { sealed.forEach { member.fromPeer($0) } }
      #expect(drops == ["replay-duplicate": 5])
      member.finish()
    }
  }
}
