internal import Foundation
internal import Wire

extension Kind where Value == String {
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
      guard text.utf8.count <= 200, parts.count >= 2, parts[0].isEmpty,
        parts.dropFirst().allSatisfy({ isName(String($0)) })
      else { throw Misread(text: "begin with a slash and end without one") }
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
      guard IPAddress(host) != nil else {
        throw Misread(text: "write an address of this machine, 0.0.0.0 or [::] for all")
      }
      let port = try Kind<Int>.integer(0...65535).read(String(text[text.index(after: colon)...]))
      return .init(host: host, port: port)
    }
  }
}
