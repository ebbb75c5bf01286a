/// A borrowed UDP datagram (RFC 768).
@usableFromInline
package struct UDPView: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// Octets of header and payload.
  @usableFromInline package let length: Int

  /// Nothing unless 8 <= length <= octets.
  @_lifetime(copy bytes)
  @inlinable @inline(__always) package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= UDPHeader.length else { return nil }
    let length = Int(bytes.uint16(at: UDPHeader.lengthOffset))
    guard length >= UDPHeader.length, length <= bytes.byteCount else { return nil }
    self.bytes = bytes
    self.length = length
  }

  @inlinable package var sourcePort: UInt16 { bytes.uint16(at: UDPHeader.sourcePortOffset) }
  @inlinable package var destinationPort: UInt16 { bytes.uint16(at: UDPHeader.destinationPortOffset) }
  /// 0 means none.
  @inlinable package var checksum: UInt16 { bytes.uint16(at: UDPHeader.checksumOffset) }
  @inlinable package var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(UDPHeader.length..<length) }
  }

  /// Whether the checksum is right, or absent where it may be: over IPv4 (RFC 768; RFC 8200, section 8.1).
  package func checksumIsValid(source: IPAddress, destination: IPAddress) -> Bool {
    if checksum == 0 { return source.isIPv4 }
    let pseudo = Checksum.pseudoHeader(
      source: source, destination: destination, protocolNumber: IPProtocol.udp, length: length)
    return Checksum.compute(bytes.extracting(first: length), onto: pseudo) == 0
  }
}

/// A UDP header to write. Its checksum is 0, as wire format, section 6, wants it over both families.
@usableFromInline
package struct UDPHeader: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var sourcePort: UInt16
  @usableFromInline package var destinationPort: UInt16
  /// Octets of header and payload.
  @usableFromInline package var datagramLength: UInt16

  @inlinable package static var length: Int { 8 }
  @inlinable package static var sourcePortOffset: Int { 0 }
  @inlinable package static var destinationPortOffset: Int { 2 }
  @inlinable package static var lengthOffset: Int { 4 }
  @inlinable package static var checksumOffset: Int { 6 }
  /// Where gateways listen unless configured otherwise.
  @inlinable package static var defaultPort: UInt16 { 4500 }

  @inlinable package init(sourcePort: UInt16, destinationPort: UInt16, datagramLength: UInt16) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.datagramLength = datagramLength
  }

  /// Returns the offset after the header; nothing, and no octet written, when it does not fit.
  @inlinable package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: UDPHeader.length, at: offset) else { return nil }
    let ports = UInt64(sourcePort) << 48 | UInt64(destinationPort) << 32
    bytes.store(ports | UInt64(datagramLength) << 16, at: offset)
    return offset &+ UDPHeader.length
  }

  /// Gives the datagram at `offset`, header and payload of `datagramLength` octets, its checksum. False where it does not lie
  /// inside the octets.
  package func storeChecksum(
    _ bytes: inout MutableRawSpan, at offset: Int, source: IPAddress, destination: IPAddress
  ) -> Bool {
    let length = Int(datagramLength)
    guard length >= UDPHeader.length, bytes.hasRoom(for: length, at: offset) else { return false }
    let pseudo = Checksum.pseudoHeader(
      source: source, destination: destination, protocolNumber: IPProtocol.udp, length: length)
    bytes.store(UInt16(0), at: offset &+ UDPHeader.checksumOffset)
    let checksum = Checksum.compute(bytes.bytes.extracting(offset..<offset &+ length), onto: pseudo)
    // 0 would say that there is none (RFC 768).
    bytes.store(checksum == 0 ? 0xFFFF : checksum, at: offset &+ UDPHeader.checksumOffset)
    return true
  }
}
