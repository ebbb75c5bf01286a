internal import CIPsecMB
package import Wire

/// Our own AES-GCM beside IPsec-MB's (CShims/CIPsecMB/vector_keys.c and vector_gcm.c, docs/decisions/0012): keys that serve
/// one packet, several expanded at once and with few powers of the hash key, and packets sealed and opened with them.
package enum VectorGCM {
  /// Powers of the hash key in a key that the library expanded.
  package static var mostPowers: UInt8 { UInt8(vector_keys_most_powers) }

  /// The powers that a packet of so many blocks needs.
  @inline(__always)
  package static func powers(for blocks: Int) -> UInt8 { blocks <= 4 ? 4 : blocks <= 8 ? 8 : UInt8(vector_gcm_powers) }

  /// The blocks that a packet may have for which these powers are enough.
  @inline(__always)
  static func blocks(servedBy powers: UInt8) -> Int {
    powers < vector_gcm_powers ? Int(powers) : powers < mostPowers ? SlotMark.manyBlocks : SlotMark.anyBlocks
  }

  /// The powers that a slot's key has: all of them, or few.
  @inline(__always)
  static func powers(in mark: SlotMark) -> UInt8 { mark.servesAnything ? mostPowers : UInt8(vector_gcm_powers) }

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

  /// Also clears registers.
  @inline(__always)
  package static func erase(_ slots: UnsafeMutableRawPointer, count: Int, mostBlocks: Int, stride: Int) {
    vector_keys_erase(slots, stride, Int(powers(for: mostBlocks)), count)
  }

  @inline(__always)
  package static func encryptBlocks(
    _ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int
  ) {
    vector_keys_encrypt_blocks(schedule, blocks, count)
  }

  /// Packets whose notes say how many powers their keys have: `mostPowers`, or `powers(for:)` their blocks.
  @inline(__always)
  package static func seal(_ packets: UnsafeRawPointer, stride: Int, count: Int, suite: Suite) {
    let packets = packets.assumingMemoryBound(to: vector_gcm_packet.self)
    switch suite {
    case .aes256: vector_gcm_seal_256(packets, stride, count)
    case .aes128: vector_gcm_seal_128(packets, stride, count)
    }
  }

  /// Whether C sees in a packet what Swift put there.
  static var hasLayoutOfC: Bool {
    typealias Own = MemoryLayout<AEADPacket>
    typealias Other = MemoryLayout<vector_gcm_packet>
    return Own.size == Other.size && Own.offset(of: \.slot) == Other.offset(of: \.key)
      && Own.offset(of: \.aad) == Other.offset(of: \.aad) && Own.offset(of: \.text) == Other.offset(of: \.text)
      && Own.offset(of: \.tag) == Other.offset(of: \.tag) && Own.offset(of: \.nonce) == Other.offset(of: \.nonce)
      && Own.offset(of: \.aadLength) == Other.offset(of: \.aad_length)
      && Own.offset(of: \.length) == Other.offset(of: \.length) && Own.offset(of: \.note) == Other.offset(of: \.powers)
  }

  /// With a key of so many powers, as above; writes the tag that the text should have.
  @inline(__always)
  package static func open(
    _ slot: UnsafeRawPointer, powers: UInt8, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer,
    aadLength: Int, text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer
  ) {
    let powers = Int(powers)
    switch suite {
    case .aes256: vector_gcm_open_256(slot, powers, nonce, aad, aadLength, text, length, tag)
    case .aes128: vector_gcm_open_128(slot, powers, nonce, aad, aadLength, text, length, tag)
    }
  }
}
