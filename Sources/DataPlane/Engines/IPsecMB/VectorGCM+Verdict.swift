internal import CIPsecMB
internal import Glibc
internal import Keys
package import Wire

extension VectorGCM {
  /// Whether `VectorGCM` can be used here.
  package enum Verdict: Equatable, CustomStringConvertible, Sendable {
    case agrees
    /// What the CPU, or the library's code for it, lacks.
    case unsupported
    /// The check that came out otherwise than with the library.
    case differs(String)

    package var description: String {
      switch self {
      case .agrees: "the self-test passed"
      case .unsupported: "no AVX-512 with VAES and VPCLMULQDQ"
      case .differs(let check): "the self-test found a difference in \(check)"
      }
    }
  }

  /// Found once per process, in some thirty milliseconds.
  package static let verdict = trial(.own)

  /// What is compared with the library.
  package struct Candidate: Sendable {
    package typealias Expand =
      @Sendable (
        _ keys: UnsafeRawPointer, _ suite: Suite, _ powers: InlineArray<8, UInt8>, _ count: Int,
        _ slots: UnsafeMutableRawPointer, _ stride: Int
      ) -> Void
    package typealias EncryptBlocks =
      @Sendable (_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, _ count: Int) -> Void
    /// Seals packets whose notes say how many powers their keys have.
    package typealias Seal =
      @Sendable (_ suite: Suite, _ packets: UnsafeMutablePointer<AEADPacket>, _ count: Int) -> Void
    /// Opens with a key of so many powers; the nonce is the AAD's first octets.
    package typealias Open =
      @Sendable (
        _ slot: UnsafeRawPointer, _ suite: Suite, _ aad: UnsafeRawPointer, _ aadLength: Int,
        _ text: UnsafeMutableRawPointer, _ length: Int, _ tag: UnsafeMutableRawPointer, _ powers: UInt8
      ) -> Void

    package var expand: Expand
    package var encryptBlocks: EncryptBlocks
    package var seal: Seal
    package var open: Open

    package static var own: Candidate {
      Candidate(
        expand: { VectorGCM.expand($0, suite: $1, powers: $2, count: $3, into: $4, stride: $5) },
        encryptBlocks: { VectorGCM.encryptBlocks($0, $1, count: $2) },
        seal: { VectorGCM.seal($1, stride: MemoryLayout<AEADPacket>.stride, count: $2, suite: $0) },
        open: {
          VectorGCM.open(
            $0, powers: $7, suite: $1, nonce: $2, aad: $2, aadLength: $3, text: $4, length: $5, tag: $6)
        })
    }
  }

  /// Compares a candidate with the library.
  package static func trial(_ candidate: Candidate) -> Verdict {
    guard let manager = CIPsecMB_alloc_mb_mgr() else { return .unsupported }
    defer { free_mb_mgr(manager) }
    return Trial(manager, candidate).verdict()
  }

  private struct Trial: ~Copyable {
    private let candidate: Candidate
    private let manager: UnsafeMutablePointer<IMB_MGR>
    private let slots: UnsafeMutableRawPointer
    private let text: UnsafeMutableRawPointer
    private let aad: UnsafeMutableRawPointer

    private static let slotCount = 9
    private static let slotSize = 1024
    private static let powersEnd = Int(CIPsecMB_gcm_key_size)
    private static let roundKeys = 240
    /// The longest text and AAD that a packet can have: jumbo frames; a security header and 255 words of COffset.
    private static let (jumbo, longestAAD) = (9600, 128 + 255 * 4)
    /// Room for any text.
    private static let longest = SlotMark.longest + 1

    init(_ manager: UnsafeMutablePointer<IMB_MGR>, _ candidate: Candidate) {
      self.candidate = candidate
      self.manager = manager
      slots = .allocate(byteCount: Self.slotCount * Self.slotSize, alignment: 64)
      text = .allocate(byteCount: 3 * Self.longest, alignment: 64)
      aad = .allocate(byteCount: Self.longestAAD + 4, alignment: 64)
      Self.fill(text, 2 * Self.longest)
      Self.fill(aad, Self.longestAAD + 4)
    }

    deinit {
      slots.deallocate()
      text.deallocate()
      aad.deallocate()
    }

    /// Other octets every time, of no further quality; count is a multiple of 8.
    private static func fill(_ memory: UnsafeMutableRawPointer, _ count: Int) {
      var random = SystemRandomNumberGenerator()
      var word = random.next()
      for offset in stride(from: 0, to: count, by: 8) {
        word = word &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
        memory.storeBytes(of: word.byteSwapped ^ word, toByteOffset: offset, as: UInt64.self)
      }
    }

