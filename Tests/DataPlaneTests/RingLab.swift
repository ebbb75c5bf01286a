import DataPlane
import Foundation
import Keys
import Testing
import Wire

/// Suites that share DPDK's environment: one test at a time.
@Suite(.serialized) enum RingTests {}

/// A gateway on two wires, moved by the test's own thread. Every test ends with `finish`, which proves that nothing was lost:
/// in = out + drops, generated = sent + dropped, and all buffers are back.
final class Station {
  let gateway: any SteppedGateway
  let clear: RingWire
  let fabric: RingWire
  let plan: GatewayPlan
  /// What the stations around it have for MAC addresses.
  static let host = MACAddress(rawValue: 0x0200_0000_000A)
  static let router = MACAddress(rawValue: 0x0200_0000_000F)
  private let record: URL
  private var isFinished = false

  private static let serial = Mutexed(0)

  /// - Parameters:
  ///   - number: 1 is 10.1.0.1 and 192.0.2.1, its host 10.1.0.2; 2 is 10.2.0.1 and 192.0.2.2, its host 10.2.0.2; and so on.
  ///   - time: nil: by the clock, and with a record.
  ///   - replay: with it, every group has windows of the largest size.
  init(
    _ number: Int, groups: [TrustGroup] = [Keyring.train], engine: EngineChoice = .auto,
    time: GatewaySettings.Time? = nil,
    capacity: Int = 1023, lcores: Int = 1, replay: ReplayShape? = nil, _ edit: (inout GatewayPlan) -> Void = { _ in }
  ) throws {
    try Self.environment()
    let name = "t\(Self.serial.next())"
    clear = try RingWire(name: name + "c", queues: lcores, capacity: capacity)
    fabric = try RingWire(name: name + "f", queues: lcores, capacity: capacity)
    var plan = Self.plan(number, name: name, clear: clear, fabric: fabric)
    if let replay { plan.policies[0].replayWindow = replay.largestWindow }
    edit(&plan)
    self.plan = plan
    record = FileManager.default.temporaryDirectory.appending(path: "keyweave-ring-\(getpid())-\(name)")
    var settings = GatewaySettings(time: time ?? .record(path: record.path(percentEncoded: false)))
    settings.engine = engine
    settings.lcores = lcores
    settings.replay = replay
    do {
      gateway = try settings.prepare(plan: plan, groups: groups)
    } catch {
      Self.remove(record)
      throw error
    }
    run()
    while take() != nil {}
    while clear.take() != nil {}
  }

  deinit {
    gateway.stop()
    Self.remove(record)
  }

  private static func remove(_ record: URL) {
    for suffix in ["", ".lock"] {
      try? FileManager.default.removeItem(atPath: record.path(percentEncoded: false) + suffix)
    }
  }

  /// Two lcores for every gateway of this process, and memory for a dozen of them, of which untouched pages cost nothing.
  private static func environment() throws {
    var settings = EAL.Settings()
    settings.lcores = 2
    settings.memory = 3072
    try EAL.start(settings)
  }

