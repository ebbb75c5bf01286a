import Foundation
import Keys
import Rotation
import Support
import Testing
import Vault

@Suite struct KeyAgreementTests {
  /// Python's side: X25519, the Concat KDF of RFC 7518 and key unwrapping, of another library.
  private static let library = """
    import sys, json, struct, base64, hashlib
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
    from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
    decode = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
    encode = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
    def text(b): return struct.pack(">I", len(b)) + b
    def agree(private, x):
        other = text(b"ECDH-ES+A256KW") + text(b"") + text(b"") + struct.pack(">I", 256)
        return ConcatKDFHash(hashes.SHA256(), 32, other).derive(private.exchange(X25519PublicKey.from_public_bytes(decode(x))))
    def public(private):
        return encode(private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    """

  @Test("Python's cryptography opens what is sent")
  func sendsToPython() throws {
    try Program.withTemporaryDirectory { directory in
      let keyFile = directory.appending(path: "x25519").text
      let make = """
        private = X25519PrivateKey.generate()
        open(sys.argv[1], "wb").write(private.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()))
        print(public(private))
        """
      let made = try Program.run(Program.python, ["-c", Self.library + make, keyFile])
      #expect(made.status == 0, "\(made.errors)")
      let recipient = PublicKeyJWK(x: made.output.trimmingCharacters(in: .newlines))
      let sender = try KeySender()
      let secret = try SecretKey.random()
      let wrapped = try sender.agree(with: recipient).wrap(secret)
      let open = """
        private = X25519PrivateKey.from_private_bytes(open(sys.argv[1], "rb").read())
        clear = aes_key_unwrap(agree(private, sys.argv[2]), decode(sys.argv[3]))
        print(hashlib.sha256(clear).hexdigest())
        """
      let opened = try Program.run(
        Program.python,
        ["-c", Self.library + open, keyFile, "=" + sender.publicKey.x, "=" + wrapped].map {
          $0.hasPrefix("=") ? String($0.dropFirst()) : $0
        })
      #expect(opened.status == 0, "\(opened.errors)")
      #expect(opened.output.trimmingCharacters(in: .newlines) == Fingerprint(of: secret).description)
    }
  }

  @Test("opens what Python's cryptography sends")
  func receivesFromPython() throws {
    let recipient = try KeyRecipient()
    let send = """
      private = X25519PrivateKey.generate()
      key = bytes(range(100, 132))
      print(public(private), encode(aes_key_wrap(agree(private, sys.argv[1]), key)), hashlib.sha256(key).hexdigest())
      """
    let sent = try Program.run(Program.python, ["-c", Self.library + send, recipient.publicKey.x])
    #expect(sent.status == 0, "\(sent.errors)")
    let words = sent.output.split(whereSeparator: \.isWhitespace).map(String.init)
    let secret = try recipient.open(words[1], from: PublicKeyJWK(x: words[0]))
    #expect(Fingerprint(of: secret).description == words[2])
  }

  @Test("only the recipient opens, only what its sender wrapped, and only whole")
  func refusals() throws {
    let (recipient, other) = (try KeyRecipient(), try KeyRecipient())
    let (sender, stranger) = (try KeySender(), try KeySender())
    let secret = try SecretKey.random()
    let wrapped = try sender.agree(with: recipient.publicKey).wrap(secret)
    #expect(wrapped.utf8.count == 54)
    #expect(try recipient.open(wrapped, from: sender.publicKey) == secret)
    #expect { try other.open(wrapped, from: sender.publicKey) } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    #expect { try recipient.open(wrapped, from: stranger.publicKey) } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    for text in ["", String(wrapped.dropLast()), wrapped + "A", wrapped + "=", "!" + wrapped.dropFirst()] {
      #expect { try recipient.open(text, from: sender.publicKey) } throws: { ($0 as? VaultError)?.kind == .damaged }
    }
    for index in 0..<40 {
      guard var octets = Base64URL.decode(wrapped) else { continue }
      octets[index] ^= 1
      let text = Base64URL.encode(octets)
      #expect(throws: VaultError.self) { try recipient.open(text, from: sender.publicKey) }
    }
  }

  @Test("public keys that are none are refused, also those whose secret would be zeros")
  func publicKeys() throws {
    let sender = try KeySender()
    var ec = sender.publicKey
    ec.crv = "P-256"
    var oct = sender.publicKey
    oct.kty = "oct"
    let zeros = PublicKeyJWK(x: Base64URL.encode([UInt8](repeating: 0, count: 32)))
    let one = PublicKeyJWK(x: Base64URL.encode([1] + [UInt8](repeating: 0, count: 31)))
    let short = PublicKeyJWK(x: Base64URL.encode([UInt8](repeating: 9, count: 31)))
    for key in [ec, oct, zeros, one, short, PublicKeyJWK(x: "")] {
      #expect { try sender.agree(with: key) } throws: { ($0 as? VaultError)?.kind == .damaged }
    }
  }

  @Test("a JWK's text has the form of RFC 8037")
  func form() throws {
    let key = try KeyRecipient().publicKey
    #expect(key.kty == "OKP")
    #expect(key.crv == "X25519")
    #expect(Base64URL.decode(key.x)?.count == 32)
  }
}
