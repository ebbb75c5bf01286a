internal import Foundation
internal import Wire

extension Kind where Value == String {
  /// Strict as the SPIFFE ID standard is: one name has one spelling.
  static var peerID: Kind {
    Kind(expected: "a SPIFFE ID, at most 2048 characters", example: "\"spiffe://region1.example/admin/alice\"") {
      text throws(Misread) in
      let scheme = "spiffe://"
      guard text.hasPrefix(scheme), text.utf8.count <= 2048 else { throw Misread() }
      let parts = text.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
      guard let domain = parts.first, (1...255).contains(domain.utf8.count),
        domain.utf8.allSatisfy({ isPeerCharacter($0) }),
        parts.dropFirst().allSatisfy({ part in
          !part.isEmpty && part != "." && part != ".." && part.utf8.allSatisfy { isPeerCharacter($0) || isUpper($0) }
        })
      else { throw Misread(text: "use lower case in the trust domain, and letters, digits, dots, dashes, underscores") }
      return text
    }
  }

  private static func isPeerCharacter(_ octet: UInt8) -> Bool {
    switch octet {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "-._".utf8.contains(octet)
    }
  }

  private static func isUpper(_ octet: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(octet) }

  static var pin: Kind {
    Kind(expected: "sha256: and 64 hexadecimal digits", example: "\"sha256:<64 hex digits>\"") { text throws(Misread) in
      guard text.hasPrefix("sha256:"), text.utf8.count == 71, text.utf8.dropFirst(7).allSatisfy({ octet in
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(octet | 0x20)
      })
      else { throw Misread(text: "copy what `keyweave ca issue` printed") }
      return text.lowercased()
    }
  }

  /// The base of etcd's JSON gateway.
  static var endpoint: Kind {
    Kind(expected: "http://HOST:PORT or https://HOST:PORT", example: "\"https://192.0.2.1:2379\"") {
      text throws(Misread) in
      guard let url = URL(string: text), url.scheme == "https" || url.scheme == "http", url.host()?.isEmpty == false,
        url.path().isEmpty, url.query() == nil, url.user() == nil, text.utf8.count <= 300
      else { throw Misread(text: "leave out what follows host and port") }
      return text
    }
  }

  static var etcdPrefix: Kind {
    Kind(expected: "a path of names such as /keyweave/region", example: "/keyweave/region") { text throws(Misread) in
      let parts = text.split(separator: "/", omittingEmptySubsequences: false)
      guard text.utf8.count <= 200, parts.count >= 2, parts[0].isEmpty, parts.dropFirst().allSatisfy({ isName(String($0)) })
      else { throw Misread(text: "begin with a slash and end without one") }
      return text
    }
  }

  /// Names on a token.
  static var tokenLabel: Kind {
    Kind(expected: "a name of 1 to 32 characters", example: "keyweave") { text throws(Misread) in
      guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy({ (32...126).contains($0) }) else { throw Misread() }
      return text
    }
  }
}

extension Kind where Value == ControllerConfiguration.Listen {
  static var listen: Kind {
    Kind(expected: "ADDRESS:PORT, as in 192.0.2.10:8441 or [2001:db8::10]:8441", example: "\"192.0.2.10:8441\"") {
      text throws(Misread) in
      guard let colon = text.lastIndex(of: ":") else { throw Misread(text: "add the port, as in \(text):8441") }
      var host = String(text[..<colon])
      if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
      guard IPAddress(host) != nil else { throw Misread(text: "write an address of this machine, 0.0.0.0 or [::] for all") }
      let port = try Kind<Int>.integer(0...65535).read(String(text[text.index(after: colon)...]))
      return .init(host: host, port: port)
    }
  }
}
