/// A borrowed IPv4 packet (RFC 791).
@usableFromInline
package struct IPv4View: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// Octets of header with options, 20 to 60.
  @usableFromInline package let headerLength: Int
  /// Octets of header and payload; what the span has beyond is padding of the link.
  @usableFromInline package let totalLength: Int

  /// Nothing unless the version is 4 and 20 <= header length <= total length <= octets.
  @_lifetime(copy bytes)
  @inlinable @inline(__always) package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= IPv4Header.minimumLength else { return nil }
    let first = bytes.uint8(at: 0)
    let headerLength = Int(first & 0xF) &* 4
    let totalLength = Int(bytes.uint16(at: IPv4Header.totalLengthOffset))
    guard first >> 4 == 4, headerLength >= IPv4Header.minimumLength, headerLength <= totalLength,
      totalLength <= bytes.byteCount
    else { return nil }
    self.bytes = bytes
    self.headerLength = headerLength
    self.totalLength = totalLength
  }

  /// DSCP (6 bits) and ECN (2).
  @inlinable package var trafficClass: UInt8 { bytes.uint8(at: IPv4Header.trafficClassOffset) }
  @inlinable package var dscp: UInt8 { trafficClass >> 2 }
  @inlinable package var ecn: ECN { ECN(trafficClass: trafficClass) }
  @inlinable package var identification: UInt16 { bytes.uint16(at: IPv4Header.identificationOffset) }
  @inlinable package var fragmentWord: UInt16 { bytes.uint16(at: IPv4Header.fragmentOffset) }
  @inlinable package var dontFragment: Bool { fragmentWord & IPv4Header.dontFragment != 0 }
  @inlinable package var moreFragments: Bool { fragmentWord & IPv4Header.moreFragments != 0 }
  /// In octets.
  @inlinable package var fragmentOffset: Int { Int(fragmentWord & 0x1FFF) &* 8 }
  /// Of any fragment, the first included.
  @inlinable package var isFragment: Bool { fragmentWord & 0x3FFF != 0 }
  @inlinable package var ttl: UInt8 { bytes.uint8(at: IPv4Header.ttlOffset) }
  @inlinable package var protocolNumber: UInt8 { bytes.uint8(at: IPv4Header.protocolOffset) }
  @inlinable package var headerChecksum: UInt16 { bytes.uint16(at: IPv4Header.checksumOffset) }
  @inlinable package var source: IPAddress { IPAddress(ipv4: bytes.uint32(at: IPv4Header.sourceOffset)) }
  @inlinable package var destination: IPAddress { IPAddress(ipv4: bytes.uint32(at: IPv4Header.destinationOffset)) }

  @inlinable package var checksumIsValid: Bool {
    @inline(__always) get {
      let first = bytes.uint64(at: 0)
      let second = bytes.uint64(at: IPv4Header.ttlOffset)
      var sum = (first >> 32) &+ (first & 0xFFFF_FFFF) &+ (second >> 32) &+ (second & 0xFFFF_FFFF)
      sum &+= UInt64(bytes.uint32(at: IPv4Header.destinationOffset))
      if headerLength > IPv4Header.minimumLength { sum = Checksum.sum(options, onto: sum) }
      return Checksum.fold(sum) == 0xFFFF
    }
  }

  @inlinable package var options: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(IPv4Header.minimumLength..<headerLength) }
  }

  /// Header and payload without what the link padded.
  @inlinable package var packet: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(first: totalLength) }
  }

  @inlinable package var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(headerLength..<totalLength) }
  }
}

/// An IPv4 header to write, without options.
@usableFromInline
package struct IPv4Header: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var trafficClass: UInt8
  /// Header and payload, at most 65535 octets.
  @usableFromInline package var totalLength: UInt16
  @usableFromInline package var identification: UInt16
  @usableFromInline package var dontFragment: Bool
  @usableFromInline package var ttl: UInt8
  @usableFromInline package var protocolNumber: UInt8
  @usableFromInline package var source: IPAddress
  @usableFromInline package var destination: IPAddress

  @inlinable package init(
    trafficClass: UInt8 = 0, totalLength: UInt16, identification: UInt16 = 0, dontFragment: Bool = true,
    ttl: UInt8 = 64, protocolNumber: UInt8, source: IPAddress, destination: IPAddress
  ) {
    self.trafficClass = trafficClass
    self.totalLength = totalLength
    self.identification = identification
    self.dontFragment = dontFragment
    self.ttl = ttl
    self.protocolNumber = protocolNumber
    self.source = source
    self.destination = destination
  }

  @inlinable package static var minimumLength: Int { 20 }
  @inlinable package static var trafficClassOffset: Int { 1 }
  @inlinable package static var totalLengthOffset: Int { 2 }
  @inlinable package static var identificationOffset: Int { 4 }
  /// Flags (3 bits) and fragment offset (13, in units of 8 octets).
  @inlinable package static var fragmentOffset: Int { 6 }
  @inlinable package static var ttlOffset: Int { 8 }
  @inlinable package static var protocolOffset: Int { 9 }
  @inlinable package static var checksumOffset: Int { 10 }
  @inlinable package static var sourceOffset: Int { 12 }
  @inlinable package static var destinationOffset: Int { 16 }
  @inlinable package static var dontFragment: UInt16 { 0x4000 }
  @inlinable package static var moreFragments: UInt16 { 0x2000 }

  /// Writes 20 octets with their checksum and returns the offset after them; nothing when they do not fit.
  @inlinable package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: IPv4Header.minimumLength, at: offset) else { return nil }
    let word0 = 0x4500_0000 | UInt32(trafficClass) << 16 | UInt32(totalLength)
    let word1 = UInt32(identification) << 16 | (dontFragment ? UInt32(IPv4Header.dontFragment) : 0)
    let word2 = UInt32(ttl) << 24 | UInt32(protocolNumber) << 16
    let sum = UInt64(word0) &+ UInt64(word1) &+ UInt64(word2) &+ UInt64(source.ipv4) &+ UInt64(destination.ipv4)
    bytes.store(word0, at: offset)
    bytes.store(word1, at: offset &+ IPv4Header.identificationOffset)
    bytes.store(word2 | UInt32(~Checksum.fold(sum)), at: offset &+ IPv4Header.ttlOffset)
    bytes.store(source.ipv4, at: offset &+ IPv4Header.sourceOffset)
    bytes.store(destination.ipv4, at: offset &+ IPv4Header.destinationOffset)
    return offset &+ IPv4Header.minimumLength
  }
}
