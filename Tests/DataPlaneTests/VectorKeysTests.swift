#if IPSEC_MB
  import DataPlane
  import Foundation
  import Keys
  import Support
  import Testing
  import Wire

  /// Our own key expansion is used where it runs and agrees with the library, and only there.
  @Suite struct VectorKeysTests {
    /// By the kernel's list of what the CPU can.
    static let isSupported: Bool = {
      let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let flags = text.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? []
      return ["avx512f", "avx512bw", "avx512dq", "avx512vl", "vaes", "vpclmulqdq"].allSatisfy {
        flags.contains($0[...])
      }
    }()

    @Test func isUsedWhereTheCPUCan() throws {
      #expect(VectorKeys.verdict == (Self.isSupported ? .agrees : .unsupported))
      let (own, library) = (try IPsecMBEngine(), try IPsecMBEngine(vectorized: false))
      defer {
        own.shutdown()
        library.shutdown()
      }
      #expect(own.isVectorized == Self.isSupported && !library.isVectorized)
      #expect(own.build.contains("batches") == Self.isSupported)
    }

    /// The first difference is found, wherever it is, and named.
    @Test func anyDifferenceIsFound() {
      guard Self.isSupported else { return #expect(VectorKeys.trial(.own) == .unsupported) }
      typealias Candidate = VectorKeys.Candidate
      let own = Candidate.own
      func flipping(_ suite: Suite, _ offset: Int, powers: ClosedRange<UInt8>) -> Candidate {
        var candidate = own
        candidate.expand = {
          own.expand($0, $1, $2, $3, $4, $5)
          guard $1 == suite, powers.contains($2[0]) else { return }
          let octet = $4 + ($3 - 1) * $5 + offset
          octet.storeBytes(of: octet.load(as: UInt8.self) ^ 1, as: UInt8.self)
        }
        return candidate
      }
      #expect(VectorKeys.trial(own) == .agrees)
      for (suite, name) in [(Suite.aes256, "AES-256-GCM"), (.aes128, "AES-128-GCM")] {
        let last = suite == .aes256 ? 239 : 175
        for offset in [0, last, 240, 1007] {
          let verdict = VectorKeys.trial(flipping(suite, offset, powers: 48...48))
          #expect(verdict == .differs("key expansion for \(name)"), "octet \(offset)")
        }
        #expect(
          VectorKeys.trial(flipping(suite, 1008 - 16 * 13, powers: 13...13))
            == .differs("the hash key's powers for \(name)"))
        #expect(
          VectorKeys.trial(flipping(suite, 5, powers: 7...7)) == .differs("\(name) of 0 octets with 100 of AAD"))
        // A library that read one power more than this one: found where it first matters.
        var sparing = own
        sparing.powers = { $0.suite == suite && $0.octets == 300 ? own.powers($0) - 1 : own.powers($0) }
        #expect(VectorKeys.trial(sparing) == .differs("\(name) of 300 octets with 0 of AAD"))
        sparing.powers = { $0.suite == suite ? min(own.powers($0), 11) : own.powers($0) }
        #expect(VectorKeys.trial(sparing) == .differs("\(name) of 0 octets with 180 of AAD"))
      }
      for count in [1, 15, 16, 64, 129] {
        var blocks = own
        blocks.encryptBlocks = {
          own.encryptBlocks($0, $1, $2)
          if $2 == count { $1.storeBytes(of: 0, toByteOffset: 16 * count - 1, as: UInt8.self) }
        }
        // One octet in 256 would have been zero.
        #expect((0..<4).contains { _ in VectorKeys.trial(blocks) == .differs("AES-256-ECB") })
      }
    }

    /// What was not expanded for a packet neither seals nor opens it.
    @Test func keysServeOnlyWhatTheyWereMadeFor() throws {
      let engine = try IPsecMBEngine()
      defer { engine.shutdown() }
      var random = RepeatableGenerator(seed: 21)
      let batch = try EngineBatch(engine)
      let whole = try EngineSlot(engine)
      for suite in Suite.allCases {
        let (key, nonce) = (random.octets(32), random.octets(12))
        whole.expand(key, suite)
        batch.expand([(key, KeyUse(suite: suite, text: 100, aad: 16))])
        for (length, aadLength, fits) in [(100, 16, true), (112, 112, true), (113, 0, false), (0, 113, false)] {
          let (clear, aad) = (random.octets(length), random.octets(aadLength))
          let sealed = whole.seal(clear, suite: suite, nonce: nonce, aad: aad)
          let opened = batch.slots[0].open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad)
          #expect(opened == (fits || !engine.isVectorized ? clear : nil), "\(length) \(aadLength)")
          let own = batch.slots[0].seal(clear, suite: suite, nonce: nonce, aad: aad)
          #expect((own.text == sealed.text && own.tag == sealed.tag) == (fits || !engine.isVectorized))
          #expect(length == 0 || own.text != clear)
        }
      }
    }
  }
#endif
