internal import CPKCS11
internal import Foundation

/// A session on a token, logged in, with the wrapping key found. One thread at a time.
struct TokenSession: ~Copyable {
  private let module: TokenModule
  private let session: ck_session_handle_t
  private let place: String

  /// - Parameter pinFile: the user PIN, in a file that only its owner can read; its line end does not count.
  init(_ module: TokenModule, token: String, pinFile: String, isWritable: Bool = false) throws(VaultError) {
    self.module = module
    place = "token \(token)"
    let slot = try module.slot(of: token)
    let pin = try PrivateFile.read(
      pinFile, limit: 256, place: "PIN file \(pinFile)", what: "the user PIN of token \(token)", isPrivate: true,
      fix: "write the PIN to it, mode 600")
    var length = pin.used
    while length > 0, pin.octets[length - 1] == 10 || pin.octets[length - 1] == 13 { length -= 1 }
    var session: ck_session_handle_t = 0
    let flags = CKF_SERIAL_SESSION | (isWritable ? CKF_RW_SESSION : 0)
    try module.check(module.functions.C_OpenSession(slot, flags, nil, nil, &session), place)
    let result = module.functions.C_Login(
      session, CKU_USER, pin.octets.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt(length))
    guard result == CKR_OK || result == CKR_USER_ALREADY_LOGGED_IN else {
      _ = module.functions.C_CloseSession(session)
      throw TokenFailure(result).error("\(place), PIN file \(pinFile)")
    }
    self.session = session
  }

  deinit { _ = module.functions.C_CloseSession(session) }

  /// AES keys of this label.
  borrowing func keys(label: String) throws(VaultError) -> [ck_object_handle_t] {
    var template = Template()
    template.add(CKA_CLASS, CKO_SECRET_KEY)
    template.add(CKA_KEY_TYPE, CKK_AES)
    template.add(CKA_LABEL, Array(label.utf8))
    try module.check(
      template.withAttributes { module.functions.C_FindObjectsInit(session, $0, $1) }, place)
    defer { _ = module.functions.C_FindObjectsFinal(session) }
    var found = [ck_object_handle_t](repeating: 0, count: 8)
    var count: UInt = 0
    try module.check(module.functions.C_FindObjects(session, &found, UInt(found.count), &count), place)
    return Array(found.prefix(Int(count)))
  }

  /// An AES-256 key that wraps and unwraps, and can never be read.
  borrowing func generateKey(label: String) throws(VaultError) {
    var template = Template()
    template.add(CKA_CLASS, CKO_SECRET_KEY)
    template.add(CKA_KEY_TYPE, CKK_AES)
    template.add(CKA_LABEL, Array(label.utf8))
    template.add(CKA_VALUE_LEN, 32)
    for attribute in [CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_WRAP, CKA_UNWRAP] { template.add(attribute, true) }
    for attribute in [CKA_EXTRACTABLE, CKA_ENCRYPT, CKA_DECRYPT] { template.add(attribute, false) }
    var mechanism = ck_mechanism(mechanism: CKM_AES_KEY_GEN, parameter: nil, parameter_len: 0)
    var key: ck_object_handle_t = 0
    try module.check(
      template.withAttributes { module.functions.C_GenerateKey(session, &mechanism, $0, $1, &key) }, place)
  }

  /// Whether the token would ever hand a key out.
  borrowing func isReadable(_ key: ck_object_handle_t) -> Bool {
    [(CKA_SENSITIVE, UInt8(1)), (CKA_EXTRACTABLE, 0)].contains { attribute, expected in
      var value = 1 - expected
      return withUnsafeMutableBytes(of: &value) { octets in
        var wanted = ck_attribute(type: attribute, value: octets.baseAddress, value_len: 1)
        return module.functions.C_GetAttributeValue(session, key, &wanted, 1) != CKR_OK || octets[0] != expected
      }
    }
  }

