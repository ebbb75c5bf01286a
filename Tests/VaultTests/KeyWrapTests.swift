import COpenSSL
import Foundation
import Keys
import Support
import Testing
import Vault

/// RFC 3394, section 4, through OpenSSL as the vault calls it.
@Suite struct KeyWrapVectorTests {
  @Test(
    "RFC 3394: the vectors of a 256-bit key-encryption key",
    arguments: [
      (
        "00112233445566778899AABBCCDDEEFF",
        "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"
      ),
      (
        "00112233445566778899AABBCCDDEEFF0001020304050607",
        "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"
      ),
      (
        "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
        "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
      ),
    ])
  func vectors(_ clear: String, _ wrapped: String) throws {
    #expect(COpenSSL_start() == COpenSSL_ready)
    let kek = Array(UInt8(0)..<32)
    let clear = try #require([UInt8](hex: clear))
    let expected = try #require([UInt8](hex: wrapped))
    var result = [UInt8](repeating: 0, count: clear.count + 8)
    #expect(COpenSSL_key_wrap(kek, clear, clear.count, &result))
    #expect(result == expected)
    var back = [UInt8](repeating: 0, count: clear.count)
    #expect(COpenSSL_key_unwrap(kek, expected, expected.count, &back))
    #expect(back == clear)
  }

  @Test("every bit of a wrapped key counts, and so does its length")
  func damage() throws {
    #expect(COpenSSL_start() == COpenSSL_ready)
    let kek = [UInt8](repeating: 7, count: 32)
    let clear = (0..<48).map { UInt8($0) }
    var wrapped = [UInt8](repeating: 0, count: 56)
    #expect(COpenSSL_key_wrap(kek, clear, clear.count, &wrapped))
    var back = [UInt8](repeating: 0, count: 56)
    for bit in 0..<(8 * wrapped.count) {
      var damaged = wrapped
      damaged[bit / 8] ^= 1 << (bit % 8)
      #expect(!COpenSSL_key_unwrap(kek, damaged, damaged.count, &back))
    }
    for count in 0..<wrapped.count { #expect(!COpenSSL_key_unwrap(kek, wrapped, count, &back)) }
    #expect(!COpenSSL_key_wrap(kek, clear, 8, &wrapped))
    #expect(!COpenSSL_key_wrap(kek, clear, 31, &wrapped))
  }

  @Test("SHA-256 gives FIPS 180-4's values, for messages around a block too")
  func digests() {
    func digest(_ message: [UInt8]) -> String {
      var digest = [UInt8](repeating: 0, count: 32)
      COpenSSL_sha256(message, message.count, &digest)
      return digest.hex
    }
    #expect(
      digest(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      digest(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    #expect(
      digest([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }
}

@Suite struct Base64URLTests {
  @Test("RFC 4648's values in the URL alphabet")
  func values() {
    let pairs = [
      ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
      ("foobar", "Zm9vYmFy"),
    ]
    for (clear, text) in pairs {
      #expect(Base64URL.encode(Array(clear.utf8)) == text)
      #expect(Base64URL.decode(text) == Array(clear.utf8))
    }
    #expect(Base64URL.encode([0xFB, 0xFF, 0xBF]) == "-_-_")
  }

  @Test("agrees with Foundation for every length to 100")
  func foundation() {
    for count in 0...100 {
      let octets = (0..<count).map { _ in UInt8.random(in: 0...255) }
      let expected = Data(octets).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
        .replacing("=", with: "")
      #expect(Base64URL.encode(octets) == expected)
      #expect(Base64URL.decode(expected) == octets)
    }
  }

  @Test(
    "refuses padding, other alphabets, lone digits and bits that say nothing",
    arguments: ["Zg==", "Zh", "Zm9", "Z", "Zm9vY", "+/+/", "Zm 9", "Zm9v\n", "é", "Zm9v\u{0}"])
  func refusals(_ text: String) { #expect(Base64URL.decode(text) == nil) }
}
