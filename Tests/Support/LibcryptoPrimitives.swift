internal import Glibc
import Keys

/// The key primitives out of OpenSSL's library, loaded by name: an implementation that is not ours to test ours against.
///
/// A schedule is the raw key, so that tests can compare master keys.
package struct LibcryptoPrimitives: KeyPrimitives {
  private typealias New = @convention(c) () -> UnsafeMutableRawPointer?
  private typealias Free = @convention(c) (UnsafeMutableRawPointer?) -> Void
  private typealias Kind = @convention(c) () -> UnsafeRawPointer?
  private typealias EncryptInit =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?
    ) -> Int32
  private typealias SetPadding = @convention(c) (UnsafeMutableRawPointer?, Int32) -> Int32
  private typealias EncryptUpdate =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>?, UnsafeRawPointer?, Int32
    ) -> Int32
  private typealias HMAC =
    @convention(c) (
      UnsafeRawPointer?, UnsafeRawPointer?, Int32, UnsafeRawPointer?, Int, UnsafeMutableRawPointer?,
      UnsafeMutablePointer<UInt32>?
    ) -> UnsafeRawPointer?

  private let newContext: New
  private let freeContext: Free
  private let aes256: Kind
  private let encryptInit: EncryptInit
  private let setPadding: SetPadding
  private let encryptUpdate: EncryptUpdate
  private let hmac: HMAC
  private let sha256: Kind

  /// Nil when the library is not there.
  package init?() {
    guard let library = dlopen("libcrypto.so.3", RTLD_NOW),
      let newContext = dlsym(library, "EVP_CIPHER_CTX_new"), let freeContext = dlsym(library, "EVP_CIPHER_CTX_free"),
      let aes256 = dlsym(library, "EVP_aes_256_ecb"), let encryptInit = dlsym(library, "EVP_EncryptInit_ex"),
      let setPadding = dlsym(library, "EVP_CIPHER_CTX_set_padding"),
      let encryptUpdate = dlsym(library, "EVP_EncryptUpdate"), let hmac = dlsym(library, "HMAC"),
      let sha256 = dlsym(library, "EVP_sha256")
    else { return nil }
    self.newContext = unsafeBitCast(newContext, to: New.self)
    self.freeContext = unsafeBitCast(freeContext, to: Free.self)
    self.aes256 = unsafeBitCast(aes256, to: Kind.self)
    self.encryptInit = unsafeBitCast(encryptInit, to: EncryptInit.self)
    self.setPadding = unsafeBitCast(setPadding, to: SetPadding.self)
    self.encryptUpdate = unsafeBitCast(encryptUpdate, to: EncryptUpdate.self)
    self.hmac = unsafeBitCast(hmac, to: HMAC.self)
    self.sha256 = unsafeBitCast(sha256, to: Kind.self)
  }

  package func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    _ = hmac(
      sha256(), key.baseAddress, Int32(key.count), message.baseAddress, message.count, output, nil)
  }

  package func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer) {
    schedule.copyMemory(from: key, byteCount: 32)
  }

  package func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    let context = newContext()
    _ = encryptInit(context, aes256(), nil, schedule, nil)
    _ = setPadding(context, 0)
    var written: Int32 = 0
    _ = encryptUpdate(context, blocks, &written, blocks, Int32(16 * count))
    freeContext(context)
  }
}
