/// Where one master key option lies within a security header and what it names (wire format, section 1).
@usableFromInline
package struct MasterKeyOption: Sendable, BitwiseCopyable {
  /// Level, index, ID offset and ID length, an octet each: one word, so that a decoded header is a few whole stores.
  @usableFromInline let word: UInt32

  /// 1 trust-region, 2 user-group, 3 task-group root key; 0 for no option.
  @inlinable package var level: UInt8 { UInt8(truncatingIfNeeded: word >> 24) }
  /// Generation of the root key, mod 256.
  @inlinable package var index: UInt8 { UInt8(truncatingIfNeeded: word >> 16) }
  /// Octets from the header's first to the root key ID.
  @inlinable package var idOffset: Int { Int(word >> 8 & 0xFF) }
  /// 16, 20, 24, 28 or 32 octets.
  @inlinable package var idLength: Int { Int(word & 0xFF) }

  /// Octets of type, length, index and padding, before the root key ID.
  @inlinable package static var prefixLength: Int { 4 }

  @inlinable static var none: MasterKeyOption { MasterKeyOption(word: 0) }

  @inlinable init(word: UInt32) { self.word = word }

  /// - Parameters:
  ///   - prefix: the first four octets as a number, found valid.
  ///   - offset: octets from the header's first to the option's.
  @inlinable init(prefix: UInt32, at offset: Int) {
    let place = UInt32(truncatingIfNeeded: offset &+ MasterKeyOption.prefixLength)
    // The length on the wire counts index and padding too.
    word = prefix & 0xFF00_0000 | prefix << 8 & 0xFF_0000 | place << 8 | (prefix >> 16 & 0xFF) &- 2
  }

  /// The first four octets as one number, when type and length are such as the format allows.
  @inlinable static func isValid(prefix: UInt32) -> Bool {
    let level = prefix >> 24
    let length = prefix >> 16 & 0xFF
    // 18, 22, 26, 30 or 34: 2 mod 4, as the ID is a multiple of four octets.
    return level &- 1 < 3 && length &- 18 <= 16 && length & 3 == 2
  }

  /// Writes one option with its padding octet zero and returns the offset after it: nothing, and no octet written, when
  /// the level, the ID's length or the room is wrong.
  package static func write(
    level: UInt8, index: UInt8, id: RawSpan, into bytes: inout MutableRawSpan, at offset: Int
  ) -> Int? {
    guard id.byteCount <= 32 else { return nil }
    let prefix = UInt32(level) << 24 | UInt32(id.byteCount + 2) << 16 | UInt32(index) << 8
    guard isValid(prefix: prefix), bytes.hasRoom(for: prefixLength + id.byteCount, at: offset) else { return nil }
    bytes.store(prefix, at: offset)
    bytes.store(id, at: offset + prefixLength)
    return offset + prefixLength + id.byteCount
  }
}
