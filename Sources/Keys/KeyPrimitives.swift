/// The only door of this module to a crypto library.
@usableFromInline package protocol KeyPrimitives: Sendable {
  /// HMAC-SHA-256: 32-octet key, writes 32 octets.
  func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer)

  /// Expands a 32-octet AES-256 key into 256 octets (aligned to 64) at `schedule`, in whatever form `encryptBlocks`
  /// wants.
  func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer)

  /// AES-256-ECB over `count` blocks of 16 octets, in place.
  func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int)
}
