internal import CIPsecMB
internal import Keys
package import Wire

/// Intel IPsec-MB: the fastest engine on x86-64, through its direct calls.
///
/// A slot is the library's expanded key, which needs nothing outside the slot, followed by the slot's mark. Where `VectorGCM`
/// agrees with the library, it expands the keys that serve one packet, and seals and opens all packets.
package struct IPsecMBEngine: AEADEngine, @unchecked Sendable {
  package static let name = "ipsec-mb"
  package static var batchWidth: Int { 8 }
  package var leastHits: Int { isVectorized ? 216 : 16 }
  package var mostCached: Int { isVectorized ? 512 : .max }

  private let manager: UnsafeMutablePointer<IMB_MGR>
  private let hmac: OpenSSLHMAC
  /// Whether `VectorGCM` is in use.
  package let isVectorized: Bool

  /// The mark stands right behind the expanded key, in the cache line of the hash key, which every packet touches.
  private static let markOffset = Int(CIPsecMB_gcm_key_size)

  package init() throws(EngineError) { try self.init(vectorized: true) }

  /// - Parameter vectorized: false for the library's key expansion and sealing, whatever `VectorGCM` can do here.
  package init(vectorized: Bool) throws(EngineError) {
    hmac = try OpenSSLHMAC(engine: Self.name)
    isVectorized = vectorized && VectorGCM.verdict == .agrees
    guard let manager = CIPsecMB_alloc_mb_mgr() else {
      throw .unavailable(engine: Self.name, found: "no memory for its manager", remedy: "free some memory")
    }
    self.manager = manager
    do throws(EngineError) {
      try Self.check(manager)
      try SelfTest.run(self)
    } catch {
      shutdown()
      throw error
    }
  }

  /// The CPU and the library's own self-test. Without AES-NI the library would run tables, whose timing tells the key.
  private static func check(_ manager: UnsafeMutablePointer<IMB_MGR>) throws(EngineError) {
    let features = manager.pointee.features
    guard features & IMB_FEATURE_AESNI != 0, features & IMB_FEATURE_PCLMULQDQ != 0 else {
      throw .unavailable(
        engine: name, found: "the CPU has no AES-NI or no PCLMULQDQ",
        remedy: "use engine: openssl, or let the virtual machine see the host's CPU flags")
    }
    guard imb_get_errno(manager) == 0, features & IMB_FEATURE_SELF_TEST_PASS != 0 else {
      throw .selfTestFailed(engine: name, check: "the library's own self-test")
    }
  }

  package func shutdown() {
    free_mb_mgr(manager)
  }

  package var build: String {
    let architecture =
      switch IMB_ARCH(rawValue: manager.pointee.used_arch) {
      case IMB_ARCH_AVX512: "AVX512"
      case IMB_ARCH_AVX2: "AVX2"
      case IMB_ARCH_AVX: "AVX"
      default: "SSE"
      }
    let own = isVectorized ? "own AES-GCM" : "without own AES-GCM: \(VectorGCM.verdict.description)"
    return "IPsec-MB \(String(cString: imb_get_version_str())), \(architecture), \(own)"
  }

  // MARK: Slots

  package var slotSize: Int { (Self.markOffset + MemoryLayout<SlotMark>.size + 63) & ~63 }

  package var lockedSize: Int { slotSize }

  package func prepareSlot(_ slot: UnsafeMutableRawPointer) {
    eraseSlot(slot)
  }

  package func expand(_ key: UnsafeRawPointer, suite: Suite, into slot: UnsafeMutableRawPointer) {
    // The last four of AES-256's fifteen round keys, which give the key away, would survive an AES-128 expansion.
    if !mark(of: slot).isOf(suite) { eraseSlot(slot) }
    switch suite {
    case .aes256: CIPsecMB_IMB_AES256_GCM_PRE(manager, key, slot)
    case .aes128: CIPsecMB_IMB_AES128_GCM_PRE(manager, key, slot)
    }
    slot.storeBytes(of: .holds(suite), toByteOffset: Self.markOffset, as: SlotMark.self)
  }

  @inline(__always)
  package func expandBatch(
    _ keys: UnsafeRawPointer, for uses: UnsafePointer<KeyUse>, count: Int, into slots: UnsafeMutableRawPointer
  ) {
    guard isVectorized, count <= Self.batchWidth else {
      for index in 0..<count {
        expand(
          keys + index &* KeyDerivation.keySize, suite: uses[index].suite, into: slots + index &* slotSize)
      }
      return
    }
    var first = 0
    while first < count {
      let suite = uses[first].suite
      var powers = InlineArray<8, UInt8>(repeating: 0)
      var end = first
      while end < count, uses[end].suite == suite {
        let wanted = VectorGCM.powers(for: uses[end].blocks)
        powers[end &- first] = wanted
        (slots + end &* slotSize).storeBytes(
          of: .holds(suite, blocks: VectorGCM.blocks(servedBy: wanted)), toByteOffset: Self.markOffset,
          as: SlotMark.self)
        end &+= 1
      }
      VectorGCM.expand(
        keys + first &* KeyDerivation.keySize, suite: suite, powers: powers, count: end &- first,
        into: slots + first &* slotSize, stride: slotSize)
      first = end
    }
  }

  @inline(__always)
  package func eraseBatch(_ slots: UnsafeMutableRawPointer, count: Int, mostBlocks: Int) {
    if isVectorized {
      VectorGCM.erase(slots, count: count, mostBlocks: mostBlocks, stride: slotSize)
    } else if count > 0 {
      eraseOctets(slots, count: count &* slotSize)
    }
  }

  package func eraseSlot(_ slot: UnsafeMutableRawPointer) {
    eraseOctets(slot, count: slotSize)
  }

  package func releaseSlot(_ slot: UnsafeMutableRawPointer) {
    eraseSlot(slot)
  }

  @inline(__always)
  private func mark(of slot: UnsafeRawPointer) -> SlotMark {
    slot.load(fromByteOffset: Self.markOffset, as: SlotMark.self)
  }

  // MARK: Packets

  @inline(__always)
  package func seal(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer
  ) {
    if isVectorized {
      var packet = AEADPacket(
        slot: slot, nonce: Nonce(nonce), aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
      return seal(&packet, stride: MemoryLayout<AEADPacket>.stride, count: 1, suite: suite)
    }
    guard mark(of: slot).serves(suite, text: length, aad: aadLength) else {
      fillAfterFailure(text, length)
      fillAfterFailure(tag, 16)
      return
    }
    let (aadLength, octets) = (UInt64(truncatingIfNeeded: aadLength), UInt64(truncatingIfNeeded: length))
    switch suite {
    case .aes256: CIPsecMB_IMB_AES256_GCM_ENC(manager, slot, nonce, aad, aadLength, text, octets, tag)
    case .aes128: CIPsecMB_IMB_AES128_GCM_ENC(manager, slot, nonce, aad, aadLength, text, octets, tag)
    }
  }

  @inline(__always)
  package func seal(_ packets: UnsafeMutableRawPointer, stride: Int, count: Int, suite: Suite) {
    var first = 0
    for index in 0..<count {
      let packet = (packets + index &* stride).assumingMemoryBound(to: AEADPacket.self)
      let mark = mark(of: packet.pointee.slot)
      let (length, aadLength) = (Int(packet.pointee.length), Int(packet.pointee.aadLength))
      if isVectorized,
        mark.servesAny(suite) && SlotMark.allows(text: length, aad: aadLength)
          || mark.serves(suite, text: length, aad: aadLength)
      {
        packet.pointee.note = UInt64(VectorGCM.powers(in: mark))
        continue
      }
      if index > first {
        VectorGCM.seal(packets + first &* stride, stride: stride, count: index &- first, suite: suite)
      }
      first = index &+ 1
      sealOrFail(packet, suite: suite)
    }
    if count > first {
      VectorGCM.seal(packets + first &* stride, stride: stride, count: count &- first, suite: suite)
    }
  }

  /// With the library, or to fail.
  @inline(never)
  private func sealOrFail(_ packet: UnsafeMutablePointer<AEADPacket>, suite: Suite) {
    guard isVectorized else { return sealAlone(packet, suite: suite) }
    fillAfterFailure(packet.pointee.text, Int(packet.pointee.length))
    fillAfterFailure(packet.pointee.placeOfTag, 16)
  }

  @inline(__always)
  package func open(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeRawPointer
  ) -> Bool {
    let mark = mark(of: slot)
    guard mark.serves(suite, text: length, aad: aadLength) else { return false }
    var right: (UInt64, UInt64) = (0, 0)
    if isVectorized {
      VectorGCM.open(
        slot, powers: VectorGCM.powers(in: mark), suite: suite, nonce: nonce, aad: aad, aadLength: aadLength,
        text: text, length: length, tag: &right)
    } else {
      let (aadLength, octets) = (UInt64(truncatingIfNeeded: aadLength), UInt64(truncatingIfNeeded: length))
      switch suite {
      case .aes256: CIPsecMB_IMB_AES256_GCM_DEC(manager, slot, nonce, aad, aadLength, text, octets, &right)
      case .aes128: CIPsecMB_IMB_AES128_GCM_DEC(manager, slot, nonce, aad, aadLength, text, octets, &right)
      }
    }
    // One comparison of all 128 bits: its time does not tell where they differ.
    let low = right.0 ^ tag.loadUnaligned(as: UInt64.self)
    let high = right.1 ^ tag.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    return low | high == 0
  }

  // MARK: Key primitives

  package func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    hmac(key: key, message: message, into: output)
  }

  package func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer) {
    CIPsecMB_IMB_AES_KEYEXP_256(manager, key, schedule)
  }

  package func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    guard count > 0 else { return }
    if isVectorized { return VectorGCM.encryptBlocks(schedule, blocks, count: count) }
    if !CIPsecMB_IMB_SUBMIT_JOB_ECB(manager, schedule, blocks, UInt64(count)) {
      fillAfterFailure(blocks, count &* 16)
    }
  }
}
