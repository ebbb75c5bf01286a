import Foundation

/// A part of the run. Each is measured in a process of its own, as DPDK starts once in each.
enum Section: String, CaseIterable {
  case sizes, steps, flows, bursts, keys, engines, files, proxy, peers, lcores, latency, events, instructions, sharing,
    goals

  /// Those that this build has: the loop is timed step by step only in the one with the floor.
  static let all = allCases.filter { $0 != .steps || Cipher.hasFloor }
  /// What one thread moves.
  static let quick: [Section] = [.sizes, .steps, .bursts, .keys, .engines, .files, .proxy, .instructions, .sharing]
    .filter(all.contains)

  /// What a section is told.
  struct Effort {
    var isQuick: Bool
    /// Samples of each figure.
    var samples: Int { isQuick ? 21 : 101 }
    var sizes: [Sizes] { isQuick ? Sizes.goals : Sizes.all }
  }

  func run(_ effort: Effort) throws -> [Table] {
    switch self {
    case .sizes: try SizesSection(effort: effort).tables()
    case .steps: try StepsSection(effort: effort).tables()
    case .flows: try FlowsSection(effort: effort).tables()
    case .bursts: try BurstsSection(effort: effort).tables()
    case .keys: try KeysSection(effort: effort).tables()
    case .engines: try EnginesSection(effort: effort).tables()
    case .files: try FilesSection(effort: effort).tables()
    case .proxy: try ProxySection(effort: effort).tables()
    case .peers: try PeersSection(effort: effort).tables()
    case .lcores: try LcoresSection(effort: effort).tables()
    case .latency: try LatencySection(effort: effort).tables()
    case .events: try EventsSection(effort: effort).tables()
    case .instructions: try InstructionsSection(limits: Thresholds.apply ? Thresholds() : nil).tables()
    case .sharing: try SharingSection().tables()
    case .goals: try GoalsSection(effort: effort).tables()
    }
  }
}
