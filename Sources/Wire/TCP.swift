/// A borrowed TCP segment (RFC 9293).
@usableFromInline
package struct TCPView: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// Octets of header with options, 20 to 60.
  @usableFromInline package let headerLength: Int

  @inlinable package static var minimumLength: Int { 20 }
  @inlinable package static var dataOffsetOffset: Int { 12 }
  @inlinable package static var flagsOffset: Int { 13 }
  @inlinable package static var checksumOffset: Int { 16 }
  @inlinable package static var syn: UInt8 { 0x02 }

  /// Nothing unless 20 <= data offset <= octets.
  @_lifetime(copy bytes)
  @inlinable package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= TCPView.minimumLength else { return nil }
    let headerLength = Int(bytes.uint8(at: TCPView.dataOffsetOffset) >> 4) &* 4
    guard headerLength >= TCPView.minimumLength, headerLength <= bytes.byteCount else { return nil }
    self.bytes = bytes
    self.headerLength = headerLength
  }

  @inlinable package var sourcePort: UInt16 { bytes.uint16(at: 0) }
  @inlinable package var destinationPort: UInt16 { bytes.uint16(at: 2) }
  @inlinable package var flags: UInt8 { bytes.uint8(at: TCPView.flagsOffset) }
  @inlinable package var isSYN: Bool { flags & TCPView.syn != 0 }
  @inlinable package var checksum: UInt16 { bytes.uint16(at: TCPView.checksumOffset) }
  @inlinable package var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(droppingFirst: headerLength) }
  }

  /// Where the two octets of the maximum segment size lie, from the header's first; nothing when there is no such option
  /// or an option before it is broken.
  @inlinable package var maximumSegmentSizeOffset: Int? {
    var offset = TCPView.minimumLength
    while offset < headerLength {
      switch bytes.uint8(at: offset) {
      case 0: return nil
      case 1: offset &+= 1
      case let kind:
        guard offset &+ 1 < headerLength else { return nil }
        let length = Int(bytes.uint8(at: offset &+ 1))
        guard length >= 2, length <= headerLength &- offset else { return nil }
        if kind == 2 { return length == 4 ? offset &+ 2 : nil }
        offset &+= length
      }
    }
    return nil
  }

  /// Lowers the maximum segment size that a SYN at `offset` announces and mends the checksum. Returns whether it changed
  /// anything; a segment that is no SYN, has no such option or is broken stays as it is.
  @inlinable package static func clampMaximumSegmentSize(
    _ bytes: inout MutableRawSpan, at offset: Int, to limit: UInt16
  ) -> Bool {
    guard let place = announcedSizeOffset(bytes.bytes, at: offset) else { return false }
    let old = bytes.bytes.uint16(at: offset &+ place)
    let checksum = bytes.bytes.uint16(at: offset &+ checksumOffset)
    guard old > limit else { return false }
    // Behind an odd number of NOPs the value straddles two words; ones' complement sums take swapped octets as well.
    let isOdd = place & 1 != 0
    bytes.store(limit, at: offset &+ place)
    bytes.store(
      Checksum.updated(
        checksum, replacing: isOdd ? old.byteSwapped : old, with: isOdd ? limit.byteSwapped : limit),
      at: offset &+ checksumOffset)
    return true
  }

  @inlinable static func announcedSizeOffset(_ bytes: RawSpan, at offset: Int) -> Int? {
    guard let segment = bytes.part(from: offset, to: bytes.byteCount), let view = TCPView(segment), view.isSYN else {
      return nil
    }
    return view.maximumSegmentSizeOffset
  }
}
