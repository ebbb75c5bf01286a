import DataPlane
import Glibc
import Keys
import Support
import Testing
import Wire

/// Where an engine leaves key material: in the slot and in the locked arena, nowhere else, and nowhere after erasure.
@Suite struct EngineKeyMemoryTests {
  @Test func contextsLieInTheArena() throws {
    let engine = try OpenSSLEngine()
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    let arena = OpenSSLEngine.keyArena.locked
    for offset in [0, 8] {
      let context = slot.memory.load(fromByteOffset: offset, as: UInt.self)
      #expect(addresses(arena).contains(context))
    }
    #expect(OpenSSLEngine.keyArena.allocated > 0 && OpenSSLEngine.keyArena.allocated <= arena.count)
    // Locked, and left out of core dumps: the kernel says so of the mapping itself (proc(5), smaps).
    let flags = try ProcessMemory.flags(at: addresses(arena).lowerBound)
    #expect(flags.contains("lo") && flags.contains("dd"), "\(flags)")
  }

  /// Key and derived round keys are found where they may be, so that not finding them elsewhere, or afterwards, means
  /// something.
  @Test(arguments: EngineDecision.Engine.allCases, [Suite.aes256, .aes128])
  func keyIsOnlyWhereItMayBe(_ which: EngineDecision.Engine, _ suite: Suite) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    let key = try SecretOctets(suite.keyLength)
    engine.expand(key.start, suite: suite, into: slot.memory)
    // With OpenSSL the key waits in the slot until the first packet.
    _ = slot.seal([1, 2, 3], suite: suite, nonce: [UInt8](repeating: 4, count: 12), aad: [5])

    let found = try ProcessMemory.occurrences(of: key.bytes)
    let allowed = addresses(which == .openSSL ? OpenSSLEngine.keyArena.locked : slot.bytes)
    #expect(!found.isEmpty)
    #expect(found.filter { !allowed.contains($0.address) } == [])

    // The first derived round keys follow the key; they must go with it.
    let place = try #require(found.first.flatMap { UnsafeRawPointer(bitPattern: $0.address) })
    let roundKeys = try SecretOctets(32)
    roundKeys.start.copyMemory(from: place + suite.keyLength, byteCount: 32)
    #expect(try !ProcessMemory.occurrences(of: roundKeys.bytes).isEmpty)

