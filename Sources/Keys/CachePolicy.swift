/// Decides when looking for data keys in the cache, and keeping them there, is worth its cycles: a key is cheap to derive, so
/// that a cache which is rarely hit costs more than it saves.
///
/// One packet in `missesPerKept` that missed has its key kept: the more often a key is used, the sooner it is in, and nothing
/// has to be remembered of the others. When too few of a sample of packets find their keys, many packets pass without a
/// look before the next sample.
@usableFromInline package struct CachePolicy {
  /// Packets in a sample.
  @inlinable package static var sample: Int { 1024 }
  /// Samples that are left out after one that was not worth it.
  @inlinable package static var rest: Int { 15 }
  /// The first miss is kept, then one in so many.
  @inlinable package static var missesPerKept: Int { 64 }

  /// The share of packets, in 256ths, that must find their keys.
  @usableFromInline let leastHits: Int
  /// Whether the next burst looks for its keys.
  @usableFromInline package var isLooking = true
  @usableFromInline var looked = 0
  @usableFromInline var hits = 0
  @usableFromInline var resting = 0
  @usableFromInline var misses = Self.missesPerKept

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
    return misses >= Self.missesPerKept
  }

  /// One was kept.
  @inlinable package mutating func kept() { misses = 0 }

  @inlinable mutating func endSample() {
    if hits &<< 8 < looked &* leastHits {
      isLooking = false
      resting = Self.sample &* Self.rest
    }
    looked = 0
    hits = 0
  }
}