    func verdict() -> Verdict {
      let missing = CIPsecMB_vector_features & ~manager.pointee.features
      guard IMB_ARCH(rawValue: manager.pointee.used_arch) == IMB_ARCH_AVX512, missing == 0 else { return .unsupported }
      guard VectorGCM.hasLayoutOfC else { return .differs("the layout of a packet") }
      guard Int(vector_gcm_longest) == SlotMark.longest else { return .differs("the longest text") }
      for suite in Suite.allCases {
        let name = suite == .aes256 ? "AES-256-GCM" : "AES-128-GCM"
        guard expands(suite) else { return .differs("key expansion for \(name)") }
        if let length = firstDifference(suite) {
          return .differs("\(name) of \(length.text) octets with \(length.aad) of AAD")
        }
        if let lengths = firstDifferentPair(suite) {
          return .differs("\(name) of \(lengths.0) octets and then \(lengths.1)")
        }
      }
      return encryptsBlocks() ? .agrees : .differs("AES-256-ECB")
    }

    private func slot(_ index: Int) -> UnsafeMutableRawPointer { slots + index * Self.slotSize }

    private func libraryExpand(_ key: UnsafeRawPointer, _ suite: Suite, into slot: UnsafeMutableRawPointer) {
      switch suite {
      case .aes256: CIPsecMB_IMB_AES256_GCM_PRE(manager, key, slot)
      case .aes128: CIPsecMB_IMB_AES128_GCM_PRE(manager, key, slot)
      }
    }

    /// Batches of every size, with every number of powers that is asked for: all round keys that the suite has, and these
    /// powers, are the library's own.
    private func expands(_ suite: Suite) -> Bool {
      let keys = UnsafeMutableRawPointer.allocate(byteCount: 8 * KeyDerivation.keySize, alignment: 64)
      defer { keys.deallocate() }
      let library = slot(Self.slotCount - 1)
      let used = suite == .aes256 ? 15 * 16 : 11 * 16
      for powers in [4, 8, 16, VectorGCM.mostPowers] {
        for count in 1...8 {
          Self.fill(keys, 8 * KeyDerivation.keySize)
          Self.fill(slots, 8 * Self.slotSize)
          candidate.expand(keys, suite, InlineArray(repeating: powers), count, slots, Self.slotSize)
          for index in 0..<count {
            libraryExpand(keys + index * KeyDerivation.keySize, suite, into: library)
            let octets = 16 * Int(powers)
            let first = Self.powersEnd - octets
            guard memcmp(library, slot(index), used) == 0, memcmp(library + first, slot(index) + first, octets) == 0
            else { return false }
          }
        }
      }
      return true
    }

    /// Every length of text that a packet can have, and the longest, each with another AAD, and up to two chunks with a
    /// security header's; every AAD with some texts; every pair of short ones (a security header and clear octets are
    /// multiples of four).
    private func firstDifference(_ suite: Suite) -> (text: Int, aad: Int)? {
      let key = UnsafeMutableRawPointer.allocate(byteCount: KeyDerivation.keySize, alignment: 64)
      defer { key.deallocate() }
      Self.fill(key, KeyDerivation.keySize)
      libraryExpand(key, suite, into: slot(Self.slotCount - 1))
      // What these keys need not have is wrong in them.
      for (index, powers) in [4, 8, 16].enumerated() {
        Self.fill(slot(index), Self.slotSize)
        candidate.expand(key, suite, InlineArray(repeating: UInt8(powers)), 1, slot(index), Self.slotSize)
        Self.fill(slot(index) + Self.roundKeys, Self.powersEnd - 16 * powers - Self.roundKeys)
      }
      text.copyMemory(from: text + Self.longest, byteCount: Self.longest)
      for length in [SlotMark.longest] + Array(0...Self.jumbo) {
        let all =
          length <= 320 ? stride(from: 0, through: 192, by: 4) : stride(from: length % 49 * 4, through: 192, by: 999)
        for aadLength in all where !agrees(suite, length, aadLength) { return (length, aadLength) }
        // Twice a chunk: what follows only repeats it.
        if length <= 1536, !agrees(suite, length, 40) { return (length, 40) }
      }
      for length in [0, 1, 16, 100, 1000] {
        for aadLength in 0...Self.longestAAD where !agrees(suite, length, aadLength) { return (length, aadLength) }
      }
      return nil
    }

    private func libraryEncrypt(
      _ suite: Suite, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int, _ tag: UnsafeMutableRawPointer
    ) {
      let (library, octets, aadOctets) = (slot(Self.slotCount - 1), UInt64(length), UInt64(aadLength))
      switch suite {
      case .aes256: CIPsecMB_IMB_AES256_GCM_ENC(manager, library, aad, aad, aadOctets, text, octets, tag)
      case .aes128: CIPsecMB_IMB_AES128_GCM_ENC(manager, library, aad, aad, aadOctets, text, octets, tag)
      }
    }

    /// The key with as few powers as will do, or with all.
    private func way(_ suite: Suite, _ length: Int, _ aadLength: Int, hasAll: Bool) -> (UnsafeMutableRawPointer, UInt8)
    {
      if hasAll { return (slot(Self.slotCount - 1), VectorGCM.mostPowers) }
      let powers = VectorGCM.powers(for: KeyUse(suite: suite, text: length, aad: aadLength).blocks)
      return (slot(powers == 4 ? 0 : powers == 8 ? 1 : 2), powers)
    }