    engine.eraseSlot(slot.memory)
    for erased in [key, roundKeys] {
      let left = try ProcessMemory.occurrences(of: erased.bytes)
      #expect(left == [])
    }
  }

  /// A key that waits for its first packet, and one that did not get that far.
  @Test(arguments: EngineDecision.Engine.allCases)
  func anUnusedKeyGoesToo(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    let key = try SecretOctets(32)
    engine.expand(key.start, suite: .aes256, into: slot.memory)
    let found = try ProcessMemory.occurrences(of: key.bytes)
    #expect(!found.isEmpty)
    #expect(found.filter { !addresses(slot.bytes).contains($0.address) } == [])
    engine.eraseSlot(slot.memory)
    let left = try ProcessMemory.occurrences(of: key.bytes)
    #expect(left == [])
  }

  /// Keys, round keys and hash keys of a batch are in its slots and nowhere else, a compiler's spilled registers included,
  /// and gone with the burst. The larger packets come first, so that the last batch leaves much of a slot as it was.
  @Test(arguments: EngineDecision.Engine.allCases, [Suite.aes256, .aes128])
  func batchIsOnlyWhereItMayBe(_ which: EngineDecision.Engine, _ suite: Suite) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let batch = try EngineBatch(engine)
    let width = batch.slots.count
    var secrets: [SecretOctets] = []
    var sources: [SecretOctets] = []
    for text in [1420, 20] {
      let keys = try SecretOctets(32 * width)
      let uses = [KeyUse](repeating: KeyUse(suite: suite, text: text, aad: 40), count: width)
      engine.expandBatch(keys.start, for: uses, count: width, into: batch.memory)
      sources.append(keys)
      for slot in Set([0, width - 1]) {
        _ = batch.slots[slot].seal([1, 2, 3], suite: suite, nonce: [UInt8](repeating: 4, count: 12), aad: [5])
        secrets.append(try SecretOctets(copying: keys.start + 32 * slot, suite.keyLength))
        guard which != .openSSL else { continue }
        // The last round key, the first power of the hash key, and the last that the larger packet needs.
        for offset in [suite == .aes256 ? 224 : 160, 992] + (text == 1420 ? [752] : []) {
          secrets.append(try SecretOctets(copying: batch.slots[slot].memory + offset, 16))
        }
      }
    }
    let allowed = ([batch.bytes, OpenSSLEngine.keyArena.locked] + sources.map(\.bytes)).map(addresses)
    let copies = secrets.map { addresses($0.bytes) }
    for secret in secrets {
      let found = try ProcessMemory.occurrences(of: secret.bytes)
      #expect(found.filter { place in !(allowed + copies).contains { $0.contains(place.address) } } == [])
    }
    // The search finds what there is: the last packet's key, in its slot too unless OpenSSL keeps it.
    let last = try ProcessMemory.occurrences(of: secrets[secrets.count - (which == .openSSL ? 1 : 3)].bytes)
    #expect(last.contains { place in allowed.prefix(2).contains { $0.contains(place.address) } })
    for source in sources { explicit_bzero(source.start, source.bytes.count) }
    engine.eraseBatch(batch.memory, count: width, mostBlocks: 100)
    for secret in secrets {
      let found = try ProcessMemory.occurrences(of: secret.bytes)
      #expect(found.filter { place in !copies.contains { $0.contains(place.address) } } == [])
    }
  }

  /// AES-128 has fewer round keys: those of the AES-256 key before it must not stay behind them.
  @Test(arguments: EngineDecision.Engine.allCases, [Suite.aes256, .aes128])
  func changeOfSuiteLeavesNothing(_ which: EngineDecision.Engine, _ suite: Suite) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    var random = SystemRandomNumberGenerator()
    let key = (0..<suite.keyLength).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    slot.expand(key, suite)
    _ = slot.seal([1, 2, 3], suite: suite, nonce: [UInt8](repeating: 4, count: 12), aad: [5])
    let memory = which == .openSSL ? OpenSSLEngine.keyArena.locked : slot.bytes
    let schedule = try #require(offset(of: key, in: memory))
    // The last round key, from which AES-128's, and with the one before it AES-256's, can be computed backwards.
    let rounds = suite == .aes256 ? 14 : 10
    let last = Array(memory[(schedule + 16 * rounds)..<(schedule + 16 * rounds + 16)])
    #expect(offset(of: last, in: memory) != nil)
    let other: Suite = suite == .aes256 ? .aes128 : .aes256
    slot.expand([UInt8](repeating: 7, count: other.keyLength), other)
    #expect(offset(of: last, in: memory) == nil && offset(of: key, in: memory) == nil)
  }

  @Test func releaseGivesMemoryBackZeroed() throws {
    let engine = try OpenSSLEngine()
    defer { engine.shutdown() }
    var random = SystemRandomNumberGenerator()
    let key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    var slot: EngineSlot? = try EngineSlot(engine)
    slot?.expand(key, .aes256)
    _ = slot?.seal([1, 2, 3], suite: .aes256, nonce: [UInt8](repeating: 4, count: 12), aad: [5])
    #expect(offset(of: key, in: OpenSSLEngine.keyArena.locked) != nil)
    slot = nil
    #expect(offset(of: key, in: OpenSSLEngine.keyArena.locked) == nil)
    // Memory is used again: a thousand slots, one after the other, need no more than a few.
    let before = OpenSSLEngine.keyArena.locked.count
    for _ in 0..<1000 { _ = try EngineSlot(engine) }
    #expect(OpenSSLEngine.keyArena.locked.count <= before + (256 << 10))
  }

  /// The schedule that KDF bursts use, and HMAC's key, likewise.
  @Test(arguments: EngineDecision.Engine.allCases)
  func primitivesLeaveNothing(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    let (key, schedule) = (try SecretOctets(32), try SecretOctets(256))
    var output = [UInt8](repeating: 0, count: 32)
    engine.hmacSHA256(key: key.bytes, message: key.bytes, into: &output)
    let before = try ProcessMemory.occurrences(of: key.bytes)
    #expect(before == [])

    engine.expandAES256(key.start, into: schedule.start)
    engine.encryptBlocks(schedule.start, &output, count: 2)
    let allowed = [addresses(schedule.bytes), addresses(OpenSSLEngine.keyArena.locked)]
    let found = try ProcessMemory.occurrences(of: key.bytes)
    #expect(!found.isEmpty)
    #expect(found.filter { place in !allowed.contains { $0.contains(place.address) } } == [])
    explicit_bzero(schedule.start, 256)
    engine.shutdown()
    let after = try ProcessMemory.occurrences(of: key.bytes)
    #expect(after == [])
  }

  /// What the library locks for a slot counts too: OpenSSL's contexts are some forty times its slot.
  @Test(arguments: EngineDecision.Engine.allCases)
  func cacheKeepsWithinItsOctets(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let octets = 256 << 10
    let cache = try engine.makeDataKeyCache(octets: octets)
    #expect(cache.capacity >= 64 && (cache.capacity + 1) * engine.lockedSize <= octets)
    var tag = [UInt8](repeating: 0, count: 16)
    engine.expand([UInt8](0..<32), suite: .aes256, into: cache.scratch)
    engine.seal(
      cache.scratch, suite: .aes256, nonce: tag, aad: tag, aadLength: 0, text: cache.scratch, length: 0, tag: &tag)
    #expect(tag.contains { $0 != 0 })
  }

  /// When no more memory can be locked, a slot is refused, in words; what was made before goes on working.
  @Test func refusesWhatItCannotLock() async {
    await #expect(processExitsWith: .success) {
      let engine = try OpenSSLEngine()
      let before = OpenSSLEngine.keyArena.allocated
      let first = try EngineSlot(engine)
      #expect(OpenSSLEngine.keyArena.allocated - before == engine.lockedSize - engine.slotSize)
      // Enough for the cache's own pages, not for another step of the arena.
      try limitLockedMemory(to: OpenSSLEngine.keyArena.locked.count + (32 << 10))
      var slots: [EngineSlot] = []
      let error = #expect(throws: EngineError.self) {
        for _ in 0..<1000 { slots.append(try EngineSlot(engine)) }
      }
      #expect(error?.description.contains("LimitMEMLOCK=") == true)
      first.expand([UInt8](repeating: 1, count: 32), .aes256)
      let nonce = [UInt8](repeating: 2, count: 12)
      let sealed = first.seal([3, 4], suite: .aes256, nonce: nonce, aad: [])
      #expect(first.open(sealed.text, tag: sealed.tag, suite: .aes256, nonce: nonce, aad: []) == [3, 4])
      #expect(throws: EngineError.self) { _ = try engine.makeDataKeyCache(octets: 100 * engine.lockedSize).capacity }
      // What is released can be used again.
      slots.removeAll()
      try SelfTest.run(engine)
    }
  }

  @Test func refusesToStartWithoutLockedMemory() async {
    await #expect(processExitsWith: .success) {
      try limitLockedMemory(to: 0)
      for which in EngineDecision.Engine.allCases {
        let error = #expect(throws: EngineError.self) { try EngineDecision.Engine.build(which) }
        guard case .memoryNotLocked(_, 0, 0) = error else {
          Issue.record("\(which): \(String(describing: error))")
          continue
        }
      }
    }
  }
}

