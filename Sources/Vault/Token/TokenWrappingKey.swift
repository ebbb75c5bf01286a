internal import CPKCS11
internal import Keys
internal import Synchronization

/// A wrapping key that never leaves its PKCS#11 token: keys are brought to it, wrapped or unwrapped there, and destroyed.
final class TokenWrappingKey: WrappingKey {
  let description: String
  private let module: TokenModule
  private let token, label, pinFile: String
  private let opened = Mutex(Opened())

  private struct Opened: ~Copyable {
    var session: TokenSession?
    var key: ck_object_handle_t = 0
  }

  init(module: String, token: String, label: String, pinFile: String) throws(VaultError) {
    self.token = token
    self.label = label
    self.pinFile = pinFile
    description = "key \(label) on token \(token)"
    self.module = try TokenModule.load(module)
    try opened.withLock { opened throws(VaultError) in try open(&opened) }
  }

  static func create(module: String, token: String, label: String, pinFile: String) throws(VaultError) {
    let session = try TokenSession(try TokenModule.load(module), token: token, pinFile: pinFile, isWritable: true)
    guard try session.keys(label: label).isEmpty else {
      throw VaultError(
        .unusable, "key \(label) on token \(token)", found: "a key that exists already", expected: "a new label",
        fix: "use it, or choose another label: keys are never overwritten")
    }
    try session.generateKey(label: label)
  }

  private func open(_ opened: inout Opened) throws(VaultError) {
    let session = try TokenSession(module, token: token, pinFile: pinFile)
    let keys = try session.keys(label: label)
    guard let key = keys.first, keys.count == 1 else {
      throw VaultError(
        .missing, description,
        found: keys.isEmpty ? "no AES key of this label" : "\(keys.count) AES keys of this label",
        expected: "one", fix: "correct the label, or make the key: keyweave keys wrapping-key")
    }
    guard !session.isReadable(key) else {
      throw VaultError(
        .unusable, description, found: "a key that the token hands out",
        expected: "CKA_SENSITIVE and not CKA_EXTRACTABLE",
        fix: "make a key on the token itself")
    }
    opened.key = key
    opened.session = consume session
  }

  func wrap(_ key: SecretKey, context: String) throws(VaultError) -> [UInt8] {
    let clear = try BoundKey.buffer(key, context: context)
    let octets = clear.octets
    var wrapped: [UInt8] = []
    let failure = try attempt { session, kek in
      switch session.wrap(octets, under: kek) {
      case .success(let result):
        wrapped = result
        return nil
      case .failure(let failure): return failure
      }
    }
    if let failure { throw failure.error(description) }
    return wrapped
  }

  func unwrap(_ wrapped: [UInt8], context: String) throws(VaultError) -> SecretKey {
    guard wrapped.count == BoundKey.wrappedSize else { throw BoundKey.refused(description, context) }
    let clear = try KeyBuffer(count: BoundKey.size)
    let octets = clear.octets
    if let failure = try attempt({ session, kek in session.unwrap(wrapped, under: kek, into: octets) }) {
      // Tokens differ in how they say that the octets were not wrapped under this key.
      let refusals = [
        CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
        CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_OK,
      ]
      throw refusals.contains(failure.code)
        ? BoundKey.refused(description, context) : failure.error(description)
    }
    return try BoundKey.key(clear, context: context, description)
  }

  /// Once more in a new session when the token was away meanwhile.
  private func attempt(
    _ body: (borrowing TokenSession, ck_object_handle_t) -> TokenFailure?
  ) throws(VaultError) -> TokenFailure? {
    try opened.withLock { opened throws(VaultError) in
      if opened.session == nil { try open(&opened) }
      var failure = Self.run(opened, body)
      guard let first = failure, first.isSessionGone else { return failure }
      opened.session = nil
      try open(&opened)
      failure = Self.run(opened, body)
      return failure
    }
  }

  private static func run(
    _ opened: borrowing Opened, _ body: (borrowing TokenSession, ck_object_handle_t) -> TokenFailure?
  ) -> TokenFailure? {
    switch opened.session {
    case .some(let session): body(session, opened.key)
    case .none: TokenFailure(CKR_SESSION_CLOSED)
    }
  }
}
