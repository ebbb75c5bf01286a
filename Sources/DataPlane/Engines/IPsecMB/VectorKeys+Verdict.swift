internal import CIPsecMB
internal import Glibc
internal import Keys
package import Wire

extension VectorKeys {
  /// Whether `VectorKeys` can be used here.
  package enum Verdict: Equatable, CustomStringConvertible, Sendable {
    case agrees
    /// What the CPU, or the library's code for it, lacks.
    case unsupported
    /// The check that came out otherwise than with the library alone.
    case differs(String)

    package var description: String {
      switch self {
      case .agrees: "the self-test passed"
      case .unsupported: "no AVX-512 with VAES and VPCLMULQDQ"
      case .differs(let check): "the self-test found a difference in \(check)"
      }
    }
  }

  /// Found once per process, in some ten milliseconds.
  package static let verdict = trial(.own)

  /// What is compared with the library.
  package struct Candidate: Sendable {
    package typealias Expand =
      @Sendable (
        _ keys: UnsafeRawPointer, _ suite: Suite, _ powers: InlineArray<8, UInt8>, _ count: Int,
        _ slots: UnsafeMutableRawPointer, _ stride: Int
      ) -> Void
    package typealias Powers = @Sendable (KeyUse) -> UInt8
    package typealias EncryptBlocks =
      @Sendable (_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, _ count: Int) -> Void

    package var expand: Expand
    package var powers: Powers
    package var encryptBlocks: EncryptBlocks

    package static var own: Candidate {
      Candidate(
        expand: { VectorKeys.expand($0, suite: $1, powers: $2, count: $3, into: $4, stride: $5) },
        powers: { VectorKeys.powers(for: $0) }, encryptBlocks: { VectorKeys.encryptBlocks($0, $1, count: $2) })
    }
  }

  /// Compares a candidate with the library.
  package static func trial(_ candidate: Candidate) -> Verdict {
    guard let manager = CIPsecMB_alloc_mb_mgr() else { return .unsupported }
    defer { free_mb_mgr(manager) }
    return Trial(manager, candidate).verdict()
  }

  /// The comparison with the library.
  ///
  /// A key with all powers has to equal the library's own, octet by octet: it serves any length then. A key with fewer has to
  /// give the library's results for every pair of lengths that it may be used for, although all its other powers are wrong.
  private struct Trial: ~Copyable {
    private let candidate: Candidate
    private let manager: UnsafeMutablePointer<IMB_MGR>
    private let slots: UnsafeMutableRawPointer
    private let text: UnsafeMutableRawPointer
    private let aad: UnsafeMutableRawPointer

    /// Slots for keys with 1 to 47 powers, and one for the library's key.
    private static let slotCount = Int(vector_keys_most_powers)
    private static let slotSize = 1024
    private static let markOffset = Int(CIPsecMB_gcm_key_size)
    private static let roundKeys = 240
    private static let partialOctets = 16 * (Int(vector_keys_most_powers) - 1)

