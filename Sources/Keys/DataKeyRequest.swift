public import Wire  // public: what uses it is inlined into the lcore loop

/// What a data key is derived from, besides the master key (wire format, section 2).
@usableFromInline package struct DataKeyRequest: Equatable, Sendable, BitwiseCopyable {
  @usableFromInline package var variant: Variant
  @usableFromInline package var epoch: UInt16
  /// Zero-extended on the left.
  @usableFromInline package var id: UInt64
  /// The outer source address; all zero in the contexts that do not take it in.
  @usableFromInline package var source: IPAddress

  /// - Parameter source: the outer source address, dropped where the context does not take it in.
  @inlinable package init(variant: Variant, id: UInt64, epoch: UInt16, source: IPAddress) {
    self.variant = variant
    self.epoch = epoch
    self.id = id
    self.source = variant.context == .sourceAddress ? source : IPAddress(high: 0, low: 0)
  }

  /// Written out, as the one that the compiler would make does not inline into other modules.
  @inlinable package static func == (left: DataKeyRequest, right: DataKeyRequest) -> Bool {
    let small = left.variant.rawValue ^ right.variant.rawValue
    return (left.id ^ right.id) | UInt64(left.epoch ^ right.epoch) | UInt64(small) == 0 && left.source == right.source
  }

  @inlinable var isFromSourceAddress: Bool { variant.context == .sourceAddress }
  /// Whether the key has 16 octets, not 32.
  @inlinable var isShort: Bool { variant.suite == .aes128 }
  /// L: the key's length in bits.
  @inlinable var bits: UInt64 { isShort ? 128 : 256 }
}

// The KDF's input (wire format, section 2) with i = 1, as blocks of 16 octets.
extension DataKeyRequest {
  /// i | 'E' | 0x40 + V | 0 | ID | Epoch | L: all of the input in the contexts of one block.
  @inlinable var onlyBlock: SIMD16<UInt8> { firstBlock(tail: bits) }

  /// The same head, then the address's first two octets.
  @inlinable var firstBlock: SIMD16<UInt8> { firstBlock(tail: source.high &>> 48) }

  /// The address's other 14 octets | L.
  @inlinable var secondBlock: SIMD16<UInt8> {
    Self.block(source.high &<< 16 | source.low &>> 48, source.low &<< 16 | bits)
  }

  /// What makes 2 of the counter 1 in a block's first octet.
  @inlinable static var nextCounter: SIMD16<UInt8> { block(3 &<< 56, 0) }

  @inlinable func firstBlock(tail: UInt64) -> SIMD16<UInt8> {
    let head =
      1 &<< 56 | UInt64(UInt8(ascii: "E")) &<< 48 | UInt64(0x40 | variant.rawValue) &<< 40 | id &>> 32
    return Self.block(head, id &<< 32 | UInt64(epoch) &<< 16 | tail)
  }

  @inlinable static func block(_ high: UInt64, _ low: UInt64) -> SIMD16<UInt8> {
    unsafeBitCast(SIMD2(high.bigEndian, low.bigEndian), to: SIMD16<UInt8>.self)
  }
}
