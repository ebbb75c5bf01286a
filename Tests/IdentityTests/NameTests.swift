import Foundation
import Identity
import Support
import Testing

@Suite struct SPIFFEIDTests {
  @Test(
    "names that are right, with their parts",
    arguments: [
      ("spiffe://region1.example/dpu/host42", "region1.example", "/dpu/host42"),
      ("spiffe://a", "a", ""), ("spiffe://1.2-3_4", "1.2-3_4", ""),
      ("spiffe://td/A.b-C_0/...", "td", "/A.b-C_0/..."), ("spiffe://td/.a/a.", "td", "/.a/a."),
    ])
  func right(_ text: String, _ domain: String, _ path: String) throws {
    let id = try #require(SPIFFEID(text))
    #expect(id.description == text)
    #expect(id.trustDomain == domain)
    #expect(id.path == path)
    let coded = try JSONEncoder().encode([id])
    #expect(try JSONDecoder().decode([SPIFFEID].self, from: coded) == [id])
  }

  @Test(
    "everything else is refused: one name has one spelling",
    arguments: [
      "", "spiffe://", "spiffe:///a", "SPIFFE://td/a", "Spiffe://td", "https://td/a", "spiffe:/td", "spiffe:td",
      "spiffe://td/",
      "spiffe://td//a", "spiffe://td/a/", "spiffe://td/./a", "spiffe://td/..", "spiffe://td/a/../b", "spiffe://Td/a",
      "spiffe://td:8443/a", "spiffe://user@td/a", "spiffe://td/a?x=1", "spiffe://td/a#x", "spiffe://td?x",
      "spiffe://td/%61",
      "spiffe://td/a b", " spiffe://td/a", "spiffe://td/a ", "spiffe://td/a\n", "spiffe://td/a\u{0}",
      "spiffe://td/\u{e9}",
      "spiffe://t\u{e9}/a", "spiffe://td/a\\b", "spiffe://[::1]/a", "spiffe://td/a;b", "spiffe://td/a,b",
      "spiffe://td/\u{2024}", "spiffe://\u{430}/a",
    ])
  func wrong(_ text: String) { #expect(SPIFFEID(text) == nil) }

  @Test("at most 2,048 octets, and 255 of the trust domain")
  func lengths() {
    let prefix = "spiffe://td/"
    #expect(SPIFFEID(prefix + String(repeating: "a", count: 2048 - prefix.count)) != nil)
    #expect(SPIFFEID(prefix + String(repeating: "a", count: 2049 - prefix.count)) == nil)
    #expect(SPIFFEID("spiffe://" + String(repeating: "a", count: 255)) != nil)
    #expect(SPIFFEID("spiffe://" + String(repeating: "a", count: 256)) == nil)
  }
}

@Suite struct PublicKeyPinTests {
  @Test("a pin is sha256: and 64 digits, and is compared in lower case")
  func forms() {
    let digits = String(repeating: "0123456789abcdef", count: 4)
    #expect(PublicKeyPin("sha256:" + digits)?.description == "sha256:" + digits)
    #expect(PublicKeyPin("sha256:" + digits.uppercased()) == PublicKeyPin("sha256:" + digits))
    let short = String(digits.dropLast())
    let texts: [String] = [
      "", digits, "sha256:", "sha256:\(short)", "sha256:\(digits)0", "SHA256:\(digits)", "sha512:\(digits)",
      "sha256:\(short)g", "sha256: \(short)", "sha256:\(short)\u{ff10}",
    ]
    for text in texts {
      #expect(PublicKeyPin(text) == nil, "\(text)")
    }
  }
}
