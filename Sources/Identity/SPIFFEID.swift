/// A name such as `spiffe://region1.example/dpu/host42`, read strictly (SPIFFE ID standard, section 2): one name has one
/// spelling, so that comparing texts compares names.
package struct SPIFFEID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package static let expected =
    "spiffe://TRUST-DOMAIN/PATH, lower-case domain, no query, port, percent signs or dots alone"
  private static let scheme = "spiffe://"
  private static let limit = 2048

  package let description: String

  package init?(_ text: String) {
    guard text.utf8.count <= Self.limit, text.hasPrefix(Self.scheme) else { return nil }
    let rest = text.utf8.dropFirst(Self.scheme.utf8.count)
    let parts = rest.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard let domain = parts.first, !domain.isEmpty, domain.count <= 255, domain.allSatisfy(Self.isDomain) else {
      return nil
    }
    for segment in parts.dropFirst() {
      guard !segment.isEmpty, segment.allSatisfy({ Self.isDomain($0) || Self.isUpper($0) }),
        !segment.elementsEqual([dot]), !segment.elementsEqual([dot, dot])
      else { return nil }
    }
    description = text
  }

  package var trustDomain: String {
    String(description.dropFirst(Self.scheme.count).prefix { $0 != "/" })
  }

  /// With the slash; empty for the trust domain itself.
  package var path: Substring { description.dropFirst(Self.scheme.count + trustDomain.count) }

  package static func < (a: Self, b: Self) -> Bool { a.description < b.description }

  private static func isDomain(_ octet: UInt8) -> Bool {
    switch octet {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), dot,
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func isUpper(_ octet: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(octet) }
}

private let dot = UInt8(ascii: ".")

extension SPIFFEID: Codable {
  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = Self(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "expected \(Self.expected)"))
    }
    self = id
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
