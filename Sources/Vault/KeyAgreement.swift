internal import COpenSSL
internal import Crypto
package import Keys
package import Rotation

/// The receiving end of a delivery: made anew for each poll, so that what was sent can be opened once and never again.
package struct KeyRecipient: Sendable {
  private let privateKey: Curve25519.KeyAgreement.PrivateKey

  package init() throws(VaultError) {
    try Cryptography.start()
    privateKey = Curve25519.KeyAgreement.PrivateKey()
  }

  package var publicKey: PublicKeyJWK { KeyDelivery.text(of: privateKey.publicKey) }

  package func open(_ wrapped: String, from epk: PublicKeyJWK) throws(VaultError) -> SecretKey {
    try agree(with: epk).unwrap(wrapped)
  }

  /// For several keys of one sender: agrees once.
  package func agree(with epk: PublicKeyJWK) throws(VaultError) -> KeyDelivery {
    try KeyDelivery(privateKey, epk)
  }
}

/// The sending end of a delivery: made anew for each answer, or for a few of one instant.
package struct KeySender: Sendable {
  private let privateKey: Curve25519.KeyAgreement.PrivateKey

  package init() throws(VaultError) {
    try Cryptography.start()
    privateKey = Curve25519.KeyAgreement.PrivateKey()
  }

  package var publicKey: PublicKeyJWK { KeyDelivery.text(of: privateKey.publicKey) }

  package func agree(with recipient: PublicKeyJWK) throws(VaultError) -> KeyDelivery {
    try KeyDelivery(privateKey, recipient)
  }
}

/// ECDH-ES+A256KW (RFC 7518, section 4.6) over X25519 (RFC 8037): what both ends agreed on, to wrap keys with.
package struct KeyDelivery: Sendable {
  private static let place = "key agreement"
  private let key: SecretKey

  fileprivate init(_ own: Curve25519.KeyAgreement.PrivateKey, _ other: PublicKeyJWK) throws(VaultError) {
    guard other.kty == "OKP", other.crv == "X25519", let octets = Base64URL.decode(other.x), octets.count == 32,
      let publicKey = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: octets),
      let secret = try? own.sharedSecretFromKeyAgreement(with: publicKey),
      // RFC 7748, section 6.1: some points give everybody this secret.
      secret.withUnsafeBytes({ $0.reduce(0) { $0 | $1 } }) != 0
    else {
      throw VaultError(
        .damaged, Self.place, found: "a public key that is none", expected: "kty OKP, crv X25519, x of 32 octets",
        fix: "look for a proxy or another program in between")
    }
    let message = try KeyBuffer(count: 4 + 32 + Self.otherInfo.count)
    message.octets.copyBytes(from: [0, 0, 0, 1])
    secret.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: message.octets[4...]).copyMemory(from: $0) }
    message.octets[36...].copyBytes(from: Self.otherInfo)
    let derived = try KeyBuffer(count: 32)
    COpenSSL_sha256(message.octets.baseAddress, message.octets.count, derived.octets.baseAddress)
    key = try derived.key(Self.place)
  }

  /// RFC 7518, section 4.6.2: the algorithm's name, no party's names, 256 bits.
  private static let otherInfo: [UInt8] =
    [0, 0, 0, UInt8(KeySet.algorithm.utf8.count)] + Array(KeySet.algorithm.utf8) + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]

  /// - Returns: 40 octets in base64url.
  package func wrap(_ key: SecretKey) throws(VaultError) -> String {
    // A key's own memory is lent for as long as it is read.
    let octets = try key.withOctets { clear in
      Result(catching: { () throws(VaultError) in
        try KeyWrap.wrap(clear, under: self.key, Self.place)
      })
    }.get()
    return Base64URL.encode(octets)
  }

  package func unwrap(_ wrapped: String) throws(VaultError) -> SecretKey {
    guard let octets = Base64URL.decode(wrapped), octets.count == SecretKey.size + KeyWrap.overhead else {
      throw VaultError(
        .damaged, Self.place, found: "a wrapped key of another form", expected: "40 octets in base64url",
        fix: "look for a proxy or another program in between")
    }
    guard let clear = try KeyWrap.unwrap(octets, under: key) else {
      throw VaultError(
        .wrongKey, Self.place, found: "a wrapped key that does not open",
        expected: "one that was wrapped for this request",
        fix: "ask again")
    }
    return try clear.key(Self.place)
  }

  fileprivate static func text(of key: Curve25519.KeyAgreement.PublicKey) -> PublicKeyJWK {
    PublicKeyJWK(x: Base64URL.encode(Array(key.rawRepresentation)))
  }
}

extension Fingerprint {
  /// SHA-256 of the key's octets.
  package init(of key: SecretKey) {
    self.init(hash: key.withOctets { SHA256.digest($0) })
  }
}
