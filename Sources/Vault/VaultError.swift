internal import COpenSSL
internal import Keys

/// Why a key could not be wrapped, unwrapped, sealed or delivered. Never carries a key.
package struct VaultError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Kind: Sendable {
    /// No memory for keys could be locked.
    case memory
    /// A file, a credential, a token or a key on it is not there.
    case missing
    /// It is there and cannot be used: its mode, its text, a PIN.
    case unusable
    /// What was wrapped does not open under this key, or was wrapped as something else.
    case wrongKey
    /// Octets were changed or lost.
    case damaged
  }

  package let kind: Kind
  /// What it is about: `file /etc/keyweave/kek`.
  package let place: String
  package let found: String
  package let expected: String
  package let fix: String

  package init(_ kind: Kind, _ place: String, found: String, expected: String, fix: String) {
    self.kind = kind
    self.place = place
    self.found = found
    self.expected = expected
    self.fix = fix
  }

  package var description: String { "\(place): found \(found), expected \(expected); \(fix)" }

  static func memory(_ error: LockedMemoryError) -> VaultError {
    VaultError(
      .memory, "key memory", found: error.description, expected: "locked memory for every key",
      fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
  }

  static func key(_ error: SecretKeyError, _ place: String) -> VaultError {
    if case .memory(let error) = error { return memory(error) }
    return VaultError(
      .unusable, place, found: error.description, expected: "a key of 32 octets", fix: "make the key anew")
  }
}

/// OpenSSL's side of the vault, started once.
enum Cryptography {
  private static let state = COpenSSL_start()

  static func start() throws(VaultError) {
    let found: String
    switch state {
    case COpenSSL_ready: return
    case COpenSSL_allocator_refused: found = "an OpenSSL that was in use before its allocator could be replaced"
    case COpenSSL_algorithm_missing: found = "an OpenSSL without AES key wrap or HMAC"
    default:
      throw VaultError(
        .memory, "key memory", found: "no memory for keys that could be locked", expected: "64 KiB or more",
        fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
    }
    throw VaultError(
      .unusable, "OpenSSL", found: found, expected: "OpenSSL 3 with its default provider",
      fix: "look at openssl.cnf and OPENSSL_CONF")
  }
}

/// Up to a few hundred octets of key memory for what is on its way between forms; zeroed when it goes.
struct KeyBuffer: ~Copyable {
  let octets: UnsafeMutableRawBufferPointer
  /// Octets that were read into it.
  var used = 0

  init(count: Int) throws(VaultError) {
    try Cryptography.start()
    guard let base = COpenSSL_key_alloc(count) else {
      throw VaultError(
        .memory, "key memory", found: "no more memory that could be locked", expected: "\(count) octets",
        fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
    }
    octets = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  deinit { COpenSSL_key_free(octets.baseAddress) }

  /// The first 32 octets as a key.
  func key(_ place: String) throws(VaultError) -> SecretKey {
    do {
      return try SecretKey.copying(UnsafeRawBufferPointer(rebasing: octets.prefix(SecretKey.size)))
    } catch {
      throw .key(error, place)
    }
  }
}
