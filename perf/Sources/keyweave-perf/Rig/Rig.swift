import CDPDK
import CPerf
import DataPlane
import Foundation
import Keys
import Wire

/// A gateway between two ports without a wire, whose lcores this process's own thread moves, unless it launches them.
final class Rig {
  let gateway: any SteppedGateway
  let kind: Kind
  let plan: GatewayPlan
  /// The receiving side of the port that packets come from, one for each lcore.
  let feeders: [UnsafeMutablePointer<perf_feeder>]
  let input: UInt16
  let output: UInt16
  let mac: MACAddress
  private let record: URL
  /// What the feeders hand out, kept as long as they may.
  private var fed: FrameSet?
  /// Packets that rounds met.
  private var met = 0

  nonisolated(unsafe) private static var serial = 0
  nonisolated(unsafe) private static var capturePorts: UInt64 = 0
  nonisolated(unsafe) private static var sealedFrames: [Kind: [Sizes: [[UInt8]]]] = [:]
  /// Ticks that a timed feeder's clock readings add to a burst.
  nonisolated(unsafe) private static var overhead: Double?

  /// - Parameter capture: a capture file that the receiving port repeats, instead of a feeder's frames.
  init(_ kind: Kind, capture: URL? = nil) throws {
    self.kind = kind
    Self.serial += 1
    let name = "perf\(Self.serial)"
    record = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(getpid())-\(name)")
    let from = capture == nil ? "net_null\(2 * Self.serial)" : "net_pcap\(Self.serial)"
    let to = "net_null\(2 * Self.serial + 1)"
    let arguments = capture.map { ",rx_pcap=\($0.path(percentEncoded: false)),infinite_rx=1" } ?? ",no-rx=1"
    let isSealing = kind.direction == .seal
    plan = Network(kind.family).plan(
      kind, name: name, clear: isSealing ? from + arguments : to + ",no-rx=1",
      fabric: isSealing ? to + ",no-rx=1" : from + arguments)
    gateway = try Self.gateway(kind, plan, record: record)
    input = try Self.port(from)
    output = try Self.port(to)
    mac = Self.mac(of: input)
    if capture != nil { Self.capturePorts += 1 }
    let input = input
    feeders = try (0..<(capture == nil ? kind.lcores : 0)).map { queue in
      guard let feeder = perf_feeder_attach(input, UInt16(queue), "kw-\(name)") else {
        throw PerfError("no feeder for port \(input)")
      }
      return feeder
    }
    settle()
  }

  private static func port(_ device: String) throws -> UInt16 {
    let port = dpdk_eth_dev_get_port_by_name(device)
    guard port >= 0 else { throw PerfError("there is no port \(device)") }
    return UInt16(port)
  }

  private static func mac(of port: UInt16) -> MACAddress {
    var info = dpdk_port_info()
    _ = dpdk_eth_dev_info_get(port, &info)
    return withUnsafeBytes(of: info.mac) { $0.reduce(.zero) { MACAddress(rawValue: $0.rawValue << 8 | UInt64($1)) } }
  }

  /// What DPDK's pcap driver will give the next port of this process: 02, "pcap", a number.
  static var nextCaptureMAC: MACAddress { MACAddress(rawValue: 0x0270_6361_7000 | capturePorts) }

  static func gateway(_ kind: Kind, _ plan: GatewayPlan, record: URL) throws -> any SteppedGateway {
    try Environment.start()
    var settings = GatewaySettings(time: .record(path: record.path(percentEncoded: false)))
    settings.isDedicated = true
    settings.lcores = kind.lcores
    settings.cachesKeys = kind.cachesKeys
    if kind.cipher == .openSSL { settings.engine = .openSSL }
    #if FLOOR
      if kind.cipher == .floor { return try settings.prepareFloor(plan: plan, groups: Network.groups(kind)) }
    #endif
    return try settings.prepare(plan: plan, groups: Network.groups(kind))
  }

  deinit {
    // Before the port goes; DPDK's next one of that number would inherit what is attached.
    feeders.forEach { perf_feeder_detach($0) }
    gateway.stop()
    Self.remove(record)
  }

  static func remove(_ record: URL) {
    for suffix in ["", ".lock"] {
      try? FileManager.default.removeItem(atPath: record.path(percentEncoded: false) + suffix)
    }
  }

  /// What the gateway says of itself when it starts goes out first.
  private func settle() {
    for _ in 0..<10 {
      for lcore in 0..<kind.lcores { gateway.step(lcore: lcore) }
      gateway.stepSlowPath()
    }
  }

  // MARK: Packets

  /// - Parameter first: that many of them only, each of a flow of its own.
  func frames(_ sizes: Sizes, first count: Int = .max) throws -> FrameSet {
    if kind.direction == .seal {
      let network = Network(kind.family)
      let list = sizes.lengths.prefix(count).enumerated().map { network.frame(length: $1, flow: UInt16($0), to: mac) }
      return FrameSet(list, copied: 64)
    }
    return FrameSet(Array(try Self.sealed(kind, sizes).prefix(count)).readdressed(to: mac))
  }

