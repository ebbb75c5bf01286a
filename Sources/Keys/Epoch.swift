/// Epoch arithmetic (wire format, section 4). Numbers are compared as 64-bit values and reduced mod 2^16 only for
/// packets.
@usableFromInline package enum Epoch {
  /// floor(Unix time / period), not reduced. A period of 0 counts as one second, so that no input can trap.
  @inlinable package static func number(at seconds: UInt64, period: UInt32) -> UInt64 {
    seconds / UInt64(max(period, 1))
  }

  /// What a packet carries.
  @inlinable @inline(__always) package static func onWire(_ number: UInt64) -> UInt16 {
    UInt16(truncatingIfNeeded: number)
  }

  /// Whether a received epoch is the receiver's own, the one before or the one after; 65535 and 0 are neighbours.
  @inlinable @inline(__always) package static func isAccepted(_ received: UInt16, own: UInt64) -> Bool {
    received &- onWire(own) &+ 1 <= 2
  }
}