    init(_ manager: UnsafeMutablePointer<IMB_MGR>, _ candidate: Candidate) {
      self.candidate = candidate
      self.manager = manager
      slots = .allocate(byteCount: Self.slotCount * Self.slotSize, alignment: 64)
      text = .allocate(byteCount: 2 * Self.partialOctets, alignment: 64)
      aad = .allocate(byteCount: 256, alignment: 64)
      Self.fill(text, 2 * Self.partialOctets)
      Self.fill(aad, 256)
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
      for suite in Suite.allCases {
        let name = suite == .aes256 ? "AES-256-GCM" : "AES-128-GCM"
        guard expandsWhole(suite) else { return .differs("key expansion for \(name)") }
        guard expandsInPart(suite) else { return .differs("the hash key's powers for \(name)") }
        guard let length = firstDifference(suite) else { continue }
        return .differs("\(name) of \(length.text) octets with \(length.aad) of AAD")
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

    /// Batches of every size, twice: all powers, and all round keys that the suite has.
    private func expandsWhole(_ suite: Suite) -> Bool {
      let keys = UnsafeMutableRawPointer.allocate(byteCount: 8 * KeyDerivation.keySize, alignment: 64)
      defer { keys.deallocate() }
      let library = slot(Self.slotCount - 1)
      let used = suite == .aes256 ? 15 * 16 : 11 * 16
      for count in (1...8).flatMap({ [$0, $0] }) {
        Self.fill(keys, 8 * KeyDerivation.keySize)
        Self.fill(slots, 8 * Self.slotSize)
        candidate.expand(
          keys, suite, InlineArray(repeating: VectorKeys.mostPowers), count, slots, Self.slotSize)
        for index in 0..<count {
          libraryExpand(keys + index * KeyDerivation.keySize, suite, into: library)
          guard memcmp(library, slot(index), used) == 0,
            memcmp(library + Self.roundKeys, slot(index) + Self.roundKeys, 16 * Int(VectorKeys.mostPowers)) == 0
          else { return false }
        }
      }
      return true
    }

    /// Leaves keys with 1 to 47 powers in the first slots, all other powers wrong, and the library's in the last.
    private func expandsInPart(_ suite: Suite) -> Bool {
      let key = UnsafeMutableRawPointer.allocate(byteCount: KeyDerivation.keySize, alignment: 64)
      defer { key.deallocate() }
      Self.fill(key, KeyDerivation.keySize)
      let library = slot(Self.slotCount - 1)
      libraryExpand(key, suite, into: library)
      for powers in 1..<Self.slotCount {
        let slot = slot(powers - 1)
        Self.fill(slot, Self.slotSize)
        candidate.expand(key, suite, InlineArray(repeating: UInt8(powers)), 1, slot, Self.slotSize)
        let first = Self.markOffset - 16 * powers
        guard memcmp(library + first, slot + first, 16 * powers) == 0 else { return false }
        Self.fill(slot + Self.roundKeys, first - Self.roundKeys)
      }
      return true
    }

    /// Every text that needs fewer than all powers with every AAD that may go with it (a security header and clear octets are
    /// multiples of four): what the library's key seals the other opens, and the other way round, tags being equal.
    private func firstDifference(_ suite: Suite) -> (text: Int, aad: Int)? {
      let library = slot(Self.slotCount - 1)
      let original = text + Self.partialOctets
      for length in 0...Self.partialOctets {
        text.copyMemory(from: original, byteCount: length)
        for aadLength in stride(from: 0, through: KeyUse.mostAAD, by: 4) {
          let powers = candidate.powers(KeyUse(suite: suite, text: length, aad: aadLength))
          let part = slot(Int(powers) - 1)
          var tags: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
          withUnsafeMutableBytes(of: &tags) { tags in
            guard let tags = tags.baseAddress else { return }
            run(library, suite, sealing: true, length, aadLength, tags)
            run(part, suite, sealing: false, length, aadLength, tags + 16)
            run(part, suite, sealing: true, length, aadLength, tags + 32)
          }
          // Opening with the part gave back what sealing with it then sealed: so the texts are right if this is the original.
          run(library, suite, sealing: false, length, aadLength, aad + 208)
          guard tags.0 == tags.2, tags.1 == tags.3, tags.0 == tags.4, tags.1 == tags.5 else {
            return (length, aadLength)
          }
        }
        guard memcmp(text, original, length) == 0 else { return (length, 0) }
      }
      return nil
    }

    @inline(__always)
    private func run(
      _ slot: UnsafeRawPointer, _ suite: Suite, sealing: Bool, _ length: Int, _ aadLength: Int,
      _ tag: UnsafeMutableRawPointer
    ) {
      let (octets, aadOctets) = (UInt64(length), UInt64(aadLength))
      switch (suite, sealing) {
      case (.aes256, true): CIPsecMB_IMB_AES256_GCM_ENC(manager, slot, aad, aad, aadOctets, text, octets, tag)
      case (.aes256, false): CIPsecMB_IMB_AES256_GCM_DEC(manager, slot, aad, aad, aadOctets, text, octets, tag)
      case (.aes128, true): CIPsecMB_IMB_AES128_GCM_ENC(manager, slot, aad, aad, aadOctets, text, octets, tag)
      case (.aes128, false): CIPsecMB_IMB_AES128_GCM_DEC(manager, slot, aad, aad, aadOctets, text, octets, tag)
      }
    }

    /// As many blocks as a burst has, and a few more.
    private func encryptsBlocks() -> Bool {
      let (schedule, ours, library) = (slot(0), slot(8), slot(16))
      let key = slot(24)
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
