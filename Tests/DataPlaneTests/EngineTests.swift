import DataPlane
import Keys
import Testing
import Wire

/// What one engine seals every engine opens, and nothing else opens.
@Suite struct EngineTests {
  typealias Which = EngineDecision.Engine

  /// All lengths to 2048, where the libraries' code changes shape, and some up to the largest that a packet can have.
  private static let lengths = Array(0...2048) + [2049, 4095, 4096, 4097, 8192, 8999, 9000, 65535]

  @Test(arguments: Which.allCases, Which.allCases)
  func opensWhatTheOtherSealed(_ sealing: Which, _ opening: Which) throws {
    let (sealer, opener) = (try makeEngine(sealing), try makeEngine(opening))
    defer {
      sealer.shutdown()
      opener.shutdown()
    }
    let (sealerSlot, openerSlot) = (try EngineSlot(sealer), try EngineSlot(opener))
    var random = RepeatableGenerator(seed: 1)
    for suite in [Suite.aes256, .aes128] {
      let key = random.octets(suite.keyLength)
      sealerSlot.expand(key, suite)
      openerSlot.expand(key, suite)
      for length in Self.lengths {
        let clear = random.octets(length)
        let nonce = random.octets(12)
        // A security header of 128 octets and clear octets up to COffset 255.
        let aad = random.octets(Int.random(in: 0...1148, using: &random))
        let sealed = sealerSlot.seal(clear, suite: suite, nonce: nonce, aad: aad)
        #expect(length < 16 || sealed.text != clear)
        let opened = openerSlot.open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad)
        try #require(opened == clear, "\(suite), \(length) octets, AAD \(aad.count)")
      }
    }
  }

  /// Bursts of keys for one packet each: any mixture of suites, lengths and offsets comes out as the other engine makes it.
  @Test(arguments: Which.allCases, Which.allCases)
  func batchesAgreeWithTheOther(_ which: Which, _ other: Which) throws {
    let (engine, reference) = (try makeEngine(which), try makeEngine(other))
    defer {
      engine.shutdown()
      reference.shutdown()
    }
    let (batch, slot) = (try EngineBatch(engine), try EngineSlot(reference))
    var random = RepeatableGenerator(seed: 6)
    for round in 0..<600 {
      let packets = (0..<Int.random(in: 1...batch.slots.count, using: &random)).map { _ in
        let suite =
          round % 3 == 0 ? Suite.aes256 : round % 3 == 1 ? .aes128 : Bool.random(using: &random) ? .aes128 : .aes256
        let length = Int.random(in: 0...(round % 5 == 0 ? 9216 : 800), using: &random)
        let aad = Int.random(in: 4...(round % 7 == 0 ? 287 : 50), using: &random) * 4
        return (
          suite: suite, key: random.octets(suite.keyLength), clear: random.octets(length), aad: random.octets(aad)
        )
      }
      batch.expand(packets.map { ($0.key, KeyUse(suite: $0.suite, text: $0.clear.count, aad: $0.aad.count)) })
      for (packet, own) in zip(packets, batch.slots) {
        let nonce = random.octets(12)
        slot.expand(packet.key, packet.suite)
        let sealed = own.seal(packet.clear, suite: packet.suite, nonce: nonce, aad: packet.aad)
        let opened = slot.open(sealed.text, tag: sealed.tag, suite: packet.suite, nonce: nonce, aad: packet.aad)
        try #require(opened == packet.clear, "\(packet.suite), \(packet.clear.count), AAD \(packet.aad.count)")
        let back = own.open(sealed.text, tag: sealed.tag, suite: packet.suite, nonce: nonce, aad: packet.aad)
        try #require(back == packet.clear)
        var wrong = sealed.tag
        wrong[Int.random(in: 0...15, using: &random)] ^= 1
        let forged = own.open(sealed.text, tag: wrong, suite: packet.suite, nonce: nonce, aad: packet.aad)
        #expect(forged == nil)
      }
    }
  }

  @Test(arguments: Which.allCases)
  func everyAADLength(_ which: Which) throws {
    let engine = try makeEngine(which)
    let other = try makeEngine(.openSSL)
    defer {
      engine.shutdown()
      other.shutdown()
    }
    let (slot, otherSlot) = (try EngineSlot(engine), try EngineSlot(other))
    var random = RepeatableGenerator(seed: 2)
    let key = random.octets(32)
    slot.expand(key, .aes256)
    otherSlot.expand(key, .aes256)
    let (clear, nonce) = (random.octets(33), random.octets(12))
    for length in 0...1148 {
      let aad = random.octets(length)
      let sealed = slot.seal(clear, suite: .aes256, nonce: nonce, aad: aad)
      let opened = otherSlot.open(sealed.text, tag: sealed.tag, suite: .aes256, nonce: nonce, aad: aad)
      try #require(opened == clear, "AAD \(length)")
    }
  }

  @Test(arguments: Which.allCases, [Suite.aes256, .aes128])
  func anyChangedBitIsRefused(_ which: Which, _ suite: Suite) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    var random = RepeatableGenerator(seed: 3)
    slot.expand(random.octets(suite.keyLength), suite)
    let (clear, nonce, aad) = (random.octets(40), random.octets(12), random.octets(21))
    let sealed = slot.seal(clear, suite: suite, nonce: nonce, aad: aad)
    func opens(_ text: [UInt8], _ tag: [UInt8], _ nonce: [UInt8], _ aad: [UInt8]) -> Bool {
      slot.open(text, tag: tag, suite: suite, nonce: nonce, aad: aad) != nil
    }
    func changed(_ octets: [UInt8], _ bit: Int) -> [UInt8] {
      var octets = octets
      octets[bit / 8] ^= 1 << (bit % 8)
      return octets
    }
    for bit in 0..<128 { #expect(!opens(sealed.text, changed(sealed.tag, bit), nonce, aad)) }
    for bit in 0..<320 { #expect(!opens(changed(sealed.text, bit), sealed.tag, nonce, aad)) }
    for bit in 0..<96 { #expect(!opens(sealed.text, sealed.tag, changed(nonce, bit), aad)) }
    for bit in 0..<168 { #expect(!opens(sealed.text, sealed.tag, nonce, changed(aad, bit))) }
    #expect(!opens(sealed.text, sealed.tag, nonce, aad + [0]))
    #expect(!opens(Array(sealed.text.dropLast()), sealed.tag, nonce, aad))
    // After all the refusals the slot still opens what is right.
    #expect(opens(sealed.text, sealed.tag, nonce, aad))
  }

  @Test(arguments: Which.allCases, [Suite.aes256, .aes128])
  func slotWithoutTheKeyNeitherOpensNorSeals(_ which: Which, _ suite: Suite) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    var random = RepeatableGenerator(seed: 4)
    let key = random.octets(suite.keyLength)
    let (clear, nonce, aad) = (random.octets(64), random.octets(12), random.octets(16))
    slot.expand(key, suite)
    let sealed = slot.seal(clear, suite: suite, nonce: nonce, aad: aad)

    slot.engine.eraseSlot(slot.memory)
    #expect(slot.open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad) == nil)
    let unsealed = slot.seal(clear, suite: suite, nonce: nonce, aad: aad)
    #expect(unsealed.text != clear && unsealed.text != sealed.text && unsealed.tag != sealed.tag)
    // What the zero key makes is not taken either: anybody could make it.
    let zero = try EngineSlot(engine)
    zero.expand([UInt8](repeating: 0, count: suite.keyLength), suite)
    let forged = zero.seal(clear, suite: suite, nonce: nonce, aad: aad)
    #expect(slot.open(forged.text, tag: forged.tag, suite: suite, nonce: nonce, aad: aad) == nil)

    // Usable again; and a slot that holds the other suite's key refuses.
    slot.expand(key, suite)
    #expect(slot.open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad) == clear)
    let other: Suite = suite == .aes256 ? .aes128 : .aes256
    slot.expand(random.octets(other.keyLength), other)
    #expect(slot.open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad) == nil)
  }

  /// No packet is longer than 65,535 octets: what is, the engines' counters and tables are not made for.
  @Test(arguments: Which.allCases, [(65_535, 1148, true), (65_536, 16, false), (64, 65_536, false)])
  func whatIsTooLongIsRefused(_ which: Which, _ lengths: (text: Int, aad: Int, fits: Bool)) throws {
    let (engine, other) = (try makeEngine(which), try makeEngine(.openSSL))
    defer {
      engine.shutdown()
      other.shutdown()
    }
    let (slot, otherSlot) = (try EngineSlot(engine), try EngineSlot(other))
    var random = RepeatableGenerator(seed: 5)
    let (key, nonce) = (random.octets(32), random.octets(12))
    slot.expand(key, .aes256)
    otherSlot.expand(key, .aes256)
    let (clear, aad) = (random.octets(lengths.text), random.octets(lengths.aad))
    let sealed = slot.seal(clear, suite: .aes256, nonce: nonce, aad: aad)
    // Refused means random octets.
    let again = slot.seal(clear, suite: .aes256, nonce: nonce, aad: aad)
    #expect(sealed.text != clear && (sealed.text == again.text) == lengths.fits)
    for opening in [slot, otherSlot] {
      let opened = opening.open(sealed.text, tag: sealed.tag, suite: .aes256, nonce: nonce, aad: aad)
      #expect(opened == (lengths.fits ? clear : nil))
    }
  }

  /// A burst of any size comes out as single blocks would, and as the other engine makes it; also after another
  /// schedule was used at the same address.
  @Test(arguments: Which.allCases)
  func encryptsBurstsOfBlocks(_ which: Which) throws {
    let (engine, other) = (try makeEngine(which), try makeEngine(.openSSL))
    defer {
      engine.shutdown()
      other.shutdown()
    }
    let schedule = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    let otherSchedule = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    defer {
      schedule.deallocate()
      otherSchedule.deallocate()
    }
    var random = RepeatableGenerator(seed: 5)
    for count in 0...130 {
      let key = random.octets(32)
      engine.expandAES256(key, into: schedule)
      other.expandAES256(key, into: otherSchedule)
      var burst = random.octets(16 * count + 16)
      var single = burst
      engine.encryptBlocks(schedule, &burst, count: count)
      for index in 0..<count {
        var block = Array(single[16 * index..<16 * index + 16])
        other.encryptBlocks(otherSchedule, &block, count: 1)
        single.replaceSubrange(16 * index..<16 * index + 16, with: block)
      }
      #expect(burst == single, "\(count) blocks")
    }
  }

  /// Two lcores, each with its own engine, and slots made and released meanwhile.
  @Test(arguments: Which.allCases)
  func twoThreads(_ which: Which) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for thread in 0..<2 {
        group.addTask {
          let engine = try makeEngine(which)
          defer { engine.shutdown() }
          var random = RepeatableGenerator(seed: UInt64(thread))
          for _ in 0..<200 {
            let slot = try EngineSlot(engine)
            for suite in [Suite.aes256, .aes128] {
              slot.expand(random.octets(suite.keyLength), suite)
              for _ in 0..<10 {
                let clear = random.octets(Int.random(in: 0...300, using: &random))
                let (nonce, aad) = (random.octets(12), random.octets(24))
                let sealed = slot.seal(clear, suite: suite, nonce: nonce, aad: aad)
                try #require(
                  slot.open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad) == clear)
              }
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
