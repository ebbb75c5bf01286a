/// A rate limit: `rate` events a second on average, at most `burst` at once. It starts full.
///
/// Tokens are counted as the nanoseconds that earned them, so that no fraction is lost.
package struct TokenBucket: Sendable {
  private var interval: UInt64
  private var capacity: UInt64
  private var earned: UInt64
  private var last: UInt64 = 0

  /// A rate or burst of 0 lets nothing pass.
  package init(rate: UInt32, burst: UInt32) {
    (interval, capacity, earned) = (0, 0, .max)
    limit(rate: rate, burst: burst)
  }

  /// Sets another limit; what was earned is kept as far as the new burst allows.
  package mutating func limit(rate: UInt32, burst: UInt32) {
    interval = rate == 0 ? 0 : max(1, 1_000_000_000 / UInt64(rate))
    // At most 10^9 ns x 2^32, below 2^62: the sum of two fits.
    capacity = interval &* UInt64(burst)
    earned = min(earned, capacity)
  }

  /// Takes a token if there is one. `now` in nanoseconds; a clock that goes back earns nothing.
  package mutating func take(now: UInt64) -> Bool {
    if now > last {
      earned = min(capacity, earned &+ min(capacity, now &- last))
      last = now
    }
    guard interval > 0, earned >= interval else { return false }
    earned &-= interval
    return true
  }
}
