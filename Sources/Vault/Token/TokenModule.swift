internal import CPKCS11
internal import Foundation
internal import Synchronization

/// A PKCS#11 module, loaded once per process and path and never unloaded.
final class TokenModule: @unchecked Sendable {
  let path: String
  /// Set once, and the functions may be called from any thread (CKF_OS_LOCKING_OK).
  let functions: ck_function_list

  private static let loaded = Mutex<[String: TokenModule]>([:])

  static func load(_ path: String) throws(VaultError) -> TokenModule {
    try loaded.withLock { modules throws(VaultError) in
      if let module = modules[path] { return module }
      let module = try TokenModule(path)
      modules[path] = module
      return module
    }
  }

  private init(_ path: String) throws(VaultError) {
    self.path = path
    let place = "PKCS#11 module \(path)"
    typealias GetFunctionList =
      @convention(c) (UnsafeMutablePointer<UnsafeMutablePointer<ck_function_list>?>) -> ck_rv_t
    guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL), let symbol = dlsym(library, "C_GetFunctionList") else {
      let reason = dlerror().map { String(cString: $0) } ?? "unknown"
      throw VaultError(
        .missing, place, found: "a library that cannot be loaded (\(reason))",
        expected: "the token's module, such as libsofthsm2.so", fix: "correct the path, or install the token's software"
      )
    }
    var list: UnsafeMutablePointer<ck_function_list>?
    let result = unsafeBitCast(symbol, to: GetFunctionList.self)(&list)
    guard result == CKR_OK, let list else { throw TokenFailure(result).error(place) }
    functions = list.pointee
    var settings = ck_c_initialize_args()
    settings.flags = CKF_OS_LOCKING_OK
    let initialized = functions.C_Initialize(&settings)
    guard initialized == CKR_OK || initialized == CKR_CRYPTOKI_ALREADY_INITIALIZED else {
      throw TokenFailure(initialized).error(place)
    }
  }

  /// The slot whose token has this label.
  func slot(of token: String) throws(VaultError) -> ck_slot_id_t {
    let place = "token \(token)"
    var count: UInt = 0
    try check(functions.C_GetSlotList(1, nil, &count), place)
    // One may be plugged in between the two calls.
    var slots = [ck_slot_id_t](repeating: 0, count: Int(count) + 8)
    count = UInt(slots.count)
    try check(functions.C_GetSlotList(1, &slots, &count), place)
    var labels: [String] = []
    var matches: [ck_slot_id_t] = []
    for slot in slots.prefix(Int(count)) {
      var info = ck_token_info()
      guard functions.C_GetTokenInfo(slot, &info) == CKR_OK, info.flags & CKF_TOKEN_INITIALIZED != 0 else { continue }
      let label = withUnsafeBytes(of: info.label) { octets in
        var octets = octets[...]
        while octets.last == UInt8(ascii: " ") || octets.last == 0 { octets.removeLast() }
        return String(decoding: octets, as: UTF8.self)
      }
      labels.append("\"\(label)\"")
      if label == token { matches.append(slot) }
    }
    guard let slot = matches.first, matches.count == 1 else {
      throw VaultError(
        .missing, place,
        found: labels.isEmpty
          ? "no token that is initialized"
          : matches.count > 1 ? "several tokens of this label" : labels.joined(separator: ", "),
        expected: "one token with the label \"\(token)\"",
        fix:
          "plug it in, correct the label, or make it, for SoftHSM: softhsm2-util --init-token --free --label \(token)")
    }
    return slot
  }

  func check(_ result: ck_rv_t, _ place: String) throws(VaultError) {
    guard result == CKR_OK else { throw TokenFailure(result).error(place) }
  }
}

/// What a PKCS#11 function says when it fails; CKR_OK: what it gave has the wrong length.
struct TokenFailure: Error {
  let code: ck_rv_t

  init(_ code: ck_rv_t) { self.code = code }

  /// The session has ended under us, as when a token was pulled and plugged in again: worth another try.
  var isSessionGone: Bool {
    [
      CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_USER_NOT_LOGGED_IN,
      CKR_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID,
      CKR_OBJECT_HANDLE_INVALID,
    ].contains(code)
  }

  private var name: String {
    switch code {
    case CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE: "a PIN that the token refuses"
    case CKR_PIN_LOCKED: "a PIN that is locked after too many attempts"
    case CKR_PIN_EXPIRED: "a PIN that has expired"
    case CKR_USER_PIN_NOT_INITIALIZED: "a token without a user PIN"
    case CKR_TOKEN_NOT_PRESENT, CKR_DEVICE_REMOVED: "no token in the slot"
    case CKR_TOKEN_WRITE_PROTECTED, CKR_SESSION_READ_ONLY: "a token that is write-protected"
    case CKR_MECHANISM_INVALID: "a token without AES key wrap (CKM_AES_KEY_WRAP)"
    case CKR_DEVICE_MEMORY, CKR_HOST_MEMORY: "no memory for one more key"
    default: "error 0x\(String(code, radix: 16)) of PKCS#11"
    }
  }

  private var fix: String {
    switch code {
    case CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED:
      "correct the PIN file; a token locks itself after a few wrong PINs"
    case CKR_PIN_LOCKED, CKR_USER_PIN_NOT_INITIALIZED: "set the user PIN as the security officer"
    case CKR_MECHANISM_INVALID: "use another token, or a file"
    default: "look at the token and at its software's log"
    }
  }

  func error(_ place: String) -> VaultError {
    VaultError(
      isSessionGone ? .missing : .unusable, place, found: name, expected: "a token that can be used", fix: fix)
  }
}
