package import Keys
package import Wire

/// Seals and opens payloads with AES-GCM (wire format, section 3), and makes keys.
///
/// A value of this type belongs to one lcore, whose loop is generic over it, so that every call is direct. It holds
/// pointers to memory of the library: copies share that, and `shutdown` frees it.
///
/// An expanded data key lives in a slot: memory that the caller provides, aligned to 64, locked and excluded from core
/// dumps. A slot goes prepare, (expand, seal and open..., erase)..., release. Slots of a batch lie side by side and hold
/// keys for one packet each, which cost less to expand.
package protocol AEADEngine: KeyPrimitives {
  /// As configuration and status name it: "ipsec-mb", "openssl".
  static var name: String { get }

  /// Runs the known-answer tests as well: an engine that computes anything wrong does not come to life.
  init() throws(EngineError)

  /// Library, version and code path, for people.
  var build: String { get }

  /// Octets of a slot, a multiple of 64.
  var slotSize: Int { get }

  /// Octets of locked memory that a slot costs: its own, and what the library holds for it elsewhere.
  var lockedSize: Int { get }

  /// Makes new memory a slot without a key.
  ///
  /// Fails when the library's part of the slot cannot be locked. It is a slot then all the same, but never gets a key.
  func prepareSlot(_ slot: UnsafeMutableRawPointer) throws(EngineError)

  /// Expands a data key (32 octets for AES-256, 16 for AES-128) into a slot; nothing of the slot's old key stays.
  func expand(_ key: UnsafeRawPointer, suite: Suite, into slot: UnsafeMutableRawPointer)

  /// The most slots in a batch.
  static var batchWidth: Int { get }

  /// The share of packets, in 256ths, that must find their keys in a cache: below, looking there costs more than it saves.
  var leastHits: Int { get }

  /// The most keys for which a cache is worth its memory; beyond, one that is found costs more than one that is derived.
  var mostCached: Int { get }

  /// Expands count keys, at most `batchWidth`, in places of 32 octets each at `keys`, into the slots of a batch, each for
  /// the one packet that `uses` tells of. The packet that does not fit is not sealed, and not opened.
  func expandBatch(
    _ keys: UnsafeRawPointer, for uses: UnsafePointer<KeyUse>, count: Int, into slots: UnsafeMutableRawPointer)

  /// A burst is over: zeroes the key material of a batch's first count slots, in which no key since the last time was for
  /// more blocks, and what sealing and opening may have left elsewhere.
  func eraseBatch(_ slots: UnsafeMutableRawPointer, count: Int, mostBlocks: Int)

  /// Zeroes the key material. The slot then opens nothing until the next `expand`.
  func eraseSlot(_ slot: UnsafeMutableRawPointer)

  /// Erases, and frees what the library holds for the slot; before the memory goes.
  func releaseSlot(_ slot: UnsafeMutableRawPointer)

  /// Encrypts length octets at text in place and writes the 16-octet tag. The nonce has 12 octets.
  ///
  /// In a slot without a key of this suite, or with text or AAD of more than 65,535 octets, text and tag come out as random
  /// octets: clear text never leaves.
  func seal(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer)

  /// The same for count packets, of which each is `stride` octets after the one before.
  func seal(_ packets: UnsafeMutableRawPointer, stride: Int, count: Int, suite: Suite)

  /// Decrypts length octets at text in place; false if the tag is not the right one, the slot has no key of this suite, or
  /// text or AAD has more than 65,535 octets.
  ///
  /// After false the text is garbage or partly decrypted: the packet must be dropped.
  func open(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeRawPointer
  ) -> Bool

  /// Frees the library's memory. No copy of this value may be used after it.
  func shutdown()
}

/// For engines that gain nothing by a batch, and for which a new key costs about as much as a packet.
extension AEADEngine {
  package static var batchWidth: Int { 1 }
  package var leastHits: Int { 16 }
  package var mostCached: Int { .max }

  @inline(__always)
  package func expandBatch(
    _ keys: UnsafeRawPointer, for uses: UnsafePointer<KeyUse>, count: Int, into slots: UnsafeMutableRawPointer
  ) {
    for index in 0..<count {
      expand(keys + index &* KeyDerivation.keySize, suite: uses[index].suite, into: slots + index &* slotSize)
    }
  }

  @inline(__always)
  package func eraseBatch(_ slots: UnsafeMutableRawPointer, count: Int, mostBlocks _: Int) {
    for index in 0..<count { eraseSlot(slots + index &* slotSize) }
  }

  @inline(__always)
  package func seal(_ packets: UnsafeMutableRawPointer, stride: Int, count: Int, suite: Suite) {
    for index in 0..<count {
      sealAlone((packets + index &* stride).assumingMemoryBound(to: AEADPacket.self), suite: suite)
    }
  }

