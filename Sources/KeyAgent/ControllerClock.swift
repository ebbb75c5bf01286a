internal import Glibc
package import Keys
internal import Synchronization

/// The time that the controllers have: the median of those who answered in the last minute, by a clock that nobody can
/// set between two answers.
package final class ControllerClock: Sendable {
  /// An answer's offset (Unix time less time since boot), and when it came; both in milliseconds.
  private struct Sample {
    var offset: Int64
    var at: Int64
  }

  private struct State {
    var samples: [String: Sample] = [:]
    /// Controllers that were asked at least once, answered or not.
    var asked: Set<String> = []
    var reference: ClockReference?
  }

  private let state = Mutex(State())
  private let controllers: Set<String>
  private let tolerance: Int64
  private let startedAt: Int64
  private static let memory: Int64 = 60_000
  /// Milliseconds that a start waits for the first answer.
  private static let patience: Int64 = 3_000

  package init(controllers: [String], tolerance: Int64, sinceBoot: Int64 = NodeSystem.sinceBoot()) {
    self.controllers = Set(controllers)
    self.tolerance = tolerance
    startedAt = sinceBoot
  }

  /// - Parameter date: the answer's Date header; nil for no answer, or one without.
  package func heard(_ controller: String, date: String?, sinceBoot: Int64 = NodeSystem.sinceBoot()) {
    let time = date.flatMap(Self.seconds)
    state.withLock { state in
      state.asked.insert(controller)
      guard let time else { return }
      // The header leaves out the milliseconds: half a second in the mean.
      state.samples[controller] = Sample(offset: time * 1000 + 500 - sinceBoot, at: sinceBoot)
    }
  }

  /// The time to go by; nil while nobody was asked yet. With no controller in reach, what they said last, and at a start
  /// without any the node's own clock: a step of it after that is noticed all the same.
  package func reference(clock: UInt64 = NodeSystem.clock(), sinceBoot: Int64 = NodeSystem.sinceBoot())
    -> ClockReference?
  {
    state.withLock { state in
      let offsets = state.samples.values.filter { sinceBoot - $0.at <= Self.memory }.map(\.offset).sorted()
      if !offsets.isEmpty {
        let (low, high) = (offsets[(offsets.count - 1) / 2], offsets[offsets.count / 2])
        state.reference = ClockReference(offset: low + (high - low) / 2, tolerance: tolerance)
      } else if state.reference == nil, state.asked.isSuperset(of: controllers) || sinceBoot - startedAt > Self.patience
      {
        state.reference = ClockReference(offset: Int64(clamping: clock) * 1000 - sinceBoot, tolerance: tolerance)
      }
      return state.reference
    }
  }

  private static let months: [Substring] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Unix seconds of an HTTP date (RFC 9110, section 5.6.7), the form that must be sent.
  package static func seconds(_ date: String) -> Int64? {
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let words = date.split(separator: " ")
    guard date.utf8.count == 29, words.count == 6, words[5] == "GMT", let day = Int32(words[1]),
      let month = months.firstIndex(of: words[2]), let year = Int32(words[3])
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int32($0) }
    guard clock.count == 3 else { return nil }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
    let time = timegm(&parts)
    return time >= 0 && time < 1 << 40 ? Int64(time) : nil
  }
}
