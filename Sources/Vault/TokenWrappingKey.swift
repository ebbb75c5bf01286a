internal import Keys

struct TokenWrappingKey: WrappingKey {
  let description: String
  init(module: String, token: String, label: String, pinFile: String) throws(VaultError) {
    throw VaultError(.missing, "token \(token)", found: "no PKCS#11 yet", expected: "it", fix: "wait")
  }
  static func create(module: String, token: String, label: String, pinFile: String) throws(VaultError) {}
  func wrap(_ key: SecretKey, context: String) throws(VaultError) -> [UInt8] { [] }
  func unwrap(_ wrapped: [UInt8], context: String) throws(VaultError) -> SecretKey {
    throw VaultError(.missing, description, found: "no PKCS#11 yet", expected: "it", fix: "wait")
  }
}
