internal import Foundation
internal import Keys

/// A wrapping key as 64 hex digits in a file.
enum KeyFile {
  private static let digits = 2 * SecretKey.size
  private static let expected = "64 hex digits and a line end"

  static func credentialPath(
    _ name: String, _ environment: [String: String], place: String
  ) throws(VaultError) -> String {
    guard !name.isEmpty, !name.hasPrefix("."), !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0) else {
      throw VaultError(
        .unusable, place, found: "a name that is no credential's",
        expected: "a name without / and not beginning with .",
        fix: "correct the configuration")
    }
    guard let directory = environment["CREDENTIALS_DIRECTORY"], !directory.isEmpty else {
      throw VaultError(
        .missing, place, found: "no CREDENTIALS_DIRECTORY in the environment", expected: "systemd's credentials",
        fix: "name it in the unit: LoadCredential=\(name):FILE or LoadCredentialEncrypted=\(name):FILE")
    }
    return directory + "/" + name
  }

  /// - Parameter isPrivate: refuse a file that others than its owner can read.
  static func read(_ path: String, place: String, isPrivate: Bool) throws(VaultError) -> SecretKey {
    let text = try PrivateFile.read(
      path, limit: digits + 4, place: place, what: "a wrapping key", isPrivate: isPrivate,
      fix: isPrivate
        ? "correct the path, or make one: keyweave keys wrapping-key --out \(path)"
        : "name it in the unit with LoadCredential=")
    let count = text.used
    let isHex = text.octets.prefix(digits).allSatisfy { value($0) != nil }
    let end = text.octets[..<count].dropFirst(digits)
    guard count >= digits, isHex, end.elementsEqual([]) || end.elementsEqual([10]) || end.elementsEqual([13, 10]) else {
      throw VaultError(
        .unusable, place,
        found: count < digits
          ? "\(count) characters" : isHex ? "more than 64 hex digits" : "a character that is no hex digit",
        expected: expected, fix: "restore the key that was used before, or make one with: openssl rand -hex 32")
    }
    // Each octet takes the place of digits that have been read.
    for index in 0..<SecretKey.size {
      text.octets[index] = (value(text.octets[2 * index]) ?? 0) << 4 | (value(text.octets[2 * index + 1]) ?? 0)
    }
    return try text.key(place)
  }

  /// 32 random octets in a new file of mode 600, on stable storage when this returns.
  static func create(_ path: String, place: String) throws(VaultError) {
    let text = try KeyBuffer(count: digits + 1)
    do {
      let key = try SecretKey.random()
      key.withOctets { octets in
        for (index, octet) in octets.enumerated() {
          text.octets[2 * index] = digit(octet >> 4)
          text.octets[2 * index + 1] = digit(octet & 15)
        }
      }
    } catch {
      throw .key(error, place)
    }
    text.octets[digits] = 10
    try NewFile.write(UnsafeRawBufferPointer(text.octets), to: path, place: place)
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  private static func value(_ octet: UInt8) -> UInt8? {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): octet &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): octet &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): octet &- UInt8(ascii: "A") &+ 10
    default: nil
    }
  }
}
