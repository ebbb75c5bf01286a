/// COffset and IOffset in octets of payload.
struct PayloadOffsets {
  /// In clear.
  let clear: Int
  /// Not even authenticated.
  let unprotected: Int

  /// - Parameter word: the security header's first four octets.
  @inline(__always) init(word: UInt32) {
    clear = Int(word &>> 2 & 0x3FC)
    unprotected = Int(word &<< 2 & 0x3C)
  }

  /// In units of four octets.
  @inline(__always) init(coffset: UInt8, ioffset: UInt8) {
    clear = Int(coffset) &* 4
    unprotected = Int(ioffset) &* 4
  }

  /// Octets of payload that are authenticated in clear.
  var covered: Int { @inline(__always) get { clear &- unprotected } }

  /// AAD: the header, then the payload's octets from IOffset to COffset. They lie in one piece unless IOffset leaves a gap.
  @inline(__always)
  func protected(
    of packet: UnsafeMutableRawPointer, headerLength: Int, scratch: UnsafeMutableRawPointer
  ) -> UnsafeRawPointer {
    if unprotected == 0 { return UnsafeRawPointer(packet) }
    scratch.copyMemory(from: packet, byteCount: headerLength)
    (scratch + headerLength).copyMemory(from: packet + headerLength + unprotected, byteCount: covered)
    return UnsafeRawPointer(scratch)
  }
}
