/// The internet checksum (RFC 1071), its incremental update (RFC 1624) and the pseudo headers of RFC 9293, 768 and 8200.
@usableFromInline
package enum Checksum {
  /// Adds 16-bit words to a sum that may still carry. Octets count as if they began at an even offset; a last odd octet
  /// is the high half of a word. 64 bits cannot overflow: a packet has at most 2^14 words of 32 bits.
  @inlinable package static func sum(_ bytes: RawSpan, onto initial: UInt64 = 0) -> UInt64 {
    var sum = initial
    var offset = 0
    let count = bytes.byteCount
    while offset &+ 4 <= count {
      sum &+= UInt64(bytes.uint32(at: offset))
      offset &+= 4
    }
    if offset &+ 2 <= count {
      sum &+= UInt64(bytes.uint16(at: offset))
      offset &+= 2
    }
    if offset < count {
      sum &+= UInt64(bytes.uint8(at: offset)) << 8
    }
    return sum
  }

  /// A 64-bit sum to 16 bits, with its carries added back in: the remainder by 2^16 - 1, but 2^16 - 1 for 0, unless all that was
  /// added is 0.
  @inlinable @inline(__always) package static func fold(_ sum: UInt64) -> UInt16 {
    if sum == 0 { return 0 }
    return UInt16(truncatingIfNeeded: (sum &- 1) % 0xFFFF &+ 1)
  }

  /// The checksum of octets whose own checksum field is zero. Over octets that include a right one it is zero.
  @inlinable package static func compute(_ bytes: RawSpan, onto initial: UInt64 = 0) -> UInt16 {
    ~fold(sum(bytes, onto: initial))
  }

  /// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). The word must lie at an even offset of what is summed.
  @inlinable @inline(__always) package static func updated(_ checksum: UInt16, replacing old: UInt16, with new: UInt16)
    -> UInt16
  {
    ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
  }

  /// What the pseudo header adds: both addresses, the upper protocol and the length of its header and data. The same sum
  /// serves both families: the ffff before a mapped IPv4 address is zero in ones' complement, and the fields that differ
  /// in width add up alike.
  @inlinable package static func pseudoHeader(
    source: IPAddress, destination: IPAddress, protocolNumber: UInt8, length: Int
  ) -> UInt64 {
    var sum = UInt64(protocolNumber) &+ UInt64(truncatingIfNeeded: length)
    sum &+= (source.high >> 32) &+ (source.high & 0xFFFF_FFFF) &+ (source.low >> 32) &+ (source.low & 0xFFFF_FFFF)
    sum &+= (destination.high >> 32) &+ (destination.high & 0xFFFF_FFFF)
    sum &+= (destination.low >> 32) &+ (destination.low & 0xFFFF_FFFF)
    return sum
  }
}
