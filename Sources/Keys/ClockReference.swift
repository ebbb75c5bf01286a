/// The time that others have, carried on by a clock that nobody can set (time since boot).
package struct ClockReference: Equatable, Sendable {
  /// Unix time less time since boot, in milliseconds.
  package var offset: Int64
  /// How far the clock may be off, in milliseconds.
  package var tolerance: Int64

  package init(offset: Int64, tolerance: Int64) {
    self.offset = offset
    self.tolerance = tolerance
  }

  /// What the clock should show, in Unix seconds.
  package func time(sinceBoot: Int64 = NodeSystem.sinceBoot()) -> UInt64 {
    UInt64(max((offset + sinceBoot) / 1000, 0))
  }

  /// How far the clock is off; nil while that is bearable.
  package func problem(clock: UInt64, sinceBoot: Int64) -> ClockProblem? {
    let (ahead, overflow) = Int64(clamping: clock).multipliedReportingOverflow(by: 1000)
    guard !overflow, abs(ahead / 2) < Int64.max / 4 else { return .off(milliseconds: Int64.max) }
    let off = ahead - offset - sinceBoot
    return abs(off) > tolerance ? .off(milliseconds: off) : nil
  }
}

/// Why a node neither seals nor opens.
package enum ClockProblem: Equatable, Sendable, CustomStringConvertible {
  /// Nobody said yet what time it is.
  case unknown
  /// Positive: the clock is ahead.
  case off(milliseconds: Int64)

  package var description: String {
    switch self {
    case .unknown: "the clock has not been compared with the controllers' yet"
    case .off(let milliseconds):
      "the clock is \(abs(milliseconds / 1000)) s \(milliseconds > 0 ? "ahead of" : "behind") the controllers': set it "
        + "(chronyc makestep, timedatectl set-ntp true); sealing and opening begin again by themselves"
    }
  }
}
