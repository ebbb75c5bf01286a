internal import COpenSSL
package import Keys

/// AES key wrap (RFC 3394) between locked memory and octets that may be stored or sent.
enum KeyWrap {
  static let overhead = 8

  static func wrap(_ clear: UnsafeRawBufferPointer, under key: SecretKey, _ place: String) throws(VaultError) -> [UInt8]
  {
    try Cryptography.start()
    var wrapped = [UInt8](repeating: 0, count: clear.count + overhead)
    let done = key.withOctets { COpenSSL_key_wrap($0.baseAddress, clear.baseAddress, clear.count, &wrapped) }
    guard done else {
      throw VaultError(
        .memory, place, found: "a wrapping that OpenSSL refused", expected: "locked memory for one more key",
        fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
    }
    return wrapped
  }

  /// Nothing when it was not wrapped under this key.
  static func unwrap(_ wrapped: [UInt8], under key: SecretKey) throws(VaultError) -> KeyBuffer? {
    guard wrapped.count > 2 * overhead, wrapped.count.isMultiple(of: overhead) else { return nil }
    let clear = try KeyBuffer(count: wrapped.count - overhead)
    let done = key.withOctets {
      COpenSSL_key_unwrap($0.baseAddress, wrapped, wrapped.count, clear.octets.baseAddress)
    }
    guard done else { return nil }
    return clear
  }
}

/// A key with what it is for, as it is wrapped: 32 octets, then 16 of SHA-256 of the context.
enum BoundKey {
  static let size = SecretKey.size + contextSize
  static let wrappedSize = size + KeyWrap.overhead
  private static let contextSize = 16

  static func buffer(_ key: SecretKey, context: String) throws(VaultError) -> KeyBuffer {
    let buffer = try KeyBuffer(count: size)
    key.withOctets { buffer.octets.copyMemory(from: $0) }
    buffer.octets[SecretKey.size...].copyBytes(from: digest(context))
    return buffer
  }

  /// The key, if these octets hold one that was wrapped for this context.
  static func key(_ octets: borrowing KeyBuffer, context: String, _ place: String) throws(VaultError) -> SecretKey {
    guard octets.octets.count == size, octets.octets[SecretKey.size...].elementsEqual(digest(context)) else {
      throw VaultError(
        .wrongKey, place, found: "a key that was wrapped as something else", expected: "the key of \(context)",
        fix: "restore the file or record that belongs here")
    }
    return try octets.key(place)
  }

  private static func digest(_ context: String) -> ArraySlice<UInt8> {
    SHA256.digest(Array(context.utf8)).prefix(contextSize)
  }

  static func refused(_ place: String, _ what: String) -> VaultError {
    VaultError(
      .wrongKey, place, found: "a wrapped key that does not open", expected: "one that was wrapped under this key",
      fix: "name the wrapping key that \(what) was made with, or restore what was changed")
  }
}

/// SHA-256 that leaves nothing behind of what it read.
enum SHA256 {
  static func digest(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBytes(digest) }

  static func digest(_ message: UnsafeRawBufferPointer) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    COpenSSL_sha256(message.baseAddress, message.count, &digest)
    return digest
  }
}

/// A wrapping key whose octets this process holds.
package struct HeldWrappingKey: WrappingKey {
  package let description: String
  private let key: SecretKey

  package init(_ key: SecretKey, description: String) {
    self.key = key
    self.description = description
  }

  package func wrap(_ key: SecretKey, context: String) throws(VaultError) -> [UInt8] {
    let clear = try BoundKey.buffer(key, context: context)
    return try KeyWrap.wrap(UnsafeRawBufferPointer(clear.octets), under: self.key, description)
  }

  package func unwrap(_ wrapped: [UInt8], context: String) throws(VaultError) -> SecretKey {
    guard let clear = try KeyWrap.unwrap(wrapped, under: key) else { throw BoundKey.refused(description, context) }
    return try BoundKey.key(clear, context: context, description)
  }
}
