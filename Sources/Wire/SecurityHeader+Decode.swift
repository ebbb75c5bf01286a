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
    let count = packet.byteCount
    guard count >= minimumLength else {
      return .drop(overUDP && count == 1 && packet.uint8(at: 0) == 0xFF ? .keepalive : .malformed)
    }
    let word = packet.uint32(at: 0)
    guard word >> 28 == version else { return .drop(.version) }
    let length = Int(word >> 24 & 0xF) &* 8 &+ 8
    guard length >= minimumLength, length <= count else { return .drop(.malformed) }

    guard let variant = Variant(rawValue: UInt8(truncatingIfNeeded: word >> 20 & 0xF)) else { return .drop(.variant) }

    var header = SecurityHeader(
      variant: variant, reserve: UInt8(truncatingIfNeeded: word >> 12), coffset: UInt8(truncatingIfNeeded: word >> 4),
      ioffset: UInt8(truncatingIfNeeded: word & 0xF),
      id: variant.isWide ? packet.uint64(at: idOffset) : UInt64(packet.uint32(at: idOffset)))
    header.length = UInt8(truncatingIfNeeded: length)
    guard header.readOptions(packet), !(sourceIsMapped && variant.context == .sourceAddress) else {
      return .drop(.malformed)
    }

    guard header.ioffset <= header.coffset, count &- length >= header.clearLength &+ icvLength else {
      return .drop(.malformed)
    }
    let sequence = packet.uint64(at: length &- sequenceLength)
    header.epoch = UInt16(truncatingIfNeeded: sequence >> 48)
    header.counter = sequence & 0xFFFF_FFFF_FFFF
    return .header(header)
  }

  /// Options must fill what lies between the ID and Epoch, but for four zero octets where alignment needs them. All
  /// lengths here are multiples of four and the end is one of eight, so that exactly those four octets can be left over.
  @inlinable mutating func readOptions(_ packet: RawSpan) -> Bool {
    let end = Int(length) &- SecurityHeader.sequenceLength
    var offset = optionsOffset
    var highest: UInt8 = 0
    // Rising levels, at most 3, bound the loop to three rounds.
    while end &- offset > MasterKeyOption.prefixLength {
      let prefix = packet.uint32(at: offset)
      let level = UInt8(truncatingIfNeeded: prefix >> 24)
      let next = offset &+ 2 &+ Int(prefix >> 16 & 0xFF)
      guard MasterKeyOption.isValid(prefix: prefix), level > highest, next <= end else { return false }
      let option = MasterKeyOption(
        level: level, index: UInt8(truncatingIfNeeded: prefix >> 8),
        idOffset: UInt8(truncatingIfNeeded: offset &+ MasterKeyOption.prefixLength),
        idLength: UInt8(truncatingIfNeeded: next &- offset &- MasterKeyOption.prefixLength))
      switch optionCount {
      case 0: options.0 = option
      case 1: options.1 = option
      default: options.2 = option
      }
      optionCount &+= 1
      highest = level
      offset = next
    }
    // A wide ID in a header of 16 octets ends beyond `end`.
    return offset == end || (offset < end && packet.uint32(at: offset) == 0)
  }
}
