/// A master key where it lies in a key table's locked memory: one pointer wide, nothing to retain.
///
/// Layout in octets: 0 AES-256 schedule (256, aligned to 64, opaque), 256 CMAC subkey K1 (16), 272 serial (8), 280 granted
/// data keys in the place of a master key that is not held (8), 288 their number (8), 304 fingerprint (16, of which 8 count).
@usableFromInline package struct MasterKey: Equatable, @unchecked Sendable {
  @inlinable package static var stride: Int { 320 }
  @inlinable static var subkeyOffset: Int { 256 }
  @inlinable static var serialOffset: Int { 272 }
  @inlinable static var grantsOffset: Int { 280 }
  static var grantCountOffset: Int { 288 }
  @inlinable static var fingerprintOffset: Int { 304 }

  @usableFromInline let base: UnsafeRawPointer

  @inlinable init(at base: UnsafeRawPointer) { self.base = base }

  /// What `KeyPrimitives.expandAES256` wrote.
  @inlinable package var schedule: UnsafeRawPointer { base }

  /// K1 of CMAC (RFC 4493, section 2.3): every input of the KDF is a whole number of blocks, so K2 is never used.
  @inlinable package var subkey: SIMD16<UInt8> {
    (base + Self.subkeyOffset).load(as: SIMD16<UInt8>.self)
  }

  /// Never used for another master key by this process; 0 is none.
  @inlinable package var serial: UInt64 { (base + Self.serialOffset).load(as: UInt64.self) }

  /// The same whenever the same master key is installed again, unlike `serial`: replay windows outlive a key table. Half a
  /// CMAC under the key, so it tells nothing about it.
  @inlinable package var fingerprint: UInt64 { (base + Self.fingerprintOffset).load(as: UInt64.self) }

  /// Writes a master key's schedule, subkey, serial and fingerprint: `stride` octets at `place`, aligned to 64.
  ///
  /// - Parameter key: 32 octets.
  @discardableResult
  package static func write(
    _ key: UnsafeRawPointer, serial: UInt64, with primitives: some KeyPrimitives, at place: UnsafeMutableRawPointer
  ) -> MasterKey {
    primitives.expandAES256(key, into: place)
    place.storeBytes(of: serial, toByteOffset: serialOffset, as: UInt64.self)
    place.storeBytes(of: nil, toByteOffset: grantsOffset, as: UnsafeRawPointer?.self)
    // K1 = the encrypted zero block times x in GF(2^128) (RFC 4493, section 2.3).
    let subkey = place + subkeyOffset
    subkey.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
    primitives.encryptBlocks(place, subkey, count: 1)
    let high = UInt64(bigEndian: subkey.load(as: UInt64.self))
    let low = UInt64(bigEndian: subkey.load(fromByteOffset: 8, as: UInt64.self))
    let reduction: UInt64 = high >> 63 == 1 ? 0x87 : 0
    subkey.storeBytes(of: (high << 1 | low >> 63).bigEndian, as: UInt64.self)
    subkey.storeBytes(of: (low << 1 ^ reduction).bigEndian, toByteOffset: 8, as: UInt64.self)
    // CMAC of the zero block, which no derivation has: theirs begin with 1 or 2.
    let fingerprint = place + fingerprintOffset
    fingerprint.storeBytes(of: MasterKey(at: place).subkey, as: SIMD16<UInt8>.self)
    primitives.encryptBlocks(place, fingerprint, count: 1)
    return MasterKey(at: place)
  }
}

/// Computes master keys (wire format, section 2), when keys are installed and never per packet.
struct MasterKeyMaker: ~Copyable {
  /// 0 the XOR of the root keys (32), 32 the master key (32), 64 the message (25 + 3 x 36 octets).
  private let scratch: LockedMemory
  private static let label: StaticString = "EESP stateless master key"
  private static let messageOffset = 64

  init() throws(LockedMemoryError) {
    scratch = try LockedMemory(octets: LockedMemory.pageSize)
  }

  /// Writes the master key of `generations`, which name `rootKeys` in order, and its schedule, subkey and serial to
  /// `place`.
  func make(
    _ rootKeys: [RootKey], _ generations: [Generation], serial: UInt64, with primitives: some KeyPrimitives,
    at place: UnsafeMutableRawPointer
  ) {
    let combined = scratch.base
    let master = scratch.base + 32
    eraseOctets(combined, count: 64)
    for generation in generations {
      generation.key.withOctets { octets in
        for position in octets.indices {
          let octet = combined.load(fromByteOffset: position, as: UInt8.self)
          combined.storeBytes(of: octet ^ octets[position], toByteOffset: position, as: UInt8.self)
        }
      }
    }
    let message = scratch.base + Self.messageOffset
    var length = Self.label.utf8CodeUnitCount
    message.copyMemory(from: Self.label.utf8Start, byteCount: length)
    for (root, generation) in zip(rootKeys, generations) {
      length += root.writeOption(index: generation.index, to: message + length)
    }
    primitives.hmacSHA256(
      key: UnsafeRawBufferPointer(start: combined, count: 32),
      message: UnsafeRawBufferPointer(start: message, count: length), into: master)
    MasterKey.write(master, serial: serial, with: primitives, at: place)
    eraseOctets(combined, count: 64)
  }
}
