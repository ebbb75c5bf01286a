import DataPlane
import Glibc
import Testing
import Wire

/// An engine brought to life for a test, by its case.
func makeEngine(_ which: EngineDecision.Engine) throws -> any AEADEngine {
  switch which {
  #if IPSEC_MB
    case .ipsecMB: try IPsecMBEngine()
  #endif
  case .openSSL: try OpenSSLEngine()
  }
}

/// A slot, and seal and open over arrays: texts lie between canaries, so that an engine that writes elsewhere is seen.
final class EngineSlot {
  let engine: any AEADEngine
  let memory: UnsafeMutableRawPointer
  private let isOwner: Bool

  init(_ engine: any AEADEngine) throws {
    self.engine = engine
    // Dirty, as any memory may be before prepareSlot.
    memory = .allocate(byteCount: engine.slotSize, alignment: 64)
    memset(memory, 0xff, engine.slotSize)
    isOwner = true
    try engine.prepareSlot(memory)
  }

  /// One of a batch.
  fileprivate init(_ engine: any AEADEngine, in batch: UnsafeMutableRawPointer) {
    self.engine = engine
    memory = batch
    isOwner = false
  }

  deinit {
    guard isOwner else { return }
    engine.releaseSlot(memory)
    memory.deallocate()
  }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: engine.slotSize) }

  func expand(_ key: [UInt8], _ suite: Suite) { engine.expand(key, suite: suite, into: memory) }

  func seal(_ clear: [UInt8], suite: Suite, nonce: [UInt8], aad: [UInt8]) -> (text: [UInt8], tag: [UInt8]) {
    let (tag, (text, _)) = between([UInt8](repeating: 0, count: 16)) { tag in
      between(clear) { text in
        engine.seal(
          memory, suite: suite, nonce: nonce, aad: aad, aadLength: aad.count, text: text, length: clear.count, tag: tag)
        endBurst()
      }
    }
    return (text, tag)
  }

  /// Nil if the engine refuses.
  func open(_ sealed: [UInt8], tag: [UInt8], suite: Suite, nonce: [UInt8], aad: [UInt8]) -> [UInt8]? {
    let (text, opened) = between(sealed) { text in
      defer { endBurst() }
      return engine.open(
        memory, suite: suite, nonce: nonce, aad: aad, aadLength: aad.count, text: text, length: sealed.count, tag: tag)
    }
    return opened ? text : nil
  }

  /// As an lcore ends a burst, here of one packet: until then a secret may stay in a register, and what the loader saves when it
  /// binds another library's function would leave it on the stack.
  private func endBurst() { engine.eraseBatch(memory, count: 0, mostBlocks: 0) }

  /// Puts octets between canaries, at an odd address, and gives back what they became.
  private func between<Result>(
    _ octets: [UInt8], _ body: (UnsafeMutableRawPointer) -> Result
  ) -> (octets: [UInt8], result: Result) {
    let margin = 65
    let total = margin + octets.count + margin
    let work = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 64)
    defer { work.deallocate() }
    memset(work, 0xa5, total)
    (work + margin).copyMemory(from: octets, byteCount: octets.count)
    let result = body(work + margin)
    let all = UnsafeRawBufferPointer(start: work, count: total)
    #expect(all.prefix(margin).allSatisfy { $0 == 0xa5 } && all.suffix(margin).allSatisfy { $0 == 0xa5 })
    return (Array(all.dropFirst(margin).dropLast(margin)), result)
  }
}

/// A batch of slots, as an lcore has them.
final class EngineBatch {
  let engine: any AEADEngine
  let memory: UnsafeMutableRawPointer
  let slots: [EngineSlot]

  init(_ engine: some AEADEngine) throws {
    self.engine = engine
    let (width, size) = (type(of: engine).batchWidth, engine.slotSize)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: width * size, alignment: 64)
    memset(memory, 0xff, width * size)
    for index in 0..<width { try engine.prepareSlot(memory + index * size) }
    self.memory = memory
    slots = (0..<width).map { EngineSlot(engine, in: memory + $0 * size) }
  }

  deinit {
    for slot in slots { engine.releaseSlot(slot.memory) }
    memory.deallocate()
  }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: slots.count * engine.slotSize) }

  /// As many keys as there are slots, or fewer; each of 32 octets or of 16.
  func expand(_ keys: [(key: [UInt8], use: KeyUse)]) {
    var octets = [UInt8]()
    for key in keys { octets += (key.key + [UInt8](repeating: 0, count: 32)).prefix(32) }
    engine.expandBatch(octets, for: keys.map(\.use), count: keys.count, into: memory)
    octets.withUnsafeMutableBytes { if let base = $0.baseAddress { explicit_bzero(base, $0.count) } }
  }
}

/// The same numbers in every run (SplitMix64, Steele, Lea and Flood 2014).
struct RepeatableGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func octets(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
  }
}
