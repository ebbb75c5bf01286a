internal import Wire

/// The data keys of a connection where a key table keeps them, in the place of a master key that the node does not have.
///
/// An entry takes 64 octets: 0 key (32), 32 ID (8), 40 epoch (2), 42 V (1).
enum GrantedKeys {
  static let stride = 64
  static let idOffset = 32
  static let epochOffset = 40
  static let variantOffset = 42

  static func write(_ granted: GrantedKey, of id: ConnectionID, at place: UnsafeMutableRawPointer) {
    let request = granted.request(id)
    granted.key.withOctets { octets in
      if let base = octets.baseAddress { place.copyMemory(from: base, byteCount: SecretKey.size) }
    }
    place.storeBytes(of: request.id, toByteOffset: idOffset, as: UInt64.self)
    place.storeBytes(of: request.epoch, toByteOffset: epochOffset, as: UInt16.self)
    place.storeBytes(of: request.variant.rawValue, toByteOffset: variantOffset, as: UInt8.self)
  }
}

extension MasterKey {
  /// Makes the place of a master key that the node does not have, from which nothing is ever derived: only what was
  /// granted is found.
  static func write(
    granted keys: UnsafeRawPointer, count: Int, serial: UInt64, fingerprint: UInt64, at place: UnsafeMutableRawPointer
  ) -> MasterKey {
    eraseOctets(place, count: stride)
    place.storeBytes(of: serial, toByteOffset: serialOffset, as: UInt64.self)
    place.storeBytes(of: keys, toByteOffset: grantsOffset, as: UnsafeRawPointer?.self)
    place.storeBytes(of: count, toByteOffset: grantCountOffset, as: Int.self)
    place.storeBytes(of: fingerprint, toByteOffset: fingerprintOffset, as: UInt64.self)
    return MasterKey(at: place)
  }

  /// Whether data keys are looked up, not derived.
  @inlinable package var isGranted: Bool {
    (base + Self.grantsOffset).load(as: UnsafeRawPointer?.self) != nil
  }

  /// Whether this key was granted; false for a master key that is held.
  @usableFromInline package func grants(_ request: DataKeyRequest) -> Bool { granted(request) != nil }

  private func granted(_ request: DataKeyRequest) -> UnsafeRawPointer? {
    guard let keys = (base + Self.grantsOffset).load(as: UnsafeRawPointer?.self) else { return nil }
    let count = (base + Self.grantCountOffset).load(as: Int.self)
    for index in 0..<max(count, 0) {
      let entry = keys + index &* GrantedKeys.stride
      if entry.load(fromByteOffset: GrantedKeys.idOffset, as: UInt64.self) == request.id,
        entry.load(fromByteOffset: GrantedKeys.epochOffset, as: UInt16.self) == request.epoch,
        entry.load(fromByteOffset: GrantedKeys.variantOffset, as: UInt8.self) == request.variant.rawValue
      {
        return entry
      }
    }
    return nil
  }

  /// In the place of derivation. Whoever asks has looked (`grants`); a key that is not there becomes one that nobody has.
  @usableFromInline func copyGranted(
    _ requests: UnsafePointer<DataKeyRequest>, count: Int, into keys: UnsafeMutableRawPointer
  ) {
    for index in 0..<count {
      let place = keys + index &* SecretKey.size
      if let granted = granted(requests[index]) {
        place.copyMemory(from: granted, byteCount: SecretKey.size)
      } else {
        var random = SystemRandomNumberGenerator()
        for offset in Swift.stride(from: 0, to: SecretKey.size, by: 8) {
          place.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
        }
      }
    }
  }
}
