internal import Foundation
package import Keys

/// A key-encryption key, wherever it lives.
package protocol WrappingKey: Sendable, CustomStringConvertible {
  /// AES key wrap (RFC 3394) of the key's 32 octets and 16 octets of SHA-256(context): bound to what it is.
  ///
  /// - Returns: 56 octets.
  func wrap(_ key: SecretKey, context: String) throws(VaultError) -> [UInt8]
  func unwrap(_ wrapped: [UInt8], context: String) throws(VaultError) -> SecretKey
  /// `file /etc/keyweave/kek`, `credential kek`, `token keyweave`: never the key.
  var description: String { get }
}

/// Where a wrapping key is to be found.
package enum WrappingKeySource: Sendable, Equatable, CustomStringConvertible {
  /// 64 hex digits in a file that only its owner can read.
  case file(String)
  /// The same in systemd's $CREDENTIALS_DIRECTORY.
  case credential(String)
  /// An AES-256 key that never leaves its token.
  case pkcs11(module: String, token: String, label: String, pinFile: String)

  package var description: String {
    switch self {
    case .file(let path): "file \(path)"
    case .credential(let name): "credential \(name)"
    case .pkcs11(_, let token, let label, _): "key \(label) on token \(token)"
    }
  }

  /// - Parameter environment: where CREDENTIALS_DIRECTORY is looked for.
  package func open(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(VaultError) -> any WrappingKey {
    switch self {
    case .file(let path):
      return HeldWrappingKey(try KeyFile.read(path, place: description, isPrivate: true), description: description)
    case .credential(let name):
      let path = try KeyFile.credentialPath(name, environment, place: description)
      // systemd keeps others out by the directory, and by access control lists that look like group rights.
      return HeldWrappingKey(try KeyFile.read(path, place: description, isPrivate: false), description: description)
    case .pkcs11(let module, let token, let label, let pinFile):
      return try TokenWrappingKey(module: module, token: token, label: label, pinFile: pinFile)
    }
  }

  /// Makes the key where it shall live: never replaces another.
  package func create() throws(VaultError) {
    switch self {
    case .file(let path): try KeyFile.create(path, place: description)
    case .credential:
      throw VaultError(
        .unusable, description, found: "a credential, which systemd provides", expected: "a file or a token",
        fix: "run: openssl rand -hex 32 | systemd-creds encrypt --name=NAME - FILE, and name it in the unit with "
          + "LoadCredentialEncrypted=")
    case .pkcs11(let module, let token, let label, let pinFile):
      try TokenWrappingKey.create(module: module, token: token, label: label, pinFile: pinFile)
    }
  }
}
