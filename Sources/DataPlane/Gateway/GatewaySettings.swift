package import Keys

/// What a gateway is started with and keeps until it ends; what may change under traffic is the `GatewayPlan`.
package struct GatewaySettings: Sendable {
  package struct Capture: Sendable {
    package var port: Int
    package var path: String
    /// Octets after which packets are only counted.
    package var limit: Int
    package init(port: Int, path: String, limit: Int) {
      self.port = port
      self.path = path
      self.limit = limit
    }
  }

  /// How epochs are known.
  package enum Time: Sendable {
    /// By the clock and the counter record at this path (wire format, section 4); sealing needs it.
    case record(path: String)
    /// By the clock alone: a client's new connection has keys that never sealed (wire format, section 5).
    case connection
    /// At a fixed time in Unix seconds, for old captures: opens, never seals.
    case fixed(UInt64)
    /// Every epoch is accepted, for old captures: opens, never seals.
    case any

    var isConnection: Bool { if case .connection = self { true } else { false } }
  }

  package var engine = EngineChoice.auto
  package var lcores = 1
  /// Lcores have their cores to themselves and never sleep.
  package var isDedicated = false
  /// Processors to bind lcores to; empty: they float.
  package var cores: [Int] = []
  package var time: Time
  /// False derives a data key for every packet, to show what that costs.
  package var cachesKeys = true
  package var capture: Capture?
  /// Nothing is sealed or opened before the record's keeper was told what time others have.
  package var waitsForClock = false
  /// The table of replay windows, for plans whose groups have any.
  package var replay: ReplayShape?

  package init(time: Time) { self.time = time }
}

/// Why a gateway did not start or did not take a new plan. Operator text.
package struct GatewayError: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