  /// Frames that a gateway sealed which is set up the same way.
  static func sealed(_ kind: Kind, _ sizes: Sizes) throws -> [[UInt8]] {
    var sealing = kind
    sealing.direction = .seal
    sealing.lcores = 1
    sealing.isProxied = false
    if let known = sealedFrames[sealing]?[sizes] { return known }
    serial += 1
    let name = "perf\(serial)"
    let clear = try RingWire(name: "\(name)c")
    let fabric = try RingWire(name: "\(name)f")
    let network = Network(kind.family)
    let record = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(getpid())-\(name)")
    defer { remove(record) }
    let plan = network.plan(sealing, name: name, clear: clear.device, fabric: fabric.device)
    let gateway = try gateway(sealing, plan, record: record)
    defer { gateway.stop() }
    for _ in 0..<10 {
      gateway.step(lcore: 0)
      gateway.stepSlowPath()
    }
    while fabric.take() != nil || clear.take() != nil {}
    var known: [Sizes: [[UInt8]]] = [:]
    // All sizes at once, as a gateway takes a moment to start.
    for sizes in Set(Sizes.all + [sizes]) {
      known[sizes] = try sizes.lengths.enumerated().map { flow, length in
        let frame = network.frame(length: length, flow: UInt16(flow), to: clear.mac)
        let isPut = frame.withUnsafeBytes { gateway.put($0, on: clear, queue: 0) }
        gateway.step(lcore: 0)
        guard isPut, let sealed = fabric.take() else {
          throw PerfError("a packet of \(length) octets was not sealed: \(gateway.status.drops)")
        }
        return sealed
      }
    }
    sealedFrames[sealing] = known
    return known[sizes] ?? []
  }

  // MARK: Measuring

  /// Core cycles per packet of the whole loop but for writing the packets into their buffers.
  ///
  /// - Parameter refill: called before every round, outside what is timed.
  func measure(
    _ frames: FrameSet, burst: Int = 32, samples: Int, warmUp: Int = 400, refill: ((Int) -> Void)? = nil
  ) throws -> Measurement {
    feed(frames, burst: burst, isTimed: true)
    defer { feeders.forEach { $0.pointee.burst = 0 } }
    return try measure(samples: samples, warmUp: warmUp, overhead: Self.timerOverhead(), refill)
  }

  /// The feeders' next packets, on all queues.
  func feed(_ frames: FrameSet, burst: Int = 32, isTimed: Bool) {
    defer { fed = frames }
    for (queue, feeder) in feeders.enumerated() {
      feeder.pointee.frames = UnsafePointer(frames.frames)
      feeder.pointee.count = UInt32(frames.count)
      feeder.pointee.next = UInt32(queue * frames.count / feeders.count)
      feeder.pointee.is_timed = isTimed
      feeder.pointee.burst = UInt32(burst)
    }
  }

  /// Of whatever the receiving port gives.
  func measure(
    samples: Int, warmUp: Int = 400, overhead: Double = 0, _ refill: ((Int) -> Void)? = nil
  ) throws -> Measurement {
    let before = books()
    gateway.keeper?.tick()
    var ticks = rounds(warmUp, refill)
    ticks = rounds(64, refill)
    let count = max(1, min(2000, Int(64 * 150_000 / max(ticks, 1))))
    let measurement = Measurement(samples: samples) {
      let packets = met
      let first = CoreClock.chain()
      let ticks = rounds(count, refill) - overhead * Double(count)
      let last = CoreClock.chain()
      return ticks * CoreClock.cyclesPerTick(first, last) / Double(met - packets)
    }
    let after = books()
    let passed = after.passed - before.passed
    guard after.drops == before.drops, passed > 0, passed == after.received - before.received else {
      throw PerfError(
        "\(after.received - before.received) packets in, \(passed) done, drops: \(gateway.status.drops)")
    }
    return measurement
  }

  /// Ticks of so many rounds, without the feeder's writing.
  private func rounds(_ count: Int, _ refill: ((Int) -> Void)?) -> Double {
    let gateway = gateway
    let fed = feeders.first?.pointee.ticks ?? 0
    var ticks: UInt64 = 0
    var packets = 0
    if let refill {
      for round in 0..<count {
        refill(round)
        let start = dpdk_rdtsc()
        packets &+= gateway.step(lcore: 0)
        ticks &+= dpdk_rdtsc() &- start
      }
    } else {
      let start = dpdk_rdtsc()
      for _ in 0..<count { packets &+= gateway.step(lcore: 0) }
      ticks = dpdk_rdtsc() &- start
    }
    met += packets
    return Double(ticks) - Double((feeders.first?.pointee.ticks ?? 0) - fed)
  }

  func books() -> (received: UInt64, passed: UInt64, drops: UInt64) {
    let totals = gateway.status.totals
    let isSealing = kind.direction == .seal || kind.isProxied
    return (totals.in, isSealing ? totals.sealed : totals.opened, totals.drops)
  }

  /// Receiving and sending alone, as testpmd does it: core cycles per packet.
  func forward(_ frames: FrameSet, burst: Int, samples: Int, isTimed: Bool) -> Measurement {
    feed(frames, burst: burst, isTimed: isTimed)
    let feeder = feeders[0]
    defer { feeder.pointee.burst = 0 }
    let rounds = max(4, 6400 / burst)
    return Measurement(samples: samples) {
      let fed = feeder.pointee.ticks
      let first = CoreClock.chain()
      let start = dpdk_rdtsc()
      let packets = perf_forward(input, output, UInt32(burst), UInt32(rounds))
      var ticks = Double(dpdk_rdtsc() &- start)
      if isTimed { ticks -= Double(feeder.pointee.ticks - fed) + Self.timerOverhead() * Double(rounds) }
      return ticks * CoreClock.cyclesPerTick(first, CoreClock.chain()) / Double(packets)
    }
  }

  /// What two readings of the clock cost a burst beyond what lies between them.
  static func timerOverhead() -> Double {
    if let overhead { return overhead }
    let values = (0..<101).map { _ in
      var sum: UInt64 = 0
      let start = dpdk_rdtsc()
      for _ in 0..<100 {
        let first = dpdk_rdtsc()
        sum &+= dpdk_rdtsc() &- first
      }
      return Double(dpdk_rdtsc() &- start &- sum) / 100
    }.sorted()
    overhead = values[50]
    return values[50]
  }
}
