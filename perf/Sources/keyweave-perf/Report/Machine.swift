import CDPDK
import CPerf
import DataPlane
import Foundation

/// What the figures were taken on.
struct Machine: Codable {
  var processor: String
  var cores: Int
  var kernel: String
  var engine: String
  /// Rate of the time-stamp counter, and core cycles in one of its ticks when the run began.
  var tscGHz: Double
  var cyclesPerTick: Double
  var hugepages: Bool

  init() throws {
    func lines(_ path: String) -> [Substring] {
      (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n") ?? []
    }
    let model = lines("/proc/cpuinfo").first { $0.hasPrefix("model name") }?.split(separator: ":").last
    processor = model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    cores = ProcessInfo.processInfo.activeProcessorCount
    kernel = lines("/proc/sys/kernel/osrelease").first.map(String.init) ?? "unknown"
    engine = try EngineChoice.auto.decide().build
    tscGHz = Double(dpdk_get_tsc_hz()) * 1e-9
    let chains = (0..<101).map { _ in CoreClock.chain() }.sorted()
    cyclesPerTick = CoreClock.cyclesPerTick(chains[50], chains[50])
    hugepages = Environment.hasHugepages
  }

  var text: String {
    String(
      format: "%@, %d cores, Linux %@; %@; time-stamp counter %.2f GHz, core clock %.2f GHz; %@ hugepages",
      processor, cores, kernel, engine, tscGHz, tscGHz * cyclesPerTick, hugepages ? "with" : "without")
  }
}
