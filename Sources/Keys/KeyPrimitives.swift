/// The cryptographic primitives that keys are made with: the only door from here to a crypto library.
///
/// DataPlane's engines implement it. An instance is used by one thread at a time.
package protocol KeyPrimitives: Sendable {
  /// HMAC-SHA-256: 32-octet key, writes 32 octets.
  func hmacSHA256(key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer)
  /// Expands a 32-octet AES-256 key into 256 octets (aligned 64) at schedule, in whatever form encryptBlocks wants.
  func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer)
  /// AES-256-ECB over count 16-octet blocks, in place.
  func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int)
}
