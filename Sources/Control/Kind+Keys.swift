internal import Foundation
internal import Keys

extension Kind where Value == RootKeyLevel {
  static var level: Kind {
    Kind(
      expected: "one of " + RootKeyLevel.allCases.map(\.description).joined(separator: ", "), example: "trust-region"
    ) { text throws(Misread) in
      guard let level = RootKeyLevel(text) else { throw Misread() }
      return level
    }
  }
}

extension Kind where Value == [UInt8] {
  /// An ID of 32 octets has as many digits as a key and was taken for one.
  static func rootKeyID(_ secrets: SecretTexts) -> Kind {
    let plain = Kind.hex(octets: RootKey.idLengths, isSecret: true)
    return Kind(expected: plain.expected, example: "00112233445566778899aabbccddeeff", isSecret: true) {
      text throws(Misread) in
      if let key = secrets.key(for: text) { return key.withOctets(Array.init) }
      return try plain.read(text)
    }
  }
}

extension Kind where Value == SecretKey {
  static func secretKey(_ secrets: SecretTexts) -> Kind {
    Kind(expected: "64 hexadecimal digits", example: "<64 hex digits>", isSecret: true) { text throws(Misread) in
      if let key = secrets.key(for: text) { return key }
      do {
        return try SecretKey.parsing(hex: text)
      } catch {
        throw Misread(text: "copy the whole key again, or make new keys with `keyweave keys new`")
      }
    }
  }
}

extension Kind where Value == UInt64 {
  /// A moment in UTC, as Unix seconds.
  static var time: Kind {
    Kind(expected: "a time in UTC as in 2026-11-21T20:00:00Z", example: "2026-11-21T20:00:00Z") {
      text throws(Misread) in
      guard let date = try? Date(text, strategy: .iso8601), date.timeIntervalSince1970 >= 0,
        date.timeIntervalSince1970 < 1e12
      else { throw Misread() }
      return UInt64(date.timeIntervalSince1970)
    }
  }

  static func timeText(_ time: UInt64) -> String {
    Date(timeIntervalSince1970: TimeInterval(time)).formatted(.iso8601)
  }
}
