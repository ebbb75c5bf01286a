import CDPDK
import CPerf
import DataPlane
import Foundation

/// A rig whose lcores run by themselves, each on a core, with their feeders: control is on the other threads, as in life.
extension Rig {
  /// What an lcore took for some packets, without the time in which others had its core.
  struct Sample {
    /// Core cycles and ticks of the time-stamp counter per packet.
    let cycles, ticks: Double
  }

  func launch() throws {
    try gateway.launch()
    // This thread is control's now, and off the first lcore's core.
    perf_thread_pin(0)
    usleep(200_000)
  }

  /// Samples of so many bursts, of every lcore, taken while `body` runs.
  func observe(burstsPerSample: Int = 512, _ body: () throws -> Void) rethrows -> [[Sample]] {
    let capacity = 1 << 16
    for feeder in feeders {
      feeder.pointee.samples = .allocate(capacity: capacity)
      feeder.pointee.sample_capacity = UInt32(capacity)
      feeder.pointee.sample_count = 0
      feeder.pointee.sample_start = 0
      feeder.pointee.bursts_per_sample = UInt32(burstsPerSample)
    }
    defer { feeders.forEach { $0.pointee.samples.deallocate() } }
    try body()
    feeders.forEach { $0.pointee.bursts_per_sample = 0 }
    usleep(2000)
    return feeders.map { feeder in
      let overhead = feeder.pointee.is_timed ? Self.timerOverhead() * Double(burstsPerSample) : 0
      let all = (0..<Int(feeder.pointee.sample_count)).map { feeder.pointee.samples[$0] }.filter { $0.packets > 0 }
      // Where others had the core in every sample, there is nothing better than all of them.
      let whole = all.contains { $0.switches == 0 }
      return all.filter { !whole || $0.switches == 0 }.map { sample in
        let ticks = (Double(sample.ticks) - overhead) / Double(sample.packets)
        return Sample(cycles: ticks * CoreClock.cyclesPerTick(sample.chain, sample.chain), ticks: ticks)
      }
    }
  }

  /// As `observe`, for some seconds in which nothing else happens.
  func observe(seconds: Double) -> [[Sample]] { observe { usleep(UInt32(seconds * 1e6)) } }

  /// Latencies in ticks, sorted, of packets that come one by one, `interval` ticks apart, for some seconds.
  func latencies(_ frames: FrameSet, interval: Double, seconds: Double, _ body: () throws -> Void) throws -> [UInt32] {
    let feeder = feeders[0]
    feed(frames, burst: 0, isTimed: false)
    usleep(2000)
    let capacity = UInt32(min(3e7, seconds * 1.2 * Double(dpdk_get_tsc_hz()) / interval + 1000))
    guard let latencies = perf_latencies_attach(output, 0, capacity) else { throw PerfError("no memory for latencies") }
    feeder.pointee.interval = interval
    feeder.pointee.due = Double(dpdk_rdtsc())
    feeder.pointee.burst = 32
    let end = Date(timeIntervalSinceNow: seconds)
    try body()
    usleep(UInt32(max(0, end.timeIntervalSinceNow) * 1e6))
    feeder.pointee.burst = 0
    usleep(2000)
    feeder.pointee.interval = 0
    defer { perf_latencies_detach(latencies) }
    return UnsafeBufferPointer(start: latencies.pointee.ticks, count: Int(latencies.pointee.count)).sorted()
  }
}
