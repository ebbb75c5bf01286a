internal import Wire

/// How headers are copied and written.
extension UnsafeMutableRawPointer {
  /// Copies in whole vectors, and so up to 15 octets more than `count`, or up to 48 octets, on both sides.
  @inline(__always) func copyVectors(from source: UnsafeRawPointer, atLeast count: Int) {
    copyVector(from: source, at: 0)
    copyVector(from: source, at: 16)
    copyVector(from: source, at: 32)
    var offset = 48
    while offset < count {
      copyVector(from: source, at: offset)
      offset &+= 16
    }
  }

  /// Copies 16 octets or more; the last vector ends where they do.
  @inline(__always) func copyVectors(from source: UnsafeRawPointer, exactly count: Int) {
    var offset = 0
    while offset < count &- 16 {
      copyVector(from: source, at: offset)
      offset &+= 16
    }
    copyVector(from: source, at: count &- 16)
  }

  /// Copies 48 to 208 octets, with a line of code for each vector: of a loop the compiler would make several, or a call.
  @inline(__always) func copyHeaders(from source: UnsafeRawPointer, count: Int) {
    copyVector(from: source, at: 0)
    copyVector(from: source, at: 16)
    copyVector(from: source, at: 32)
    if count > 64 { copyVector(from: source, at: 48) }
    if count > 80 { copyVector(from: source, at: 64) }
    if count > 96 { copyVector(from: source, at: 80) }
    if count > 112 { copyVector(from: source, at: 96) }
    if count > 128 { copyLongHeaders(from: source, count: count) }
    copyVector(from: source, at: count &- 16)
  }

  @inline(never) private func copyLongHeaders(from source: UnsafeRawPointer, count: Int) {
    copyVector(from: source, at: 112)
    if count > 144 { copyVector(from: source, at: 128) }
    if count > 160 { copyVector(from: source, at: 144) }
    if count > 176 { copyVector(from: source, at: 160) }
    if count > 192 { copyVector(from: source, at: 176) }
  }

  @inline(__always) private func copyVector(from source: UnsafeRawPointer, at offset: Int) {
    storeBytes(
      of: source.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self), toByteOffset: offset,
      as: SIMD16<UInt8>.self)
  }

  @inline(__always) func store(_ mac: MACAddress) {
    storeBytes(of: UInt32(truncatingIfNeeded: mac.rawValue >> 16).bigEndian, as: UInt32.self)
    storeBytes(of: UInt16(truncatingIfNeeded: mac.rawValue).bigEndian, toByteOffset: 4, as: UInt16.self)
  }

  @inline(__always) func store16(_ value: Int, at offset: Int) {
    storeBytes(of: UInt16(truncatingIfNeeded: value).bigEndian, toByteOffset: offset, as: UInt16.self)
  }
}
