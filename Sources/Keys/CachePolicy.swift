/// Decides when looking for data keys in the cache, and keeping them there, is worth its cycles: a key is cheap to derive, so
/// that a cache which is rarely hit costs more than it saves.
///
/// One packet in `missesPerKept` that missed has its key kept: the more often a key is used, the sooner it is in, and nothing
/// has to be remembered of the others. A few are kept at once in every tenth of a second, so that a gateway with little traffic
/// has its keys soon, too, and again after each end of an epoch. When too few of a sample of packets find their keys, many
/// packets pass without a look before the next sample.
@usableFromInline package struct CachePolicy {
  /// Packets in a sample.
  @inlinable package static var sample: Int { 1024 }
  /// Samples that are left out after one that was not worth it.
  @inlinable package static var rest: Int { 15 }
  /// So many misses are kept at once between two calls of `refill`; of the others, one in `missesPerKept`.
  @inlinable package static var keptAtOnce: Int { 16 }
  @inlinable package static var missesPerKept: Int { 64 }

  /// The share of packets, in 256ths, that must find their keys.
  @usableFromInline let leastHits: Int
  /// Whether the next burst looks for its keys.
  @usableFromInline package var isLooking = true
  @usableFromInline var looked = 0
  @usableFromInline var hits = 0
  @usableFromInline var resting = 0
  @usableFromInline var misses = 0
  @usableFromInline var atOnce = Self.keptAtOnce

  /// - Parameter leastHits: below this share of hits, in 256ths, deriving every key is cheaper; nil: it always is.
  @inlinable package init(leastHits: Int?) {
    self.leastHits = leastHits ?? 0
    guard leastHits == nil else { return }
    isLooking = false
    resting = .max
  }

  /// A burst is over. True if one of its misses, if any authenticated, should be kept.
  @inlinable package mutating func endBurst(packets: Int, hits found: Int) -> Bool {
    guard isLooking else {
      resting &-= packets
      if resting <= 0 { isLooking = true }
      return false
    }
    looked &+= packets
    hits &+= found
    misses &+= packets &- found
    if looked >= Self.sample { endSample() }
    return misses >= (atOnce > 0 ? 1 : Self.missesPerKept)
  }

  /// One was kept.
  @inlinable package mutating func kept() {
    misses = 0
    if atOnce > 0 { atOnce &-= 1 }
  }

  /// Ten times a second.
  @inlinable package mutating func refill() { atOnce = Self.keptAtOnce }

  @inlinable mutating func endSample() {
    if hits &<< 8 < looked &* leastHits {
      isLooking = false
      resting = Self.sample &* Self.rest
    }
    looked = 0
    hits = 0
  }
}
