/// Where one master key option lies within a security header and what it names (wire format, section 1).
@usableFromInline
package struct MasterKeyOption: Sendable, BitwiseCopyable {
  /// 1 trust-region, 2 user-group, 3 task-group root key.
  @usableFromInline package let level: UInt8
  /// Generation of the root key, mod 256.
  @usableFromInline package let index: UInt8
  /// Octets from the header's first to the root key ID.
  @usableFromInline package let idOffset: UInt8
  /// 16, 20, 24, 28 or 32 octets.
  @usableFromInline package let idLength: UInt8

  /// Octets of type, length, index and padding, before the root key ID.
  @inlinable package static var prefixLength: Int { 4 }

  @inlinable package init(level: UInt8, index: UInt8, idOffset: UInt8, idLength: UInt8) {
    self.level = level
    self.index = index
    self.idOffset = idOffset
    self.idLength = idLength
  }

  @inlinable static var none: MasterKeyOption { MasterKeyOption(level: 0, index: 0, idOffset: 0, idLength: 0) }

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
