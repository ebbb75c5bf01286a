// Changes in place, to a header that an IPv4View accepted at the same offset; the checksum follows incrementally.
extension IPv4Header {
  /// Replaces one 16-bit word of the header.
  @inlinable @inline(__always) static func replace(
    _ bytes: inout MutableRawSpan, at offset: Int, word: Int, with new: UInt16
  ) {
    let old = bytes.bytes.uint16(at: offset &+ word)
    let checksum = bytes.bytes.uint16(at: offset &+ checksumOffset)
    bytes.store(new, at: offset &+ word)
    bytes.store(Checksum.updated(checksum, replacing: old, with: new), at: offset &+ checksumOffset)
  }

  /// One less, not below zero. What that takes from the sum, 0x0100, is added to its complement, the checksum.
  @inlinable @inline(__always) package static func decrementTTL(_ bytes: inout MutableRawSpan, at offset: Int = 0) {
    // TTL, protocol, checksum.
    let word = bytes.bytes.uint32(at: offset &+ ttlOffset)
    guard word >> 24 > 0 else { return }
    // The sum's carry out of its 16 bits is added to it, and not to the protocol.
    let added: UInt32 = word & 0xFFFF >= 0xFEFF ? 0x0101 &- 0x1_0000 : 0x0100
    bytes.store(word &- 0x0100_0000 &+ added, at: offset &+ ttlOffset)
  }

  @inlinable package static func setTrafficClass(_ value: UInt8, _ bytes: inout MutableRawSpan, at offset: Int = 0) {
    let old = bytes.bytes.uint16(at: offset)
    replace(&bytes, at: offset, word: 0, with: old & 0xFF00 | UInt16(value))
  }

  /// What transport mode changes of the header that it keeps.
  @inlinable package static func setProtocol(
    _ protocolNumber: UInt8, totalLength: UInt16, _ bytes: inout MutableRawSpan, at offset: Int = 0
  ) {
    let old = bytes.bytes.uint16(at: offset &+ ttlOffset)
    replace(&bytes, at: offset, word: ttlOffset, with: old & 0xFF00 | UInt16(protocolNumber))
    replace(&bytes, at: offset, word: totalLengthOffset, with: totalLength)
  }
}
