/// The security header of stateless EESP (wire format, section 1), without keys, nonces and checks that need them.
@usableFromInline
package struct SecurityHeader: Sendable, BitwiseCopyable {
  /// The ID, zero-extended on the left when it has four octets.
  @usableFromInline package var id: UInt64
  /// 48 bits: member, lcore and sequence (wire format, section 4).
  @usableFromInline package var counter: UInt64
  @usableFromInline package var epoch: UInt16
  @usableFromInline package var variant: Variant
  /// With options: ignored. Without: the generations used, mod 4.
  @usableFromInline package var reserve: UInt8
  /// Start of the encrypted part in 4-octet units after the header.
  @usableFromInline package var coffset: UInt8
  /// Start of the protected part in 4-octet units after the header, 0 to 15.
  @usableFromInline package var ioffset: UInt8
  /// Octets of the whole header, 16 to 128; 0 in a header that was not decoded.
  @usableFromInline package let length: UInt8
  /// 0 to 3.
  @usableFromInline package let optionCount: UInt8
  @usableFromInline let options: (MasterKeyOption, MasterKeyOption, MasterKeyOption)

  /// A header to write; its options are given to `write`.
  @inlinable package init(
    variant: Variant, reserve: UInt8 = 0, coffset: UInt8 = 0, ioffset: UInt8 = 0, id: UInt64, epoch: UInt16 = 0,
    counter: UInt64 = 0
  ) {
    self.id = id
    self.counter = counter
    self.epoch = epoch
    self.variant = variant
    self.reserve = reserve
    self.coffset = coffset
    self.ioffset = ioffset
    length = 0
    optionCount = 0
    options = (.none, .none, .none)
  }

  @inlinable init(
    variant: Variant, word: UInt32, id: UInt64, sequence: UInt64, length: Int, optionCount: UInt8,
    options: (MasterKeyOption, MasterKeyOption, MasterKeyOption)
  ) {
    self.id = id
    self.counter = sequence & 0xFFFF_FFFF_FFFF
    self.epoch = UInt16(truncatingIfNeeded: sequence >> 48)
    self.variant = variant
    self.reserve = UInt8(truncatingIfNeeded: word >> 12)
    self.coffset = UInt8(truncatingIfNeeded: word >> 4)
    self.ioffset = UInt8(truncatingIfNeeded: word & 0xF)
    self.length = UInt8(truncatingIfNeeded: length)
    self.optionCount = optionCount
    self.options = options
  }

  /// Option `index`, below `optionCount`; beyond it an option of level 0.
  @inlinable package func option(_ index: Int) -> MasterKeyOption {
    switch index {
    case 0: options.0
    case 1: options.1
    case 2: options.2
    default: .none
    }
  }

  /// Octets from the header's first to its options, or to what follows when there are none.
  @inlinable package var optionsOffset: Int { SecurityHeader.idOffset + variant.idLength }

  /// Octets of payload left in clear.
  @inlinable package var clearLength: Int { Int(coffset) &* 4 }
  /// Octets of payload not even authenticated.
  @inlinable package var unprotectedLength: Int { Int(ioffset) &* 4 }
  /// Octets that are authenticated but not encrypted, this header among them.
  @inlinable package var aadLength: Int { Int(length) &+ clearLength &- unprotectedLength }
}

// Layout, for the data plane that keeps a header ready and changes a few fields for each packet.
extension SecurityHeader {
  @inlinable package static var version: UInt32 { 0xF }
  @inlinable package static var minimumLength: Int { 16 }
  @inlinable package static var maximumLength: Int { 128 }
  /// The GCM tag after the payload.
  @inlinable package static var icvLength: Int { 16 }

  @inlinable package static var reserveOffset: Int { 1 }
  @inlinable package static var idOffset: Int { 4 }
  /// Epoch and Counter together, the last eight octets of the header.
  @inlinable package static var sequenceLength: Int { 8 }

  /// Version, HL, V, Reserve, COffset and IOffset: the first four octets as a number.
  @inlinable package static func firstWord(
    length: Int, variant: Variant, reserve: UInt8, coffset: UInt8, ioffset: UInt8
  ) -> UInt32 {
    let units = UInt32(truncatingIfNeeded: length / 8 &- 1) & 0xF
    return version << 28 | units << 24 | UInt32(variant.rawValue) << 20 | UInt32(reserve) << 12
      | UInt32(coffset) << 4 | UInt32(ioffset & 0xF)
  }

  /// Octets of a header with this first word, as it says of itself.
  @inlinable @inline(__always) package static func length(_ firstWord: UInt32) -> Int {
    Int(firstWord &>> 21 & 0x78) &+ 8
  }

  /// Epoch and Counter: the last eight octets as a number.
  @inlinable package static func sequenceWord(epoch: UInt16, counter: UInt64) -> UInt64 {
    UInt64(epoch) << 48 | counter & 0xFFFF_FFFF_FFFF
  }

  /// Octets of a header with `optionsLength` octets of options, padding included; nothing above `maximumLength`.
  @inlinable package static func length(variant: Variant, optionsLength: Int) -> Int? {
    guard optionsLength >= 0, optionsLength <= maximumLength else { return nil }
    let length = (idOffset &+ variant.idLength &+ optionsLength &+ 7) & ~7 &+ sequenceLength
    return length <= maximumLength ? length : nil
  }
}