    private func packet(
      _ suite: Suite, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int, _ tag: UnsafeMutableRawPointer,
      hasAll: Bool
    ) -> AEADPacket {
      let (slot, powers) = way(suite, length, aadLength, hasAll: hasAll)
      var packet = AEADPacket(
        slot: slot, nonce: Nonce(aad), aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
      packet.note = UInt64(powers)
      return packet
    }

    /// What the library seals is opened, and what is then sealed is the same again: with as few powers as will do, and with
    /// all, which go other ways; sealed both in one burst.
    private func agrees(_ suite: Suite, _ length: Int, _ aadLength: Int) -> Bool {
      let (original, second) = (text + Self.longest, text + 2 * Self.longest)
      var tags: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
      return withUnsafeMutableBytes(of: &tags) { tags in
        guard let tags = tags.baseAddress else { return false }
        libraryEncrypt(suite, aadLength, text, length, tags)
        memcpy(second, text, length)
        for (place, hasAll) in [(text, false), (second, true)] {
          let (slot, powers) = way(suite, length, aadLength, hasAll: hasAll)
          candidate.open(slot, suite, aad, aadLength, place, length, tags + 16, powers)
          guard memcmp(place, original, length) == 0, memcmp(tags, tags + 16, 16) == 0 else { return false }
        }
        var packets = [
          packet(suite, aadLength, text, length, tags + 16, hasAll: false),
          packet(suite, aadLength, second, length, tags + 32, hasAll: true),
        ]
        candidate.seal(suite, &packets, packets.count)
        guard memcmp(tags, tags + 16, 16) == 0, memcmp(tags, tags + 32, 16) == 0, memcmp(text, second, length) == 0
        else { return false }
        let library = slot(Self.slotCount - 1)
        let (octets, aadOctets) = (UInt64(length), UInt64(aadLength))
        switch suite {
        case .aes256: CIPsecMB_IMB_AES256_GCM_DEC(manager, library, aad, aad, aadOctets, text, octets, tags + 16)
        case .aes128: CIPsecMB_IMB_AES128_GCM_DEC(manager, library, aad, aad, aadOctets, text, octets, tags + 16)
        }
        return memcmp(text, original, length) == 0 && memcmp(tags, tags + 16, 16) == 0
      }
    }

    /// A packet is hashed while the next of its burst is encrypted: pairs of all kinds of lengths, with few powers and with all.
    private func firstDifferentPair(_ suite: Suite) -> (Int, Int)? {
      let lengths = [0, 60, 256, 305, 320, 500, 512, 700, 756, 768, 1000, 1420, 1536, 2350]
      let (original, second) = (text + Self.longest, text + 2 * Self.longest)
      let kept = UnsafeMutableRawPointer.allocate(byteCount: 4 * Self.longest, alignment: 64)
      defer { kept.deallocate() }
      for (one, other) in lengths.flatMap({ one in lengths.map { (one, $0) } }) {
        for (oneHasAll, otherHasAll) in [(false, true), (true, false), (true, true), (false, false)] {
          let (aadLength, otherAAD) = (one % 200, 40)
          // In turn what the library makes of both, and what the candidate does.
          for (place, length, aadLength) in [(kept, one, aadLength), (kept + Self.longest, other, otherAAD)] {
            memcpy(place, original, length)
            libraryEncrypt(suite, aadLength, place, length, place + length)
          }
          memcpy(text, original, one)
          memcpy(second, original, other)
          var packets = [
            packet(suite, aadLength, text, one, kept + 2 * Self.longest, hasAll: oneHasAll),
            packet(suite, otherAAD, second, other, kept + 2 * Self.longest + 16, hasAll: otherHasAll),
          ]
          candidate.seal(suite, &packets, packets.count)
          guard memcmp(text, kept, one) == 0, memcmp(kept + 2 * Self.longest, kept + one, 16) == 0,
            memcmp(second, kept + Self.longest, other) == 0,
            memcmp(kept + 2 * Self.longest + 16, kept + Self.longest + other, 16) == 0
          else { return (one, other) }
        }
      }
      return nil
    }

    /// As many blocks as a burst has, and a few more.
    private func encryptsBlocks() -> Bool {
      let (schedule, ours, library, key) = (slot(0), slot(1), slot(4), slot(7))
      Self.fill(key, 32)
      CIPsecMB_IMB_AES_KEYEXP_256(manager, key, schedule)
      for count in 1...130 {
        Self.fill(ours, 16 * count)
        library.copyMemory(from: ours, byteCount: 16 * count)
        candidate.encryptBlocks(schedule, ours, count)
        guard CIPsecMB_IMB_SUBMIT_JOB_ECB(manager, schedule, library, UInt64(count)),
          memcmp(ours, library, 16 * count) == 0
        else { return false }
      }
      return true
    }
  }
}
