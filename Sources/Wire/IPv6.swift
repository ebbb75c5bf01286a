/// A borrowed IPv6 packet (RFC 8200). Jumbograms are not known: their payload length of 0 is taken at its word.
@usableFromInline
package struct IPv6View: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// Octets after the 40 of the header, extension headers included.
  @usableFromInline package let payloadLength: Int

  /// Nothing unless the version is 6 and 40 + payload length <= octets.
  @_lifetime(copy bytes)
  @inlinable @inline(__always) package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= IPv6Header.length else { return nil }
    let payloadLength = Int(bytes.uint16(at: IPv6Header.payloadLengthOffset))
    guard bytes.uint8(at: 0) >> 4 == 6, IPv6Header.length &+ payloadLength <= bytes.byteCount else { return nil }
    self.bytes = bytes
    self.payloadLength = payloadLength
  }

  @inlinable package var totalLength: Int { IPv6Header.length &+ payloadLength }
  /// DSCP (6 bits) and ECN (2).
  @inlinable package var trafficClass: UInt8 { UInt8(truncatingIfNeeded: bytes.uint16(at: 0) >> 4) }
  @inlinable package var dscp: UInt8 { trafficClass >> 2 }
  @inlinable package var ecn: ECN { ECN(trafficClass: trafficClass) }
  /// 20 bits.
  @inlinable package var flowLabel: UInt32 { bytes.uint32(at: 0) & 0xF_FFFF }
  @inlinable package var nextHeader: UInt8 { bytes.uint8(at: IPv6Header.nextHeaderOffset) }
  @inlinable package var hopLimit: UInt8 { bytes.uint8(at: IPv6Header.hopLimitOffset) }
  @inlinable package var source: IPAddress { bytes.ipv6Address(at: IPv6Header.sourceOffset) }
  @inlinable package var destination: IPAddress { bytes.ipv6Address(at: IPv6Header.destinationOffset) }
  /// Whether an address is IPv4-mapped, which no IPv6 packet on a wire should have and which would pass for IPv4 in
  /// lookups by address (RFC 4942, section 2.2).
  @inlinable package var hasMappedAddress: Bool { source.isIPv4 || destination.isIPv4 }

  /// Header and payload without what the link padded.
  @inlinable package var packet: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(first: totalLength) }
  }

  /// What follows the 40 octets, beginning with an extension header if there is one.
  @inlinable package var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(IPv6Header.length..<totalLength) }
  }
}

/// An IPv6 header to write.
@usableFromInline
package struct IPv6Header: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var trafficClass: UInt8
  /// 20 bits.
  @usableFromInline package var flowLabel: UInt32
  /// Octets after this header.
  @usableFromInline package var payloadLength: UInt16
  @usableFromInline package var nextHeader: UInt8
  @usableFromInline package var hopLimit: UInt8
  @usableFromInline package var source: IPAddress
  @usableFromInline package var destination: IPAddress

  @inlinable package init(
    trafficClass: UInt8 = 0, flowLabel: UInt32 = 0, payloadLength: UInt16, nextHeader: UInt8, hopLimit: UInt8 = 64,
    source: IPAddress, destination: IPAddress
  ) {
    self.trafficClass = trafficClass
    self.flowLabel = flowLabel
    self.payloadLength = payloadLength
    self.nextHeader = nextHeader
    self.hopLimit = hopLimit
    self.source = source
    self.destination = destination
  }

  @inlinable package static var length: Int { 40 }
  @inlinable package static var payloadLengthOffset: Int { 4 }
  @inlinable package static var nextHeaderOffset: Int { 6 }
  @inlinable package static var hopLimitOffset: Int { 7 }
  @inlinable package static var sourceOffset: Int { 8 }
  @inlinable package static var destinationOffset: Int { 24 }

  /// Returns the offset after the header; nothing, and no octet written, when it does not fit.
  @inlinable package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: IPv6Header.length, at: offset) else { return nil }
    let word0 = 0x6000_0000 | UInt32(trafficClass) << 20 | flowLabel & 0xF_FFFF
    let word1 = UInt32(payloadLength) << 16 | UInt32(nextHeader) << 8 | UInt32(hopLimit)
    bytes.store(UInt64(word0) << 32 | UInt64(word1), at: offset)
    bytes.store(ipv6: source, at: offset &+ IPv6Header.sourceOffset)
    bytes.store(ipv6: destination, at: offset &+ IPv6Header.destinationOffset)
    return offset &+ IPv6Header.length
  }

  // Changes in place, to a header that an IPv6View accepted at the same offset.

  /// One less, not below zero.
  @inlinable @inline(__always) package static func decrementHopLimit(_ bytes: inout MutableRawSpan, at offset: Int = 0)
  {
    let old = bytes.bytes.uint8(at: offset &+ hopLimitOffset)
    bytes.store(old > 0 ? old &- 1 : old, at: offset &+ hopLimitOffset)
  }

  @inlinable package static func setTrafficClass(_ value: UInt8, _ bytes: inout MutableRawSpan, at offset: Int = 0) {
    let old = bytes.bytes.uint16(at: offset)
    bytes.store(old & 0xF00F | UInt16(value) << 4, at: offset)
  }
}