  private static func plan(_ number: Int, name: String, clear: RingWire, fabric: RingWire) -> GatewayPlan {
    var plan = GatewayPlan(name: name, deviceID: 0x2A00 + UInt64(number))
    plan.member = UInt8(number)
    var inside = GatewayPlan.Port(name: "clear", device: clear.device, role: .clear)
    inside.addresses = prefixes("10.\(number).0.1/24", "2001:db8:\(number)::1/64")
    inside.neighbours = ["10.\(number).0.2", "10.\(number).0.3", "2001:db8:\(number)::2"].map {
      .init(address: address($0), mac: host)
    }
    var outside = GatewayPlan.Port(name: "fabric", device: fabric.device, role: .protected)
    outside.addresses = prefixes("192.0.2.\(number)/24", "2001:db8:f::\(number)/64")
    outside.mtu = 9200
    outside.defaultGroup = 0
    outside.neighbours = (1...9).filter { $0 != number }.flatMap {
      [
        .init(address: address("192.0.2.\($0)"), mac: router),
        .init(address: address("2001:db8:f::\($0)"), mac: router),
      ]
    }
    plan.ports = [inside, outside]
    let other = number == 1 ? 2 : 1
    plan.peers = [
      .init(
        name: "v4", address: address("192.0.2.\(other)"), source: address("192.0.2.\(number)"), port: 1,
        nextHop: address("192.0.2.\(other)")),
      .init(
        name: "v6", address: address("2001:db8:f::\(other)"), source: address("2001:db8:f::\(number)"), port: 1,
        nextHop: address("2001:db8:f::\(other)")),
    ]
    var sealing = GatewayPlan.Sealing(group: 0)
    sealing.peers = [0]
    plan.routes = prefixes("10.\(other).0.0/16", "2001:db8:\(other)::/48").map {
      .init(prefix: $0, action: .seal(sealing))
    }
    plan.policies = [
      .init(group: 0, speaks: prefixes("10.\(other).0.0/16", "2001:db8:\(other)::/48"), forms: [.ipv4, .ipv6])
    ]
    return plan
  }

  static func address(_ text: String) -> IPAddress { IPAddress(text) ?? .unspecifiedIPv6 }
  static func prefixes(_ texts: String...) -> [IPPrefix] { texts.compactMap { IPPrefix($0) } }

  // MARK: Moving

  /// Until there is nothing left to do.
  func run() {
    var idle = 0
    while idle < 3 {
      let met = gateway.step(lcore: 0)
      idle = gateway.stepSlowPath() || met > 0 ? 0 : idle + 1
    }
  }

  /// Onto the clear wire, in a frame from its host.
  func fromHost(_ packet: [UInt8]) { put(Packet.frame(to: clear.mac, from: Self.host, packet), on: clear) }
  /// Onto the fabric, in a frame from a router there.
  func fromFabric(_ packet: [UInt8]) { put(Packet.frame(to: fabric.mac, from: Self.router, packet), on: fabric) }

  /// A security header and what follows it, from station 1 over UDP.
  func fromPeer(_ packet: [UInt8], source: String = "192.0.2.1") {
    fromFabric(Packet.ipv4(from: source, to: outerAddress, Packet.udp(50000, 4500, packet)))
  }
  private var outerAddress: String { "\(plan.ports[1].addresses[0].address)" }

  func put(_ frame: [UInt8], on wire: RingWire, then isRun: Bool = true) {
    let isPut = frame.withUnsafeBytes { gateway.put($0, on: wire, queue: 0) }
    #expect(isPut)
    if isRun { run() }
  }

  /// What it sent onto the fabric.
  func take() -> [UInt8]? { Self.take(from: fabric) }
  func takeClear() -> [UInt8]? { Self.take(from: clear) }
  func taken() -> [[UInt8]] { Array(sequence(state: ()) { _ in self.take() }) }
  func takenClear() -> [[UInt8]] { Array(sequence(state: ()) { _ in self.takeClear() }) }

  private static func take(from wire: RingWire) -> [UInt8]? {
    while let frame = wire.take() {
      if !isAnnouncement(frame) { return frame }
    }
    return nil
  }

  /// Two seconds after its start a gateway announces its addresses once more, whatever a test does then: ARP about itself, or
  /// an advertisement to all nodes.
  private static func isAnnouncement(_ frame: [UInt8]) -> Bool {
    let start = frame.count > 18 && frame.word(at: 12) == 0x8100 ? 18 : 14
    guard frame.count >= start + 28 else { return false }
    switch frame.word(at: start - 2) {
    case 0x0806: return frame[start + 14..<start + 18] == frame[start + 24..<start + 28]
    case 0x86DD:
      return frame.count > start + 40 && frame[start + 24] == 0xFF && frame[start + 6] == 58 && frame[start + 40] == 136
    default: return false
    }
  }

  /// Drops by reason.
  var drops: [String: UInt64] { gateway.status.drops }

