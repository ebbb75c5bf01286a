internal import CIPsecMB
package import Wire

/// Our own expansion of keys that serve one packet (CShims/CIPsecMB/vector_keys.c), beside IPsec-MB, which then seals and
/// opens with them.
///
/// It writes only the powers of the hash key that a packet's length needs. Which ones the library reads is documented
/// nowhere: for n blocks of text or AAD it was seen to read the lowest n, up to 48. `VectorKeys+Verdict.swift` shows that at
/// start, on the library and the CPU at hand.
package enum VectorKeys {
  package static var mostPowers: UInt8 { UInt8(vector_keys_most_powers) }

  /// The powers that a packet needs: one for each block of its text or of its AAD, whichever are more.
  @inline(__always)
  package static func powers(for use: KeyUse) -> UInt8 { powers(for: use.octets) }

  @inline(__always)
  private static func powers(for octets: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: max(1, min((octets &+ 15) &>> 4, Int(mostPowers))))
  }

  /// For how many octets of text or AAD so many powers are enough.
  @inline(__always)
  static func octets(of powers: UInt8) -> UInt64 { powers >= mostPowers ? .max : UInt64(powers) &<< 4 }

  @inline(__always)
  package static func expand(
    _ keys: UnsafeRawPointer, suite: Suite, powers: InlineArray<8, UInt8>, count: Int,
    into slots: UnsafeMutableRawPointer, stride: Int
  ) {
    powers.span.withUnsafeBufferPointer { powers in
      switch suite {
      case .aes256: vector_keys_expand_256(keys, slots, stride, powers.baseAddress, count)
      case .aes128: vector_keys_expand_128(keys, slots, stride, powers.baseAddress, count)
      }
    }
  }

  /// - Parameter largest: the most octets of text or AAD that a key was for.
  @inline(__always)
  package static func erase(_ slots: UnsafeMutableRawPointer, count: Int, largest: Int, stride: Int) {
    vector_keys_erase(slots, stride, Int(powers(for: largest)), count)
  }

  @inline(__always)
  package static func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    vector_keys_encrypt_blocks(schedule, blocks, count)
  }
}
