#if IPSEC_MB
  import DataPlane
  import Foundation
  import Keys
  import Support
  import Testing
  import Wire

  /// Our own AES-GCM is used where it runs and agrees with the library, and only there.
  @Suite struct VectorGCMTests {
    /// By the kernel's list of what the CPU can.
    static let isSupported: Bool = {
      let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let flags = text.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? []
      return ["avx512f", "avx512bw", "avx512dq", "avx512vl", "vaes", "vpclmulqdq"].allSatisfy {
        flags.contains($0[...])
      }
    }()

    @Test func isUsedWhereTheCPUCan() throws {
      #expect(VectorGCM.verdict == (Self.isSupported ? .agrees : .unsupported))
      let (own, library) = (try IPsecMBEngine(), try IPsecMBEngine(vectorized: false))
      defer {
        own.shutdown()
        library.shutdown()
      }
      #expect(own.isVectorized == Self.isSupported && !library.isVectorized)
      #expect(own.build.contains(", own AES-GCM") == Self.isSupported)
      #expect(library.build.contains(", without own AES-GCM"))
    }

    /// The first difference is found, wherever it is, and named.
    @Test func anyDifferenceIsFound() {
      guard Self.isSupported else {
        #expect(VectorGCM.trial(.own) == .unsupported)
        return
      }
      typealias Candidate = VectorGCM.Candidate
      let own = Candidate.own
      #expect(VectorGCM.trial(own) == .agrees)
      @Sendable func flip(_ octet: UnsafeMutableRawPointer) {
        octet.storeBytes(of: octet.load(as: UInt8.self) ^ 1, as: UInt8.self)
      }
      for (suite, name) in [(Suite.aes256, "AES-256-GCM"), (.aes128, "AES-128-GCM")] {
        let last = suite == .aes256 ? 239 : 175
        for (offset, powers) in [(0, 4), (last, 8), (992, 16), (1007, 4), (752, 16), (240, 48)] as [(Int, UInt8)] {
          var candidate = own
          candidate.expand = {
            own.expand($0, $1, $2, $3, $4, $5)
            if $1 == suite, $2[0] == powers { flip($4 + ($3 - 1) * $5 + offset) }
          }
          #expect(VectorGCM.trial(candidate) == .differs("key expansion for \(name)"), "octet \(offset)")
        }
        // (length, AAD) and what is wrong with it: a tag, or an octet of the text; with few powers, or with all.
        for (length, aadLength) in [(0, 0), (63, 12), (320, 192), (321, 108), (9600, 180), (1, 777), (1000, 1148)] {
          for isSealing in [true, false] {
            for place in length > 0 ? [-1, 0, length - 1] : [-1] {
              var candidate = own
              let hasAll = length % 3 == 0
              @Sendable func spoil(_ text: UnsafeMutableRawPointer, _ tag: UnsafeMutableRawPointer) {
                flip(place < 0 ? tag + 15 : text + place)
              }
              if isSealing {
                candidate.seal = { thisSuite, packets, count in
                  own.seal(thisSuite, packets, count)
                  for index in 0..<count where thisSuite == suite {
                    let packet = packets[index]
                    guard packet.length == length, packet.aadLength == aadLength,
                      (packet.note == UInt64(VectorGCM.mostPowers)) == hasAll
                    else { continue }
                    spoil(packet.text, packet.placeOfTag)
                  }
                }
              } else {
                candidate.open = {
                  own.open($0, $1, $2, $3, $4, $5, $6, $7)
                  guard $1 == suite, $5 == length, $3 == aadLength, ($7 == VectorGCM.mostPowers) == hasAll else {
                    return
                  }
                  spoil($4, $6)
                }
              }
              #expect(
                VectorGCM.trial(candidate) == .differs("\(name) of \(length) octets with \(aadLength) of AAD"),
                "\(isSealing ? "sealing" : "opening") at \(place)")
            }
          }
        }
        // What is wrong only where another length came before.
        for (one, other) in [(305, 60), (512, 1420), (1536, 700)] {
          var candidate = own
          candidate.seal = { thisSuite, packets, count in
            own.seal(thisSuite, packets, count)
            guard thisSuite == suite, count == 2, packets[0].length == one, packets[1].length == other else { return }
            flip(packets[0].placeOfTag)
          }
          #expect(VectorGCM.trial(candidate) == .differs("\(name) of \(one) octets and then \(other)"))
        }
      }
      for count in [1, 15, 16, 64, 129] {
        var candidate = own
        candidate.encryptBlocks = {
          own.encryptBlocks($0, $1, $2)
          if $2 == count { flip($1 + (16 * count - 1)) }
        }
        #expect(VectorGCM.trial(candidate) == .differs("AES-256-ECB"))
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
        // Two blocks of AAD, five of text, one of lengths.
        batch.expand([(key, KeyUse(suite: suite, text: 80, aad: 32))])
        for (length, aadLength, fits) in [(80, 32, true), (96, 16, true), (97, 16, false), (80, 33, false)] {
          let (clear, aad) = (random.octets(length), random.octets(aadLength))
          let sealed = whole.seal(clear, suite: suite, nonce: nonce, aad: aad)
          let opened = batch.slots[0].open(sealed.text, tag: sealed.tag, suite: suite, nonce: nonce, aad: aad)
          #expect(opened == (fits || !engine.isVectorized ? clear : nil), "\(length) \(aadLength)")
          let own = batch.slots[0].seal(clear, suite: suite, nonce: nonce, aad: aad)
          #expect((own.text == sealed.text && own.tag == sealed.tag) == (fits || !engine.isVectorized))
          #expect(own.text != clear)
        }
      }
    }

    /// The engine with the library alone, which other CPUs have.
    @Test func theLibraryAloneDoesAsWell() throws {
      let (engine, own) = (try IPsecMBEngine(vectorized: false), try IPsecMBEngine())
      defer {
        engine.shutdown()
        own.shutdown()
      }
      try SelfTest.run(engine)
      var random = RepeatableGenerator(seed: 22)
      let (batch, ownBatch) = (try EngineBatch(engine), try EngineBatch(own))
      for round in 0..<50 {
        let packets = batch.slots.indices.map { index in
          (
            suite: (index + round) % 3 == 0 ? Suite.aes128 : .aes256, key: random.octets(32),
            clear: random.octets(round * 37), aad: random.octets(index * 4 + 4)
          )
        }
        let keys = packets.map { ($0.key, KeyUse(suite: $0.suite, text: $0.clear.count, aad: $0.aad.count)) }
        batch.expand(keys)
        ownBatch.expand(keys)
        for (index, packet) in packets.enumerated() {
          let nonce = random.octets(12)
          let sealed = batch.slots[index].seal(packet.clear, suite: packet.suite, nonce: nonce, aad: packet.aad)
          let opened = ownBatch.slots[index].open(
            sealed.text, tag: sealed.tag, suite: packet.suite, nonce: nonce, aad: packet.aad)
          #expect(opened == packet.clear)
        }
        engine.eraseBatch(batch.memory, count: batch.slots.count, mostBlocks: 1)
        #expect(batch.bytes.allSatisfy { $0 == 0 })
        own.eraseBatch(ownBatch.memory, count: batch.slots.count, mostBlocks: keys.map(\.1.blocks).max() ?? 0)
        #expect(ownBatch.bytes.allSatisfy { $0 == 0 } || !own.isVectorized)
      }
    }
  }
#endif
