/// ID mod 2^32 | Epoch | Counter (wire format, section 3), and four octets more: so the nonce is written with one store, which
/// an engine's load right after it need not wait for.
package struct Nonce {
  private var words: SIMD4<UInt32>

  /// - Parameter octets: 12.
  @inline(__always) package init(_ octets: UnsafeRawPointer) {
    words = SIMD4(
      octets.loadUnaligned(as: UInt32.self), octets.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
      octets.loadUnaligned(fromByteOffset: 8, as: UInt32.self), 0)
  }

  /// - Parameter sequence: Epoch and Counter, as the header's last eight octets have them.
  @inline(__always) init(id: UInt64, sequence: UInt64) {
    let halves = SIMD2(id &<< 32 | sequence &>> 32, sequence &<< 32)
    words = unsafeBitCast(SIMD2(halves.x.bigEndian, halves.y.bigEndian), to: SIMD4<UInt32>.self)
  }
}
