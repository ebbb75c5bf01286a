import Foundation
import Glibc
import Keys
import Support
import Testing
import Vault

/// Two tokens of SoftHSM 2, made before its module is loaded: it looks for tokens only then.
private struct Tokens {
  struct Token {
    let name, pinFile: String
  }

  static let module = "/usr/lib/softhsm/libsofthsm2.so"
  static let pin = "24681357"
  static let shared = Result { try Tokens() }

  let directory: URL
  let first, second: Token

  private init() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-softhsm-\(getpid())")
    let store = directory.appending(path: "tokens")
    let configuration = directory.appending(path: "softhsm2.conf")
    try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
    try Data("directories.tokendir = \(store.text)\nlog.level = ERROR\n".utf8).write(to: configuration)
    setenv("SOFTHSM2_CONF", configuration.text, 1)
    atexit { try? FileManager.default.removeItem(at: try Tokens.shared.get().directory) }
    func token(_ name: String) throws -> Token {
      try Program.run(
        "softhsm2-util", ["--init-token", "--free", "--label", name, "--so-pin", "87654321", "--pin", Tokens.pin])
      let pinFile = directory.appending(path: "\(name).pin")
      try Data((Tokens.pin + "\n").utf8).write(to: pinFile)
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: pinFile.text)
      return Token(name: name, pinFile: pinFile.text)
    }
    self.directory = directory
    (first, second) = (try token("first"), try token("second"))
  }
}

@Suite(.serialized) struct TokenTests {
  private let tokens: Tokens
  private var token: String { tokens.first.name }
  private var pinFile: String { tokens.first.pinFile }

  init() throws { tokens = try Tokens.shared.get() }

  private func source(label: String) -> WrappingKeySource {
    .pkcs11(module: Tokens.module, token: token, label: label, pinFile: pinFile)
  }

  private func message(_ source: WrappingKeySource) -> String {
    do {
      _ = try source.open()
      return "opened"
    } catch {
      return "\(error)"
    }
  }

  @Test("the key is made on the token, wraps and unwraps there, and never comes out")
  func wraps() throws {
    let source = source(label: "kek")
    #expect(message(source).contains("no AES key of this label"))
    try source.create()
    #expect { try source.create() } throws: { "\($0)".contains("exists already") }
    let key = try source.open()
    #expect(key.description == "key kek on token \(token)")
    let secret = try SecretKey.random()
    let wrapped = try key.wrap(secret, context: "root/region1/7")
    #expect(wrapped.count == 56)
    #expect(try key.unwrap(wrapped, context: "root/region1/7") == secret)
    #expect(try source.open().unwrap(wrapped, context: "root/region1/7") == secret)
    #expect { try key.unwrap(wrapped, context: "root/region1/8") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    for index in stride(from: 0, to: 56, by: 5) {
      var damaged = wrapped
      damaged[index] ^= 1
      #expect { try key.unwrap(damaged, context: "root/region1/7") } throws: {
        ($0 as? VaultError)?.kind == .wrongKey
      }
    }
    #expect { try key.unwrap([1, 2, 3], context: "x") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    // Only the key-encryption key stays on the token: what was wrapped was there for the call only.
    let shown = try Program.run(
      "pkcs11-tool", ["--module", Tokens.module, "--token-label", token, "--login", "--pin", Tokens.pin, "-O"])
    #expect(shown.output.contains("AES length 32"), "\(shown.output)\(shown.errors)")
    #expect(shown.output.contains("sensitive, always sensitive, never extractable"))
    #expect(!shown.output.contains("Generic"))
  }

  @Test("another token's key does not open")
  func otherToken() throws {
    let sources = [tokens.first, tokens.second].map {
      WrappingKeySource.pkcs11(module: Tokens.module, token: $0.name, label: "both", pinFile: $0.pinFile)
    }
    for source in sources { try source.create() }
    let wrapped = try sources[0].open().wrap(try SecretKey.random(), context: "x")
    #expect { try sources[1].open().unwrap(wrapped, context: "x") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
  }

  @Test("many threads share a key")
  func threads() async throws {
    let source = source(label: "threads")
    try source.create()
    let key = try source.open()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<8 {
        group.addTask {
          for _ in 0..<20 {
            let secret = try SecretKey.random()
            #expect(try key.unwrap(key.wrap(secret, context: "\(number)"), context: "\(number)") == secret)
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("a sealed file under a token's key asks the token once for all its keys")
  func sealedFile() throws {
    let source = source(label: "sealed")
    try source.create()
    try Program.withTemporaryDirectory { directory in
      let path = directory.appending(path: "agent.state").text
      let file = SealedFile(path: path, key: try source.open())
      let secret = try SecretKey.random()
      let wrapped = try file.wrap(secret, context: "a")
      try file.save([1, 2, 3])
      let again = SealedFile(path: path, key: try source.open())
      #expect(try again.load() == [1, 2, 3])
      #expect(try again.unwrap(wrapped, context: "a") == secret)
    }
  }

  @Test("what is missing or wrong is named, with what to do")
  func mistakes() throws {
    func source(
      module: String = Tokens.module, token: String, label: String = "kek", pinFile: String
    ) -> WrappingKeySource {
      .pkcs11(module: module, token: token, label: label, pinFile: pinFile)
    }
    #expect(message(source(module: "/none.so", token: token, pinFile: pinFile)).contains("cannot be loaded"))
    #expect(
      message(source(module: "/usr/lib/x86_64-linux-gnu/libz.so.1", token: token, pinFile: pinFile))
        .contains("cannot be loaded"))
    let absent = message(source(token: "absent", pinFile: pinFile))
    #expect(absent.contains("expected one token with the label \"absent\""))
    #expect(absent.contains("\"\(token)\""))
    #expect(message(source(token: token, pinFile: pinFile + "x")).contains("write the PIN to it"))
    let wrong = tokens.directory.appending(path: "wrong.pin")
    try Data("00000000".utf8).write(to: wrong)
    #expect(message(source(token: token, pinFile: wrong.text)).contains("chmod 600"))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: wrong.text)
    let refused = message(source(token: token, pinFile: wrong.text))
    #expect(refused.contains("a PIN that the token refuses"))
    #expect(!refused.contains("00000000"))
    #expect(message(source(token: token, label: "other", pinFile: pinFile)).contains("no AES key of this label"))
    // A key that the token would hand out is none to trust others to.
    let made = try Program.run(
      "pkcs11-tool",
      [
        "--module", Tokens.module, "--token-label", token, "--login", "--pin", Tokens.pin, "--keygen", "--key-type",
        "AES:32", "--label", "soft", "--extractable",
      ])
    #expect(made.status == 0, "\(made.errors)")
    #expect(message(source(token: token, label: "soft", pinFile: pinFile)).contains("a key that the token hands out"))
  }
}