/// Random octets that stand in one place only, aligned to 64.
private final class SecretOctets {
  let start: UnsafeMutableRawPointer
  let bytes: UnsafeRawBufferPointer

  init(_ count: Int) throws {
    start = .allocate(byteCount: count, alignment: 64)
    bytes = UnsafeRawBufferPointer(start: start, count: count)
    try #require(getentropy(start, count) == 0)
  }

  init(copying place: UnsafeRawPointer, _ count: Int) throws {
    start = .allocate(byteCount: count, alignment: 64)
    bytes = UnsafeRawBufferPointer(start: start, count: count)
    start.copyMemory(from: place, byteCount: count)
  }

  deinit {
    explicit_bzero(start, bytes.count)
    start.deallocate()
  }
}

private func addresses(_ bytes: UnsafeRawBufferPointer) -> Range<UInt> {
  let start = UInt(bitPattern: bytes.baseAddress)
  return start..<(start + UInt(bytes.count))
}

private func offset(of needle: [UInt8], in bytes: UnsafeRawBufferPointer) -> Int? {
  bytes.indices.dropLast(needle.count - 1).first { bytes[$0] == needle[0] && bytes[$0...].starts(with: needle) }
}

/// Lowers what the process may lock. Root may lock anything, so it becomes nobody (65534) where it can.
private func limitLockedMemory(to octets: Int) throws {
  var limit = rlimit(rlim_cur: rlim_t(octets), rlim_max: rlim_t(octets))
  try #require(setrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0)
  _ = setuid(65534)
}
