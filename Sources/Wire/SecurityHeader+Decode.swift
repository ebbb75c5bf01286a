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
  @inlinable @inline(__always) package static func decode(_ packet: RawSpan, overUDP: Bool, sourceIsMapped: Bool)
    -> Decoded
  {
    let count = packet.byteCount
    guard count >= minimumLength else {
      return .drop(overUDP && count == 1 && packet.uint8(at: 0) == 0xFF ? .keepalive : .malformed)
    }
    let word = packet.uint32(at: 0)
    guard word >> 28 == version else { return .drop(.version) }
    let length = Int(word >> 24 & 0xF) &* 8 &+ 8
    guard length >= minimumLength, length <= count else { return .drop(.malformed) }

    guard let variant = Variant(rawValue: UInt8(truncatingIfNeeded: word >> 20 & 0xF)) else { return .drop(.variant) }

    // Options must fill what lies between the ID and Epoch, but for four zero octets where alignment needs them. All
    // lengths here are multiples of four and `end` is one of eight, so that exactly those four octets can be left over.
    let end = length &- sequenceLength
    var offset = idOffset &+ variant.idLength
    var optionCount: UInt8 = 0
    var highest: UInt8 = 0
    var options = (MasterKeyOption.none, MasterKeyOption.none, MasterKeyOption.none)
    // Levels rise and end at 3, which bounds the loop to three rounds.
    while end &- offset > MasterKeyOption.prefixLength {
      let prefix = packet.uint32(at: offset)
      let option = MasterKeyOption(prefix: prefix, at: offset)
      let next = offset &+ MasterKeyOption.prefixLength &+ option.idLength
      guard MasterKeyOption.isValid(prefix: prefix), option.level > highest, next <= end else {
        return .drop(.malformed)
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
    else { return .drop(.malformed) }

    let header = SecurityHeader(
      variant: variant, word: word,
      id: variant.isWide ? packet.uint64(at: idOffset) : UInt64(packet.uint32(at: idOffset)),
      sequence: packet.uint64(at: end), length: length, optionCount: optionCount, options: options)
    guard header.ioffset <= header.coffset, count &- length >= header.clearLength &+ icvLength else {
      return .drop(.malformed)
    }
    return .header(header)
  }
}
