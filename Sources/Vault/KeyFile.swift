internal import Foundation
internal import Keys

/// A wrapping key as 64 hex digits in a file.
enum KeyFile {
  private static let digits = 2 * SecretKey.size
  private static let expected = "64 hex digits and a line end"

  static func credentialPath(_ name: String, place: String) throws(VaultError) -> String {
    guard !name.isEmpty, !name.hasPrefix("."), !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0) else {
      throw VaultError(
        .unusable, place, found: "a name that is no credential's",
        expected: "a name without / and not beginning with .",
        fix: "correct the configuration")
    }
    guard let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"], !directory.isEmpty else {
      throw VaultError(
        .missing, place, found: "no CREDENTIALS_DIRECTORY in the environment", expected: "systemd's credentials",
        fix: "name it in the unit: LoadCredential=\(name):FILE or LoadCredentialEncrypted=\(name):FILE")
    }
    return directory + "/" + name
  }

  /// - Parameter isPrivate: refuse a file that others than its owner can read.
  static func read(_ path: String, place: String, isPrivate: Bool) throws(VaultError) -> SecretKey {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = errno
      throw VaultError(
        code == ENOENT ? .missing : .unusable, place,
        found: "a file that cannot be opened (\(String(cString: strerror(code))))", expected: "a wrapping key",
        fix: isPrivate
          ? "correct the path, or make one: (umask 077; openssl rand -hex 32 > \(path))"
          : "name it in the unit with LoadCredential=")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw VaultError(
        .unusable, place, found: "not a regular file", expected: "a wrapping key", fix: "name the file itself")
    }
    if isPrivate {
      if status.st_mode & 0o077 != 0 {
        throw VaultError(
          .unusable, place, found: "mode \(String(status.st_mode & 0o7777, radix: 8)): others can read or write it",
          expected: "a file that only its owner can read and write", fix: "run: chmod 600 \(path)")
      }
      if status.st_uid != geteuid(), status.st_uid != 0, geteuid() != 0 {
        throw VaultError(
          .unusable, place, found: "owner \(status.st_uid)", expected: "this user (\(geteuid())) or root",
          fix: "run as root: chown \(geteuid()) \(path)")
      }
    }
    return try parse(descriptor, place: place)
  }

  private static func parse(_ descriptor: Int32, place: String) throws(VaultError) -> SecretKey {
    let text = try KeyBuffer(count: digits + 4)
    var count = 0
    while count < text.octets.count {
      let got = Foundation.read(descriptor, text.octets.baseAddress.map { $0 + count }, text.octets.count - count)
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { break }
      count += got
    }
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

/// Files that are whole and durable, or not there.
enum NewFile {
  /// Writes a file of mode 600 that must not exist.
  static func write(_ octets: UnsafeRawBufferPointer, to path: String, place: String) throws(VaultError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      let code = errno
      throw VaultError(
        .unusable, place,
        found: code == EEXIST ? "a file that exists already" : String(cString: strerror(code)), expected: "a new file",
        fix: code == EEXIST ? "choose another name: keys are never overwritten" : "choose another path")
    }
    let isWritten = put(octets, descriptor) && fsync(descriptor) == 0
    let code = errno
    close(descriptor)
    guard isWritten, syncDirectory(of: path) else {
      unlink(path)
      throw failure(code, place)
    }
  }

  static func put(_ octets: UnsafeRawBufferPointer, _ descriptor: Int32) -> Bool {
    var rest = octets
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
    return true
  }

  /// A new name is as durable as its directory.
  static func syncDirectory(of path: String) -> Bool {
    let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return fsync(descriptor) == 0
  }

  static func failure(_ code: Int32, _ place: String) -> VaultError {
    VaultError(
      .unusable, place, found: "a file that could not be written (\(String(cString: strerror(code))))",
      expected: "it on stable storage", fix: "look at the disk and at the directory's mode; nothing was changed")
  }
}
