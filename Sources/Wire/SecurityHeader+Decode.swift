extension SecurityHeader {
  @usableFromInline
  package enum Decoded: Sendable {
    case header(SecurityHeader)
    case drop(DropReason)
  }

  /// Takes apart what follows the outer headers: security header, payload and ICV.
  ///
  /// The checks are those of wire format, section 6, from the first up to the `malformed` of the offsets, in that order:
  /// 1. on UDP the single octet 0xFF; fewer than 16 octets; Version; HL
  /// 2. variant
  /// 3. ID, options, padding, mapped source
  /// 4. offsets and room for the ICV
  ///
  /// - Parameter sourceIsMapped: whether the outer source is an IPv6 address inside ::ffff:0:0/96.
  @inlinable package static func decode(_ packet: RawSpan, overUDP: Bool, sourceIsMapped: Bool) -> Decoded {
    var header = SecurityHeader(variant: Variant(context: .device, suite: .aes256, isWide: false), id: 0)
    if let reason = header.decode(packet, overUDP: overUDP, sourceIsMapped: sourceIsMapped) { return .drop(reason) }
    return .header(header)
  }

  /// The same in place: nil when the header is right; when it is not, nothing has changed.
  @inlinable @inline(__always) package mutating func decode(
    _ packet: RawSpan, overUDP: Bool, sourceIsMapped: Bool
  ) -> DropReason? {
    let count = packet.byteCount
    guard count >= Self.minimumLength else {
      return overUDP && count == 1 && packet.uint8(at: 0) == 0xFF ? .keepalive : .malformed
    }
    let word = packet.uint32(at: 0)
    guard word >> 28 == Self.version else { return .version }
    let length = Int(word >> 24 & 0xF) &* 8 &+ 8
    guard length >= Self.minimumLength, length <= count else { return .malformed }

    guard let variant = Variant(rawValue: UInt8(truncatingIfNeeded: word >> 20 & 0xF)) else { return .variant }

    // Options must fill what lies between the ID and Epoch, but for four zero octets where alignment needs them. All
    // lengths here are multiples of four and `end` is one of eight, so that exactly those four octets can be left over.
    let end = length &- Self.sequenceLength
    var offset = Self.idOffset &+ variant.idLength
    var optionCount: UInt8 = 0
    var highest: UInt8 = 0
    var options = (MasterKeyOption.none, MasterKeyOption.none, MasterKeyOption.none)
    // Levels rise and end at 3, which bounds the loop to three rounds.
    while end &- offset > MasterKeyOption.prefixLength {
      let prefix = packet.uint32(at: offset)
      let option = MasterKeyOption(prefix: prefix, at: offset)
      let next = offset &+ MasterKeyOption.prefixLength &+ option.idLength
      guard MasterKeyOption.isValid(prefix: prefix), option.level > highest, next <= end else {
        return .malformed
      }
      switch optionCount {
      case 0: options.0 = option
      case 1: options.1 = option
      default: options.2 = option
      }
      optionCount &+= 1
      highest = option.level
      offset = next
    }
    // A wide ID in a header of 16 octets ends beyond `end`.
    guard offset == end || (offset < end && packet.uint32(at: offset) == 0),
      !(sourceIsMapped && variant.context == .sourceAddress)
    else { return .malformed }

    let header = SecurityHeader(
      variant: variant, word: word,
      id: variant.isWide ? packet.uint64(at: Self.idOffset) : UInt64(packet.uint32(at: Self.idOffset)),
      sequence: packet.uint64(at: end), length: length, optionCount: optionCount, options: options)
    guard header.ioffset <= header.coffset, count &- length >= header.clearLength &+ Self.icvLength else {
      return .malformed
    }
    self = header
    return nil
  }
}
