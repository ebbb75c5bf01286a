import Foundation
import Glibc
import Keys
import Rotation
import Support
import Testing
import Vault

extension URL {
  var text: String { path(percentEncoded: false) }
}

@Suite struct WrappingKeyTests {
  @Test("a file that was made wraps and unwraps, in another process too")
  func file() throws {
    try Program.withTemporaryDirectory { directory in
      let path = directory.appending(path: "kek").text
      let source = WrappingKeySource.file(path)
      try source.create()
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o7777 == 0o600)
      let secret = try SecretKey.random()
      let wrapped = try source.open().wrap(secret, context: "root/region1/7")
      #expect(wrapped.count == 56)
      #expect(try source.open().unwrap(wrapped, context: "root/region1/7") == secret)
      #expect(source.description == "file \(path)")
      // Python's cryptography unwraps it: 32 octets of the key, 16 of SHA-256 of the context.
      let script = """
        import sys, hashlib
        from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
        clear = aes_key_unwrap(bytes.fromhex(open(sys.argv[1]).read().strip()), bytes.fromhex(sys.argv[2]))
        assert clear[32:] == hashlib.sha256(b"root/region1/7").digest()[:16]
        print(hashlib.sha256(clear[:32]).hexdigest())
        """
      let result = try Program.run(Program.python, ["-c", script, path, wrapped.hex])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.trimmingCharacters(in: .newlines) == Fingerprint(of: secret).description)
    }
  }

  @Test("a wrapped key opens only under its key, for its context, and whole")
  func refusals() throws {
    let first = HeldWrappingKey(try SecretKey.random(), description: "file a")
    let second = HeldWrappingKey(try SecretKey.random(), description: "file b")
    let wrapped = try first.wrap(try SecretKey.random(), context: "root/a/1")
    #expect { try second.unwrap(wrapped, context: "root/a/1") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    #expect { try first.unwrap(wrapped, context: "root/a/2") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    #expect { try first.unwrap([], context: "root/a/1") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    #expect { try first.unwrap(wrapped + [0], context: "root/a/1") } throws: { ($0 as? VaultError)?.kind == .wrongKey }
    for index in wrapped.indices {
      var damaged = wrapped
      damaged[index] ^= 0x80
      #expect(throws: VaultError.self) { try first.unwrap(damaged, context: "root/a/1") }
    }
  }

  @Test("files that are no wrapping key are refused with what was found and what to do")
  func files() throws {
    try Program.withTemporaryDirectory { directory in
      func message(_ text: String, mode: Int = 0o600) throws -> String {
        let path = directory.appending(path: "kek").text
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        do {
          _ = try WrappingKeySource.file(path).open()
          return "opened"
        } catch {
          return "\(error)"
        }
      }
      let digits = String(repeating: "0123456789abcdeF", count: 4)
      #expect(try message(digits) == "opened")
      #expect(try message(digits + "\n") == "opened")
      #expect(try message(digits + "\r\n") == "opened")
      #expect(try message(digits, mode: 0o640).contains("found mode 640"))
      #expect(try message("").contains("found 0 characters, expected 64 hex digits"))
      #expect(try message(String(digits.dropLast())).contains("found 63 characters"))
      #expect(try message(digits + digits).contains("more than 64 hex digits"))
      #expect(try message(digits + "\n\n\n").contains("more than 64 hex digits"))
      #expect(try message(String(digits.dropLast()) + "g").contains("no hex digit"))
      #expect { try WrappingKeySource.file(directory.text).open() } throws: { "\($0)".contains("not a regular file") }
      let missing = directory.appending(path: "none").text
      #expect { try WrappingKeySource.file(missing).open() } throws: {
        ($0 as? VaultError)?.kind == .missing && "\($0)".contains("keyweave keys wrapping-key --out \(missing)")
      }
      let existing = directory.appending(path: "kek").text
      let before = try Data(contentsOf: URL(filePath: existing))
      #expect { try WrappingKeySource.file(existing).create() } throws: { "\($0)".contains("exists already") }
      #expect(try Data(contentsOf: URL(filePath: existing)) == before)
    }
  }

  @Test("a credential is read from CREDENTIALS_DIRECTORY, and only from there")
  func credentials() throws {
    #expect(throws: VaultError.self) {
      try WrappingKeySource.credential("../kek").open(environment: ["CREDENTIALS_DIRECTORY": "/tmp"])
    }
    #expect(throws: VaultError.self) { try WrappingKeySource.credential("").open() }
    #expect(throws: VaultError.self) { try WrappingKeySource.credential("kek").create() }
    try Program.withTemporaryDirectory { directory in
      #expect { try WrappingKeySource.credential("kek").open(environment: [:]) } throws: {
        ($0 as? VaultError)?.kind == .missing && "\($0)".contains("LoadCredential=kek:FILE")
      }
      try Data((String(repeating: "5a", count: 32) + "\n").utf8).write(to: directory.appending(path: "kek"))
      let key = try WrappingKeySource.credential("kek").open(environment: ["CREDENTIALS_DIRECTORY": directory.text])
      let same = HeldWrappingKey(
        try SecretKey.parsing(hex: String(repeating: "5a", count: 32)), description: "the same")
      let secret = try SecretKey.random()
      #expect(try same.unwrap(key.wrap(secret, context: "x"), context: "x") == secret)
    }
  }

  @Test("after wrapping, unwrapping and fingerprints a key stands in its own memory only")
  func memory() throws {
    let key = HeldWrappingKey(try SecretKey.random(), description: "file a")
    let wrapped = try key.wrap(try SecretKey.random(), context: "x")
    let recipient = try KeyRecipient()
    for _ in 0..<50 {
      let secret = try key.unwrap(wrapped, context: "x")
      _ = Fingerprint(of: secret)
      _ = try key.wrap(secret, context: "y")
      let sender = try KeySender()
      let sent = try sender.agree(with: recipient.publicKey).wrap(secret)
      #expect(try recipient.open(sent, from: sender.publicKey) == secret)
      #expect(throws: VaultError.self) { try key.unwrap(wrapped, context: "z") }
    }
    let secret = try key.unwrap(wrapped, context: "x")
    // Half of it is looked for: key wrap works on pieces of 8 octets, and a hash on its block.
    func occurrences() throws -> [MemoryOccurrence] {
      try secret.withOctets {
        try ProcessMemory.occurrences(of: UnsafeRawBufferPointer(rebasing: $0[8..<24]))
      }
    }
    let stray = try occurrences()
    #expect(stray == [])
    // The same search does find a key that somebody left behind.
    let leaked = secret.withOctets { Array($0) }
    let found = try occurrences()
    #expect(found.count == 1, "\(found)")
    #expect(leaked.count == 32)
  }
}
