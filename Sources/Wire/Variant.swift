/// AEAD and key length (wire format, section 1, bit S).
@usableFromInline
package enum Suite: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  case aes256 = 0
  case aes128 = 1

  /// Octets of a data key.
  @inlinable package var keyLength: Int { self == .aes256 ? 32 : 16 }
}

/// What a data key is bound to besides the ID and the epoch (wire format, section 1, bits CC).
@usableFromInline
package enum KeyContext: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  case device = 0
  case connection = 1
  case sourceAddress = 2
}

/// The header's field V: bits `W C C S`.
@usableFromInline
package struct Variant: Hashable, Sendable, BitwiseCopyable {
  /// 0 to 15.
  @usableFromInline package let rawValue: UInt8

  /// Nothing for context 11 and for a connection without the wide ID, the two that section 6 calls `variant`.
  @inlinable package init?(rawValue: UInt8) {
    // One bit for each V: 2, 3, 6, 7, 14 and 15 are the ones that do not exist.
    guard rawValue < 16, 0b0011_1111_0011_0011 as UInt16 >> rawValue & 1 == 1 else { return nil }
    self.rawValue = rawValue
  }

  /// A connection's ID is always wide.
  @inlinable package init(context: KeyContext, suite: Suite, isWide: Bool) {
    let wide: UInt8 = isWide || context == .connection ? 8 : 0
    rawValue = wide | context.rawValue << 1 | suite.rawValue
  }

  /// Whether the ID has 8 octets instead of 4.
  @inlinable package var isWide: Bool { rawValue & 8 != 0 }
  @inlinable package var idLength: Int { rawValue & 8 != 0 ? 8 : 4 }
  @inlinable package var context: KeyContext {
    rawValue & 4 != 0 ? .sourceAddress : rawValue & 2 != 0 ? .connection : .device
  }
  @inlinable package var suite: Suite { rawValue & 1 != 0 ? .aes128 : .aes256 }
}
