internal import Keys

/// Why an engine cannot be used.
package enum EngineError: Error, Equatable, CustomStringConvertible {
  /// The engine does not run here: what was found, and what to do.
  case unavailable(engine: String, found: String, remedy: String)
  /// A known answer came out wrong.
  case selfTestFailed(engine: String, check: String)
  /// Memory for keys could not be locked.
  case memoryNotLocked(engine: String, locked: Int, limit: UInt64?)

  package var description: String {
    switch self {
    case .unavailable(let engine, let found, let remedy):
      "engine \(engine): \(found); \(remedy)"
    case .selfTestFailed(let engine, let check):
      "engine \(engine): the self-test failed at \(check): the library or the CPU computes wrongly, nothing was sealed; "
        + "reinstall the library, or choose the other engine (engine: in the configuration)"
    case .memoryNotLocked(let engine, let locked, let limit):
      "engine \(engine): no more memory for keys can be locked: it has \(locked) octets, and RLIMIT_MEMLOCK is "
        + (limit.map { "\($0) octets" } ?? "unlimited")
        + "; raise it with `ulimit -l` or LimitMEMLOCK= in the systemd unit, or make the key cache smaller"
    }
  }

  /// `memoryNotLocked` with the limit that holds now.
  static func memoryNotLocked(engine: String, locked: Int) -> EngineError {
    .memoryNotLocked(engine: engine, locked: locked, limit: LockedMemory.limit)
  }
}