  /// Brings octets to the token, as an object that lives as long as this call, and has it wrapped there.
  borrowing func wrap(
    _ clear: UnsafeMutableRawBufferPointer, under key: ck_object_handle_t
  ) -> Result<[UInt8], TokenFailure> {
    var template = Template(of: CKK_GENERIC_SECRET, isSensitive: true)
    template.add(CKA_VALUE, clear)
    var object: ck_object_handle_t = 0
    let created = template.withAttributes { module.functions.C_CreateObject(session, $0, $1, &object) }
    guard created == CKR_OK else { return .failure(TokenFailure(created)) }
    defer { _ = module.functions.C_DestroyObject(session, object) }
    var mechanism = Self.mechanism
    var wrapped = [UInt8](repeating: 0, count: clear.count + KeyWrap.overhead)
    var count = UInt(wrapped.count)
    let result = module.functions.C_WrapKey(session, &mechanism, key, object, &wrapped, &count)
    guard result == CKR_OK, count == wrapped.count else { return .failure(TokenFailure(result)) }
    return .success(wrapped)
  }

  /// The reverse: writes the clear octets.
  borrowing func unwrap(
    _ wrapped: [UInt8], under key: ck_object_handle_t, into clear: UnsafeMutableRawBufferPointer
  ) -> TokenFailure? {
    var template = Template(of: CKK_GENERIC_SECRET, isSensitive: false)
    var mechanism = Self.mechanism
    var wrapped = wrapped
    var object: ck_object_handle_t = 0
    let count = UInt(wrapped.count)
    let result = template.withAttributes {
      module.functions.C_UnwrapKey(session, &mechanism, key, &wrapped, count, $0, $1, &object)
    }
    guard result == CKR_OK else { return TokenFailure(result) }
    defer { _ = module.functions.C_DestroyObject(session, object) }
    var value = ck_attribute(type: CKA_VALUE, value: clear.baseAddress, value_len: UInt(clear.count))
    let read = module.functions.C_GetAttributeValue(session, object, &value, 1)
    guard read == CKR_OK, value.value_len == clear.count else { return TokenFailure(read) }
    return nil
  }

  private static var mechanism: ck_mechanism {
    ck_mechanism(mechanism: CKM_AES_KEY_WRAP, parameter: nil, parameter_len: 0)
  }
}

/// Attributes and the memory that they point to.
private struct Template {
  private var values: [(type: ck_attribute_type_t, octets: [UInt8])] = []
  /// Key memory, that is never copied into an array.
  private var secret: (type: ck_attribute_type_t, octets: UnsafeMutableRawBufferPointer)?

  init() {}

  /// A key that is on its way: it lives in the session only.
  init(of type: UInt, isSensitive: Bool) {
    add(CKA_CLASS, CKO_SECRET_KEY)
    add(CKA_KEY_TYPE, type)
    add(CKA_TOKEN, false)
    add(CKA_PRIVATE, true)
    add(CKA_SENSITIVE, isSensitive)
    add(CKA_EXTRACTABLE, true)
  }

  mutating func add(_ type: ck_attribute_type_t, _ octets: [UInt8]) { values.append((type, octets)) }

  mutating func add(_ type: ck_attribute_type_t, _ number: UInt) {
    values.append((type, withUnsafeBytes(of: number) { Array($0) }))
  }

  mutating func add(_ type: ck_attribute_type_t, _ flag: Bool) { values.append((type, [flag ? 1 : 0])) }

  mutating func add(_ type: ck_attribute_type_t, _ octets: UnsafeMutableRawBufferPointer) { secret = (type, octets) }

  mutating func withAttributes<Result>(_ body: (UnsafeMutablePointer<ck_attribute>?, UInt) -> Result) -> Result {
    var storage = values.flatMap(\.octets)
    return storage.withUnsafeMutableBytes { storage in
      var attributes: [ck_attribute] = []
      var offset = 0
      for value in values {
        attributes.append(
          ck_attribute(
            type: value.type, value: storage.baseAddress.map { $0 + offset }, value_len: UInt(value.octets.count)))
        offset += value.octets.count
      }
      if let secret {
        attributes.append(
          ck_attribute(type: secret.type, value: secret.octets.baseAddress, value_len: UInt(secret.octets.count)))
      }
      return attributes.withUnsafeMutableBufferPointer { body($0.baseAddress, UInt($0.count)) }
    }
  }
}
