internal import COpenSSL
internal import Foundation
package import Keys
internal import Synchronization

/// A document that nobody without the wrapping key can change unseen, and the keys inside it. One file, replaced whole:
///
///     16  "keyweave sealed" and the format's number, 1
///     56  the file's key, wrapped under the wrapping key
///     32  HMAC-SHA-256 of the 72 octets before and of the document
///         the document, in the clear: keys in it are wrapped under the file's key
///
/// It is written beside itself, synced and renamed: whenever the machine stops, one of the two is there whole. An older
/// copy put back opens as well; what that means, the lease's token tells (docs/keys.md).
package final class SealedFile: Sendable {
  private static let mark = Array("keyweave sealed\u{1}".utf8)
  private static let keyEnd = mark.count + BoundKey.wrappedSize
  private static let headerSize = keyEnd + 32
  private static let sizeLimit = 256 << 20
  private static let context = "keyweave sealed file"

  package let path: String
  private let wrappingKey: any WrappingKey
  private let opened = Mutex<Opened?>(nil)

  /// The file's key, wrapped once: later saves need no token.
  private struct Opened {
    var wrapped: [UInt8]
    var authentication: SecretKey
    var wrapping: HeldWrappingKey
  }

  package init(path: String, key: any WrappingKey) {
    self.path = path
    wrappingKey = key
  }

  private var place: String { "file \(path)" }

  /// The document; nil when there is no file.
  package func load() throws(VaultError) -> [UInt8]? {
    guard let file = try read() else { return nil }
    guard file.count >= Self.headerSize, file.starts(with: Self.mark) else {
      throw VaultError(
        .damaged, place, found: "\(file.count) octets that are no sealed file", expected: "one that keyweave wrote",
        fix: "name another file, or restore this one")
    }
    let wrapped = Array(file[Self.mark.count..<Self.keyEnd])
    let opened = try open(wrapped)
    let document = Array(file[Self.headerSize...])
    let code = try authenticate(document, opened)
    guard COpenSSL_equal(code, Array(file[Self.keyEnd..<Self.headerSize]), code.count) else {
      throw VaultError(
        .damaged, place, found: "octets that were changed or lost", expected: "the file as it was written",
        fix: "restore it, or remove it and start as a new machine does")
    }
    self.opened.withLock { $0 = opened }
    return document
  }

  /// Replaces the file; on stable storage when this returns, and unchanged when this throws.
  package func save(_ document: [UInt8]) throws(VaultError) {
    guard document.count <= Self.sizeLimit - Self.headerSize else {
      throw VaultError(
        .unusable, place, found: "\(document.count) octets", expected: "\(Self.sizeLimit) or fewer",
        fix: "give the member fewer groups")
    }
    let opened = try current()
    let file = Self.mark + opened.wrapped + (try authenticate(document, opened)) + document
    try replace(file)
  }

  /// Wraps a key that is to stand in the document.
  package func wrap(_ key: SecretKey, context: String) throws(VaultError) -> [UInt8] {
    try current().wrapping.wrap(key, context: context)
  }

  package func unwrap(_ wrapped: [UInt8], context: String) throws(VaultError) -> SecretKey {
    try current().wrapping.unwrap(wrapped, context: context)
  }

  /// The file's key: read, or made for a file that is not there yet.
  private func current() throws(VaultError) -> Opened {
    if let opened = opened.withLock({ $0 }) { return opened }
    if try load() != nil, let opened = opened.withLock({ $0 }) { return opened }
    let key: SecretKey
    do { key = try SecretKey.random() } catch { throw .key(error, place) }
    let made = try open(try wrappingKey.wrap(key, context: Self.context), key)
    return opened.withLock { opened in
      // Another thread may have been faster; one key for both.
      let first = opened ?? made
      opened = first
      return first
    }
  }

  private func open(_ wrapped: [UInt8]) throws(VaultError) -> Opened {
    let key: SecretKey
    do {
      key = try wrappingKey.unwrap(wrapped, context: Self.context)
    } catch {
      guard error.kind == .wrongKey else { throw error }
      throw VaultError(
        .wrongKey, place, found: "a file that does not open under \(wrappingKey.description)",
        expected: "the wrapping key it was sealed with",
        fix: "name that key; without it, remove the file and start as a new machine does")
    }
    return try open(wrapped, key)
  }

  private func open(_ wrapped: [UInt8], _ key: SecretKey) throws(VaultError) -> Opened {
    Opened(
      wrapped: wrapped, authentication: try derive(key, "keyweave sealed file: authentication"),
      wrapping: HeldWrappingKey(try derive(key, "keyweave sealed file: wrapping"), description: place))
  }

  /// One key for each use.
  private func derive(_ key: SecretKey, _ purpose: String) throws(VaultError) -> SecretKey {
    let derived = try KeyBuffer(count: SecretKey.size)
    try hmac(key, Array(purpose.utf8), derived.octets)
    return try derived.key(place)
  }

  private func authenticate(_ document: [UInt8], _ opened: Opened) throws(VaultError) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: 32)
    let message = Self.mark + opened.wrapped + document
    let done = opened.authentication.withOctets {
      COpenSSL_hmac_sha256($0.baseAddress, $0.count, message, message.count, &code)
    }
    guard done else { throw noMemory }
    return code
  }

  private func hmac(_ key: SecretKey, _ message: [UInt8], _ output: UnsafeMutableRawBufferPointer) throws(VaultError) {
    let done = key.withOctets {
      COpenSSL_hmac_sha256($0.baseAddress, $0.count, message, message.count, output.baseAddress)
    }
    guard done else { throw noMemory }
  }

  private var noMemory: VaultError {
    VaultError(
      .memory, place, found: "no memory for keys that could be locked", expected: "room for one key",
      fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
  }
}

extension SealedFile {
  private func read() throws(VaultError) -> [UInt8]? {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw unreadable(errno)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unreadable(errno) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.sizeLimit else {
      throw VaultError(
        .damaged, place, found: "something that is no sealed file", expected: "one that keyweave wrote",
        fix: "name another file")
    }
    var octets = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < octets.count {
      let got = octets.withUnsafeMutableBytes {
        Foundation.read(descriptor, $0.baseAddress.map { $0 + count }, $0.count - count)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw unreadable(errno) }
      guard got > 0 else { break }
      count += got
    }
    return Array(octets[..<count])
  }

  private func unreadable(_ code: Int32) -> VaultError {
    VaultError(
      .unusable, place, found: "a file that cannot be read (\(String(cString: strerror(code))))",
      expected: "a sealed file that this user can read", fix: "correct the path, its owner or its mode")
  }

  private func replace(_ file: [UInt8]) throws(VaultError) {
    // One name: what a stopped machine left behind is overwritten, not added to.
    let new = path + ".new"
    unlink(new)
    let descriptor = Foundation.open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw NewFile.failure(errno, place) }
    let isWritten = file.withUnsafeBytes { NewFile.put($0, descriptor) } && fsync(descriptor) == 0
    let code = errno
    close(descriptor)
    guard isWritten, rename(new, path) == 0 else {
      let code = isWritten ? errno : code
      unlink(new)
      throw NewFile.failure(code, place)
    }
    guard NewFile.syncDirectory(of: path) else { throw NewFile.failure(errno, place) }
  }
}
