package import Keys
package import Wire

/// Seals and opens payloads with AES-GCM (wire format, section 3), and makes keys.
///
/// A value of this type belongs to one lcore, whose loop is generic over it, so that every call is direct. It holds
/// pointers to memory of the library: copies share that, and `shutdown` frees it.
///
/// An expanded data key lives in a slot: memory that the caller provides, aligned to 64, locked and excluded from core
/// dumps. A slot goes prepare, (expand, seal and open..., erase)..., release.
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

  /// Zeroes the key material. The slot then opens nothing until the next `expand`.
  func eraseSlot(_ slot: UnsafeMutableRawPointer)

  /// Erases, and frees what the library holds for the slot; before the memory goes.
  func releaseSlot(_ slot: UnsafeMutableRawPointer)

  /// Encrypts length octets at text in place and writes the 16-octet tag. The nonce has 12 octets.
  ///
  /// In a slot without a key of this suite, text and tag come out as random octets: clear text never leaves.
  func seal(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer)

  /// Decrypts length octets at text in place; false if the tag is not the right one or the slot has no key of this suite.
  ///
  /// After false the text is garbage or partly decrypted: the packet must be dropped.
  func open(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeRawPointer
  ) -> Bool

  /// Frees the library's memory. No copy of this value may be used after it.
  func shutdown()
}

/// What a slot says about itself, kept beside the library's part of it.
///
/// Without it a slot of zeroes would be a slot with the hash key zero, under which anybody can make tags that verify.
struct SlotMark: Equatable {
  private let rawValue: UInt64

  static let empty = SlotMark(rawValue: 0)

  static func holds(_ suite: Suite) -> SlotMark { SlotMark(rawValue: UInt64(suite.rawValue) &+ 1) }

  private init(rawValue: UInt64) { self.rawValue = rawValue }
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
