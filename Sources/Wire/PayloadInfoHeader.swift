/// The four octets before a payload in EESP's full format (wire format, section 3).
@usableFromInline
package struct PayloadInfoHeader: Hashable, Sendable, BitwiseCopyable {
  /// An IP protocol number; 143 is an Ethernet frame, 59 a dummy packet.
  @usableFromInline package let nextHeader: UInt8
  /// Octets of padding at the payload's end.
  @usableFromInline package let padLength: UInt8

  @inlinable package static var length: Int { 4 }
  @inlinable package static var nextHeaderOffset: Int { 2 }
  @inlinable package static var padLengthOffset: Int { 3 }

  @inlinable package init(nextHeader: UInt8, padLength: UInt8 = 0) {
    self.nextHeader = nextHeader
    self.padLength = padLength
  }

  /// Reads Next Header and Pad Length; Reserved is not checked. Nothing under 4 octets.
  @inlinable package init?(_ payload: RawSpan) {
    guard payload.byteCount >= PayloadInfoHeader.length else { return nil }
    nextHeader = payload.uint8(at: PayloadInfoHeader.nextHeaderOffset)
    padLength = payload.uint8(at: PayloadInfoHeader.padLengthOffset)
  }

  /// The header as a number of four octets; Reserved is zero.
  @inlinable package var word: UInt32 { UInt32(nextHeader) << 8 | UInt32(padLength) }

  /// Returns the offset after the header; nothing when it does not fit.
  @inlinable package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: PayloadInfoHeader.length, at: offset) else { return nil }
    bytes.store(word, at: offset)
    return offset &+ PayloadInfoHeader.length
  }
}