  @inline(__always)
  func sealAlone(_ packet: UnsafeMutablePointer<AEADPacket>, suite: Suite) {
    withUnsafeBytes(of: &packet.pointee.nonce) { nonce in
      guard let nonce = nonce.baseAddress else { return }
      seal(
        packet.pointee.slot, suite: suite, nonce: nonce, aad: packet.pointee.aad,
        aadLength: Int(packet.pointee.aadLength), text: packet.pointee.text, length: Int(packet.pointee.length),
        tag: packet.pointee.placeOfTag)
    }
  }
}

/// One packet of a burst that is sealed.
package struct AEADPacket {
  package var slot: UnsafeMutableRawPointer
  package var aad: UnsafeRawPointer
  package var text: UnsafeMutableRawPointer
  /// Nothing: right behind the text.
  package var tag: UnsafeMutableRawPointer?
  package var nonce: Nonce
  package var aadLength: Int32
  package var length: Int32
  /// The engine's own.
  package var note: UInt64 = 0

  @inline(__always)
  package init(
    slot: UnsafeMutableRawPointer, nonce: Nonce, aad: UnsafeRawPointer, aadLength: Int, text: UnsafeMutableRawPointer,
    length: Int, tag: UnsafeMutableRawPointer? = nil
  ) {
    self.slot = slot
    self.aad = aad
    self.text = text
    self.tag = tag
    self.nonce = nonce
    self.aadLength = Int32(truncatingIfNeeded: aadLength)
    self.length = Int32(truncatingIfNeeded: length)
  }

  package var placeOfTag: UnsafeMutableRawPointer { @inline(__always) get { tag ?? text + max(Int(length), 0) } }
}

/// The packet that a key is for.
package struct KeyUse: BitwiseCopyable, Sendable {
  package let suite: Suite
  /// What GCM hashes: the blocks of AAD, those of text, and one with the lengths of both.
  package let blocks: Int

  @inline(__always)
  package init(suite: Suite, text: Int, aad: Int) {
    self.suite = suite
    blocks = Self.blocks(text: text, aad: aad)
  }

  @inline(__always)
  static func blocks(text: Int, aad: Int) -> Int { (text &+ 15) &>> 4 &+ (aad &+ 15) &>> 4 &+ 1 }
}

/// What a slot says about itself, kept beside the library's part of it: the suite of its key, and how many blocks a packet
/// may have that it serves.
///
/// Without it a slot of zeroes would be a slot with the hash key zero, under which anybody can make tags that verify.
struct SlotMark {
  private let rawValue: UInt64

  static let empty = SlotMark(rawValue: 0)
  /// More than any packet has; and likewise, but of a key that is not whole.
  static var anyBlocks: Int { 1 &<< 32 }
  static var manyBlocks: Int { anyBlocks &- 1 }

  /// Octets of the longest text or AAD: no IP packet has more.
  static var longest: Int { 1 &<< 16 &- 1 }

  @inline(__always)
  static func holds(_ suite: Suite, blocks: Int = anyBlocks) -> SlotMark {
    SlotMark(rawValue: UInt64(truncatingIfNeeded: blocks) &<< 8 | UInt64(suite.rawValue) &+ 1)
  }

  private init(rawValue: UInt64) { self.rawValue = rawValue }

  @inline(__always)
  func isOf(_ suite: Suite) -> Bool { UInt8(truncatingIfNeeded: rawValue) == suite.rawValue &+ 1 }

  /// Whether the key is whole, and serves any packet in any way.
  @inline(__always)
  var servesAnything: Bool { rawValue &>> 8 == UInt64(truncatingIfNeeded: Self.anyBlocks) }

  /// The same in one comparison, for a whole key of this suite.
  @inline(__always)
  func servesAny(_ suite: Suite) -> Bool { rawValue == Self.holds(suite).rawValue }

  /// Whether neither is too long, nor negative.
  @inline(__always)
  static func allows(text: Int, aad: Int) -> Bool { (text | aad) & ~longest == 0 }

  @inline(__always)
  func serves(_ suite: Suite, text: Int, aad: Int) -> Bool {
    isOf(suite) && Self.allows(text: text, aad: aad)
      && KeyUse.blocks(text: text, aad: aad) <= Int(truncatingIfNeeded: rawValue &>> 8)
  }
}

/// Fills what a library call that cannot fail was to write, after it failed.
///
/// Such a call may have left the clear text, or a derivation's public input in the place of the key. Random octets leak
/// nothing and authenticate nowhere.
@inline(never)
func fillAfterFailure(_ memory: UnsafeMutableRawPointer, _ length: Int) {
  var random = SystemRandomNumberGenerator()
  for offset in 0..<max(length, 0) {
    memory.storeBytes(of: UInt8.random(in: .min ... .max, using: &random), toByteOffset: offset, as: UInt8.self)
  }
}
