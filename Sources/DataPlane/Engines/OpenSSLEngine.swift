internal import COpenSSL
internal import Glibc
internal import Keys
package import Wire

/// OpenSSL: the engine for any CPU.
///
/// A slot holds two of OpenSSL's contexts, one per suite, and the slot's mark. The contexts, with the round keys in
/// them, lie in the shim's arena of locked memory. A new key waits in the slot until the first packet, because OpenSSL takes
/// key and nonce together for much less than one after the other.
package struct OpenSSLEngine: AEADEngine, @unchecked Sendable {
  package static let name = "openssl"

  private let hmac: OpenSSLHMAC
  private let blockContext: OpaquePointer
  /// The AES-256 key that `blockContext` has now, in the arena.
  private let blockKey: UnsafeMutableRawPointer

  private static let blockKeySize = 32
  private static let contextOffsets = (aes256: 0, aes128: 8)
  private static let markOffset = 16
  private static let stateOffset = 24
  /// The key that waits.
  private static let keyOffset = 32

  /// What a slot's contexts hold, and whether a key waits.
  private struct State: OptionSet {
    let rawValue: UInt64
    static let aes256InUse = State(rawValue: 1)
    static let aes128InUse = State(rawValue: 2)
    static let keyWaits = State(rawValue: 4)

    static func inUse(_ suite: Suite) -> State { suite == .aes256 ? aes256InUse : aes128InUse }
  }

  package init() throws(EngineError) {
    hmac = try OpenSSLHMAC(engine: Self.name)
    // Both start with the zero key.
    guard let context = COpenSSL_ecb_new() else { throw Self.memoryNotLocked }
    guard let key = COpenSSL_key_alloc(Self.blockKeySize) else {
      COpenSSL_context_free(context)
      throw Self.memoryNotLocked
    }
    (blockContext, blockKey) = (context, key)
    do throws(EngineError) {
      try SelfTest.run(self)
    } catch {
      shutdown()
      throw error
    }
  }

  private static var memoryNotLocked: EngineError {
    .memoryNotLocked(engine: name, locked: keyArena.locked.count)
  }

  package func shutdown() {
    COpenSSL_context_free(blockContext)
    COpenSSL_key_free(blockKey)
  }

  package var build: String { String(cString: COpenSSL_version()) }

  /// The locked memory in which OpenSSL keeps keys, for all engines of the process, and how much of it is in use.
  package static var keyArena: (locked: UnsafeRawBufferPointer, allocated: Int) {
    let arena = COpenSSL_key_arena()
    return (UnsafeRawBufferPointer(start: arena.base, count: arena.locked), arena.allocated)
  }

  // MARK: Slots

  package var slotSize: Int { 64 }

  package var lockedSize: Int { slotSize &+ 2 &* COpenSSL_gcm_size() }

  package func prepareSlot(_ slot: UnsafeMutableRawPointer) throws(EngineError) {
    memset(slot, 0, slotSize)
    guard let aes256 = COpenSSL_gcm_new(false) else { throw Self.memoryNotLocked }
    guard let aes128 = COpenSSL_gcm_new(true) else {
      COpenSSL_context_free(aes256)
      throw Self.memoryNotLocked
    }
    slot.storeBytes(of: aes256, toByteOffset: Self.contextOffsets.aes256, as: OpaquePointer?.self)
    slot.storeBytes(of: aes128, toByteOffset: Self.contextOffsets.aes128, as: OpaquePointer?.self)
  }

  package func expand(_ key: UnsafeRawPointer, suite: Suite, into slot: UnsafeMutableRawPointer) {
    // The other suite's context must not keep its key. The suite's own gets the new one with the first packet.
    if !mark(of: slot).isOf(suite) { eraseSlot(slot) }
    (slot + Self.keyOffset).copyMemory(from: key, byteCount: suite.keyLength)
    setState(of: slot, state(of: slot).union(.keyWaits))
    slot.storeBytes(of: .holds(suite), toByteOffset: Self.markOffset, as: SlotMark.self)
  }

  package func eraseSlot(_ slot: UnsafeMutableRawPointer) {
    let state = state(of: slot)
    slot.storeBytes(of: .empty, toByteOffset: Self.markOffset, as: SlotMark.self)
    setState(of: slot, [])
    eraseOctets(slot + Self.keyOffset, count: 32)
    withUnsafeBytes(of: InlineArray<32, UInt8>(repeating: 0)) { zero in
      for suite in [Suite.aes256, .aes128] where state.contains(.inUse(suite)) {
        if let context = context(of: slot, suite) { _ = COpenSSL_set_key(context, zero.baseAddress) }
      }
    }
  }

  package func releaseSlot(_ slot: UnsafeMutableRawPointer) {
    COpenSSL_context_free(context(of: slot, .aes256))
    COpenSSL_context_free(context(of: slot, .aes128))
    memset(slot, 0, slotSize)
  }

  @inline(__always)
  private func mark(of slot: UnsafeRawPointer) -> SlotMark {
    slot.load(fromByteOffset: Self.markOffset, as: SlotMark.self)
  }

  @inline(__always)
  private func state(of slot: UnsafeRawPointer) -> State { slot.load(fromByteOffset: Self.stateOffset, as: State.self) }

  @inline(__always)
  private func setState(of slot: UnsafeMutableRawPointer, _ state: State) {
    slot.storeBytes(of: state, toByteOffset: Self.stateOffset, as: State.self)
  }

  @inline(__always)
  private func context(of slot: UnsafeRawPointer, _ suite: Suite) -> OpaquePointer? {
    let offset =
      switch suite {
      case .aes256: Self.contextOffsets.aes256
      case .aes128: Self.contextOffsets.aes128
      }
    return slot.load(fromByteOffset: offset, as: OpaquePointer?.self)
  }

  // MARK: Packets

  @inline(__always)
  package func seal(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer
  ) {
    guard mark(of: slot).serves(suite, text: length, aad: aadLength) else {
      fillAfterFailure(text, length)
      fillAfterFailure(tag, 16)
      return
    }
    let key = waitingKey(of: slot, suite)
    let sealed = COpenSSL_gcm_seal(context(of: slot, suite), key, nonce, aad, aadLength, text, length, tag)
    if key != nil { forgetWaitingKey(of: slot, taken: sealed) }
    if sealed { return }
    fillAfterFailure(text, length)
    fillAfterFailure(tag, 16)
  }

  @inline(__always)
  package func open(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeRawPointer
  ) -> Bool {
    guard mark(of: slot).serves(suite, text: length, aad: aadLength) else { return false }
    let key = waitingKey(of: slot, suite)
    let opening = COpenSSL_gcm_open(context(of: slot, suite), key, nonce, aad, aadLength, text, length, tag)
    if key != nil { forgetWaitingKey(of: slot, taken: opening != COpenSSL_failed) }
    return opening == COpenSSL_opened
  }

  @inline(__always)
  private func waitingKey(of slot: UnsafeMutableRawPointer, _ suite: Suite) -> UnsafeMutableRawPointer? {
    guard state(of: slot).contains(.keyWaits) else { return nil }
    setState(of: slot, .inUse(suite))
    return slot + Self.keyOffset
  }

  /// The key is in its context now. If it is not, that may still have the one before, which must serve nothing.
  @inline(__always)
  private func forgetWaitingKey(of slot: UnsafeMutableRawPointer, taken: Bool) {
    eraseOctets(slot + Self.keyOffset, count: 32)
    if !taken { eraseSlot(slot) }
  }

  // MARK: Key primitives

  package func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    hmac(key: key, message: message, into: output)
  }

  /// The schedule is the key itself: OpenSSL expands it inside the context.
  package func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer) {
    memcpy(schedule, key, Self.blockKeySize)
  }

  package func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    guard count > 0 else { return }
    if setBlockKey(schedule), COpenSSL_ecb_encrypt(blockContext, blocks, count) { return }
    fillAfterFailure(blocks, count &* 16)
  }

  /// Re-keys the context only when the key is another one, which is known by its octets: addresses are used again.
  private func setBlockKey(_ key: UnsafeRawPointer) -> Bool {
    if COpenSSL_equal(blockKey, key, Self.blockKeySize) { return true }
    guard COpenSSL_set_key(blockContext, key) else { return false }
    memcpy(blockKey, key, Self.blockKeySize)
    return true
  }
}
