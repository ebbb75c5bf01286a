/// Sees lcores that make no round: a crash of one thread is a crash of all, but one may hang in a driver, or be kept from its
/// core.
struct LcoreWatch {
  /// Nanoseconds without a round after which an lcore counts as stalled: longer than a machine that is not overloaded keeps a
  /// thread waiting, and short enough for a pool to lose little.
  static let patience: UInt64 = 200_000_000

  private struct Seen {
    var rounds: UInt64
    var time: UInt64
  }

  private let lcores: [Counters]
  private var seen: [Seen]
  private var lastLook: UInt64
  private(set) var stalled: [Int] = []

  /// Nobody is watched until the lcores run.
  init() {
    lcores = []
    seen = []
    lastLook = 0
  }

  init(_ lcores: [Counters], now: UInt64) {
    self.lcores = lcores
    seen = lcores.map { Seen(rounds: Self.rounds($0), time: now) }
    lastLook = now
  }

  private static func rounds(_ counters: Counters) -> UInt64 { counters.value(.busy) &+ counters.value(.idle) }

  mutating func look(now: UInt64) {
    // Who looks was kept waiting himself (the process was stopped): nothing can be said about the time between.
    let wasAway = now &- lastLook > Self.patience / 2
    lastLook = now
    stalled.removeAll(keepingCapacity: true)
    for (number, counters) in lcores.enumerated() {
      let rounds = Self.rounds(counters)
      if rounds != seen[number].rounds || wasAway { seen[number] = Seen(rounds: rounds, time: now) }
      if now &- seen[number].time >= Self.patience { stalled.append(number) }
    }
  }
}
