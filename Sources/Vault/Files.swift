internal import Foundation

/// Secrets in files that only their owner can read, straight into key memory.
enum PrivateFile {
  /// At most `limit` octets.
  static func read(
    _ path: String, limit: Int, place: String, what: String, isPrivate: Bool, fix: String
  ) throws(VaultError) -> KeyBuffer {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = errno
      throw VaultError(
        code == ENOENT ? .missing : .unusable, place,
        found: "a file that cannot be opened (\(String(cString: strerror(code))))", expected: what, fix: fix)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw VaultError(.unusable, place, found: "not a regular file", expected: what, fix: "name the file itself")
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
    var text = try KeyBuffer(count: limit)
    while text.used < limit {
      let got = Foundation.read(descriptor, text.octets.baseAddress.map { $0 + text.used }, limit - text.used)
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { break }
      text.used += got
    }
    return text
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
