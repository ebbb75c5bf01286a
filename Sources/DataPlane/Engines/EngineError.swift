internal import Glibc

/// Why an engine cannot be used.
package enum EngineError: Error, Equatable, CustomStringConvertible {
  /// The engine does not run here: what was found, and what to do.
  case unavailable(engine: String, found: String, remedy: String)
  /// A known answer came out wrong.
  case selfTestFailed(engine: String, check: String)
  /// Memory for keys could not be locked.
  case memoryNotLocked(engine: String, locked: Int, limit: UInt64)

  package var description: String {
    switch self {
    case .unavailable(let engine, let found, let remedy):
      "engine \(engine): \(found); \(remedy)"
    case .selfTestFailed(let engine, let check):
      "engine \(engine): the self-test failed at \(check): the library or the CPU computes wrongly, nothing was sealed; "
        + "reinstall the library, or choose the other engine (engine: in the configuration)"
    case .memoryNotLocked(let engine, let locked, let limit):
      "engine \(engine): no more memory for keys can be locked: it holds \(locked) octets, and "
        + "\(limit) octets may be locked by the process; raise the limit (ulimit -l, LimitMEMLOCK= in a systemd unit)"
    }
  }

  /// `memoryNotLocked` with the limit that holds now.
  static func memoryNotLocked(engine: String, locked: Int) -> EngineError {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
    return .memoryNotLocked(engine: engine, locked: locked, limit: UInt64(limit.rlim_cur))
  }
}
