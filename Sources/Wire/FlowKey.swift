/// The random key of the flow hash, made once per start: without it nobody can aim flows at one queue, path or peer.
@usableFromInline
package struct FlowKey: Sendable, BitwiseCopyable {
  @usableFromInline let words: (UInt64, UInt64, UInt64, UInt64)

  package init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
    words = (word0, word1, word2, word3)
  }

  package static func random() -> FlowKey {
    var system = SystemRandomNumberGenerator()
    return FlowKey(system.next(), system.next(), system.next(), system.next())
  }

  /// Both halves of a 128-bit product, folded: one multiplication mixes 128 bits.
  @inlinable @inline(__always) package static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  /// A hash of two addresses and what tells flows between them apart, not symmetric. It spreads; it does not authenticate.
  /// The last round is for flows that differ in a port only: after the one before they stand in even steps, which for some
  /// keys meet in few places.
  @inlinable @inline(__always) package func hash(source: IPAddress, destination: IPAddress, rest: UInt64) -> UInt64 {
    let from = FlowKey.mix(source.high ^ words.0, source.low ^ words.1)
    let to = FlowKey.mix(destination.high ^ words.2, destination.low ^ words.3)
    return FlowKey.mix(FlowKey.mix(from ^ rest ^ words.3, to ^ words.0) ^ words.2, words.1 | 1)
  }
}

/// What a flow's hash chooses.
@usableFromInline
package enum FlowChoice {
  /// A UDP source port of 49152 to 65535 (wire format, section 6), from the upper bits.
  @inlinable package static func sourcePort(_ hash: UInt64) -> UInt16 {
    0xC000 | UInt16(truncatingIfNeeded: hash >> 50)
  }

  /// What takes the flow's place when every packet is spread for itself: turn after turn, the upper and the lower half of
  /// the word take even steps of their own (the square root of 2 and the golden ratio, as fractions of the half), so that
  /// peers and ports are used equally often at any length of time, and neither follows from the other.
  @inlinable package static func next(_ turn: UInt64) -> UInt64 { turn &+ 0x6A09_E667_9E37_79B9 }

  /// A number below `count`, from the lower bits, so that it does not follow from the port. 0 when `count` is not positive.
  @inlinable package static func index(_ hash: UInt64, below count: Int) -> Int {
    guard count > 0 else { return 0 }
    return Int(truncatingIfNeeded: (hash & 0xFFFF_FFFF).multipliedFullWidth(by: UInt64(count)).low >> 32)
  }
}