  /// What `body` let the gateway drop.
  func drops(_ body: () throws -> Void) rethrows -> [String: UInt64] {
    let before = drops
    try body()
    return drops.merging(before) { $0 - $1 }.filter { $0.value > 0 }
  }

  // MARK: The end

  /// Nothing is lost: the books balance and every buffer is back.
  func finish(_ location: SourceLocation = #_sourceLocation) {
    run()
    _ = (taken(), takenClear())
    gateway.stop()
    let totals = gateway.status.totals
    #expect(totals.in == totals.out + totals.drops, "\(totals) \(drops)", sourceLocation: location)
    #expect(totals.generated == totals.generatedOut + totals.generatedDrops, "\(totals)", sourceLocation: location)
    #expect(gateway.buffersLost == 0, sourceLocation: location)
  }
}

/// Two stations, 1 and 2, whose fabric is the test.
final class Couple {
  let one: Station
  let two: Station

  init(one: Station, two: Station) {
    self.one = one
    self.two = two
  }

  init(
    groups: [TrustGroup] = [Keyring.train], engine: EngineChoice = .auto, _ edit: (inout GatewayPlan) -> Void = { _ in }
  ) throws {
    one = try Station(1, groups: groups, engine: engine, edit)
    two = try Station(2, groups: groups, engine: engine, edit)
  }

  /// Sends a packet from host 1 and gives what host 2 gets, with what crossed the fabric between.
  func carry(_ frame: [UInt8]) -> (outer: [[UInt8]], inner: [[UInt8]]) {
    one.put(frame, on: one.clear)
    let outer = one.taken()
    for frame in outer { two.put(Self.readdressed(frame, to: two.fabric.mac), on: two.fabric, then: false) }
    two.run()
    return (outer, two.takenClear())
  }

  func carry(packet: [UInt8]) -> (outer: [[UInt8]], inner: [[UInt8]]) {
    carry(Packet.frame(to: one.clear.mac, from: Station.host, packet))
  }

  static func readdressed(_ frame: [UInt8], to mac: MACAddress) -> [UInt8] {
    Packet.octets(of: mac) + frame.dropFirst(6)
  }

  func finish(_ location: SourceLocation = #_sourceLocation) {
    one.finish(location)
    two.finish(location)
  }
}

/// Numbers that are never given twice.
final class Mutexed: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Int
  init(_ value: Int) { self.value = value }
  func next() -> Int {
    lock.withLock {
      value += 1
      return value
    }
  }
}

/// Keys of the tests, of no use elsewhere.
enum Keyring {
  static let train = group("train", isDefault: true, seed: 1)
  static let other = group("other", isDefault: false, seed: 101)

  static func group(
    _ name: String, isDefault: Bool, seed: UInt8, levels: [RootKeyLevel] = [.trustRegion, .taskGroup],
    index: UInt64 = 7,
    edit: (inout TrustGroup) -> Void = { _ in }
  ) -> TrustGroup {
    let keys = levels.enumerated().map { place, level in
      let seed = seed &+ UInt8(place) &* 16
      return RootKey(
        level: level, id: [UInt8](repeating: seed, count: 16), previous: generation(seed, index - 1),
        current: generation(seed, index), next: generation(seed, index + 1))
    }
    var group = TrustGroup(name: name, isDefault: isDefault, maxCOffset: 255, maxIOffset: 15, rootKeys: keys)
    edit(&group)
    return group
  }

  static func generation(_ seed: UInt8, _ index: UInt64) -> Generation {
    let octets = octets(seed, index)
    do {
      return Generation(index: index, key: try octets.withUnsafeBytes { try SecretKey.copying($0) })
    } catch {
      fatalError("\(error)")
    }
  }

  static func octets(_ seed: UInt8, _ index: UInt64) -> [UInt8] {
    (0..<32).map { seed &+ UInt8(truncatingIfNeeded: index) &* 37 &+ UInt8($0) &* 11 }
  }
}
