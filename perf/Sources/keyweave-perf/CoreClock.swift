import CDPDK

/// Core cycles, measured without hardware counters, which virtual machines rarely have.
///
/// The time-stamp counter ticks at a fixed rate while the core's clock moves. A chain of dependent multiplications takes
/// three core cycles for each on every x86-64 core of the last decade; timed before and after each sample, it tells how many
/// core cycles a tick was at that moment.
enum CoreClock {
  static let links = 4096
  static let cyclesPerLink = 3.0

  /// Ticks that the chain takes now.
  @inline(never)
  static func chain() -> UInt64 {
    // Squaring an odd number: no compiler shortens it, and the result depends on every link.
    var value = dpdk_rdtsc() | 3
    let start = dpdk_rdtsc()
    for _ in 0..<links / 8 {
      value = value &* value
      value = value &* value
      value = value &* value
      value = value &* value
      value = value &* value
      value = value &* value
      value = value &* value
      value = value &* value
      value ^= 2
    }
    let ticks = dpdk_rdtsc() &- start
    return value == 0 ? ticks &+ 1 : ticks
  }

  /// Core cycles of `work`.
  static func cycles(_ work: () -> Void) -> Double {
    let before = chain()
    let start = dpdk_rdtsc()
    work()
    let ticks = dpdk_rdtsc() &- start
    let after = chain()
    let linkCycles = Double(links) * cyclesPerLink + Double(links / 8)
    return Double(ticks) * 2 * linkCycles / Double(before + after)
  }
}
