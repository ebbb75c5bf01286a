internal import COpenSSL

/// HMAC-SHA-256 by OpenSSL, for every engine: it runs when keys are installed, never for a packet.
///
/// Having one means that OpenSSL has started.
struct OpenSSLHMAC: Sendable {
  init(engine: String) throws(EngineError) {
    switch COpenSSL_start() {
    case COpenSSL_ready: return
    case COpenSSL_allocator_refused:
      throw .unavailable(
        engine: engine, found: "OpenSSL was in use before its allocator could be replaced, so keys cannot be locked",
        remedy: "do not preload libraries that use OpenSSL (LD_PRELOAD)")
    case COpenSSL_algorithm_missing:
      throw .unavailable(
        engine: engine, found: "\(String(cString: COpenSSL_version())) does not provide AES-GCM, AES-ECB or HMAC",
        remedy: "activate its default provider (openssl list -providers; the configuration is in openssl version -d)")
    default:
      throw .memoryNotLocked(engine: engine, locked: 0)
    }
  }

  func callAsFunction(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    if !COpenSSL_hmac_sha256(key.baseAddress, key.count, message.baseAddress, message.count, output) {
      fillAfterFailure(output, 32)
    }
  }
}
