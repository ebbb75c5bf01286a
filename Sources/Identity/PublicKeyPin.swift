internal import Crypto
package import NIOSSL

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo), as `sha256:` and 64 hex digits: it stays when the
/// certificate is renewed for the same key, and no authority can make another one that fits.
package struct PublicKeyPin: Hashable, Sendable, CustomStringConvertible {
  package static let expected = "sha256: and 64 hex digits"
  private static let prefix = "sha256:"

  /// In lower case.
  package let description: String

  package init?(_ text: String) {
    guard text.hasPrefix(Self.prefix), text.utf8.count == Self.prefix.utf8.count + 64,
      text.utf8.dropFirst(Self.prefix.utf8.count).allSatisfy({ octet in
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
          UInt8(ascii: "A")...UInt8(ascii: "F"):
          true
        default: false
        }
      })
    else { return nil }
    description = text.lowercased()
  }

  package init(certificate: NIOSSLCertificate) throws(IdentityError) {
    guard let octets = try? certificate.extractPublicKey().toSPKIBytes() else {
      throw IdentityError(
        "a certificate", found: "a public key that cannot be read", expected: "an EC, RSA or Ed25519 key",
        fix: "make another certificate")
    }
    description = SHA256.hash(data: octets).reduce(into: Self.prefix) { text, octet in
      text += String(octet >> 4, radix: 16) + String(octet & 15, radix: 16)
    }
  }
}

extension PublicKeyPin: Codable {
  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let pin = Self(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "expected \(Self.expected)"))
    }
    self = pin
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
