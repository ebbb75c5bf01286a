import CPerf
import DataPlane
import Foundation

/// DPDK in this process, with the measuring thread on a core of its own.
enum Environment {
  nonisolated(unsafe) static var usesHugepages = true
  /// Nothing is timed, so nothing has to come first.
  nonisolated(unsafe) static var isCounted = false
  /// MiB: for two gateways at once with their forwarding tables.
  private static let memory = 640
  nonisolated(unsafe) private static var isStarted = false
  nonisolated(unsafe) private(set) static var hasHugepages = false

  /// The last core measures: interrupts like the first.
  static var core: Int { max(0, ProcessInfo.processInfo.activeProcessorCount - 1) }

  static func start() throws {
    if isStarted { return }
    var settings = EAL.Settings()
    settings.lcores = 2
    settings.cores = [core, 0]
    settings.memory = memory
    settings.usesHugepages = usesHugepages
    hasHugepages = usesHugepages && EAL.freeHugepages >= memory
    if !isCounted { perf_process_prefer() }
    try EAL.start(settings)
    isStarted = true
    perf_thread_pin(UInt32(core))
    guard perf_thread_register() else { throw PerfError("DPDK did not take this thread in") }
  }
}
