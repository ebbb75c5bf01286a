import CDPDK
import CPerf
import Foundation

/// Core cycles, measured without hardware counters, which virtual machines rarely have.
///
/// The time-stamp counter ticks at a fixed rate while the core's clock moves. A chain of dependent multiplications takes
/// three core cycles for each on every x86-64 core of the last decade; timed before and after each sample, it tells how many
/// core cycles a tick was at that moment.
enum CoreClock {
  static let links = UInt32(perf_chain_links)
  static let cyclesPerLink = 3.0

  /// Ticks that the chain takes now.
  static func chain() -> UInt64 { perf_chain(links) }

  /// Core cycles in a tick, from a chain before and one after.
  static func cyclesPerTick(_ first: UInt64, _ last: UInt64) -> Double {
    2 * Double(links) * cyclesPerLink / Double(first + last)
  }

  /// Core cycles of `work`.
  static func cycles(_ work: () -> Void) -> Double {
    let before = chain()
    let start = dpdk_rdtsc()
    work()
    let ticks = dpdk_rdtsc() &- start
    return Double(ticks) * cyclesPerTick(before, chain())
  }

  /// Core cycles that another thread ran while `work` waited: by the kernel's count of its time on a core, so that what else
  /// runs on the machine counts as little as possible.
  static func cycles(ofThread thread: String, _ work: () -> Void) -> Double {
    func ran() -> Double {
      let text = (try? String(contentsOfFile: "/proc/self/task/\(thread)/schedstat", encoding: .utf8)) ?? ""
      return text.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }
    let before = ran()
    work()
    let ticks = (ran() - before) * 1e-9 * Double(dpdk_get_tsc_hz())
    // The fastest of some chains is one that nobody interrupted.
    let fastest = (0..<16).map { _ in chain() }.min() ?? 1
    return ticks * cyclesPerTick(fastest, fastest)
  }

  /// The threads whose names begin so.
  static func threads(named prefix: String) -> [String] {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return threads.filter { thread in
      let name = try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8)
      return name?.hasPrefix(prefix) ?? false
    }
  }
}
