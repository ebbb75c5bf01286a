import Foundation
import Glibc
import Keys
import Support
import Testing
import Vault

@Suite struct SealedFileTests {
  private let key: HeldWrappingKey

  init() throws { key = HeldWrappingKey(try SecretKey.random(), description: "file kek") }

  @Test("what was saved is loaded, with its keys, by another process as by this one")
  func roundTrip() throws {
    try Program.withTemporaryDirectory { directory in
      let path = directory.appending(path: "agent.state").text
      let file = SealedFile(path: path, key: key)
      #expect(try file.load() == nil)
      let secret = try SecretKey.random()
      let wrapped = try file.wrap(secret, context: "region/region1/4")
      #expect(!FileManager.default.fileExists(atPath: path))
      for document in [Array("{}".utf8), [], Array(repeating: 7, count: 100_000)] {
        try file.save(document)
        let again = SealedFile(path: path, key: key)
        #expect(try again.load() == document)
        #expect(try again.unwrap(wrapped, context: "region/region1/4") == secret)
        #expect { try again.unwrap(wrapped, context: "region/region1/5") } throws: {
          ($0 as? VaultError)?.kind == .wrongKey
        }
      }
      // A file that is opened and saved without being loaded keeps its key.
      let late = SealedFile(path: path, key: key)
      try late.save(Array("late".utf8))
      #expect(try SealedFile(path: path, key: key).unwrap(wrapped, context: "region/region1/4") == secret)
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o7777 == 0o600)
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.text) == ["agent.state"])
    }
  }

  @Test("each octet changed, and each shorter length, is refused")
  func damage() throws {
    try Program.withTemporaryDirectory { directory in
      let url = directory.appending(path: "agent.state")
      try SealedFile(path: url.text, key: key).save(Array(#"{"version":1,"keys":[]}"#.utf8))
      let whole = try Data(contentsOf: url)
      for index in whole.indices {
        for bit in [UInt8(1), 0x80] {
          var damaged = whole
          damaged[index] ^= bit
          try damaged.write(to: url)
          #expect(throws: VaultError.self) { try SealedFile(path: url.text, key: key).load() }
          // Saving over what cannot be read would lose the keys in it.
          #expect(throws: VaultError.self) { try SealedFile(path: url.text, key: key).save([]) }
          #expect(try Data(contentsOf: url) == damaged)
        }
      }
      for count in 0..<whole.count {
        try whole.prefix(count).write(to: url)
        #expect(throws: VaultError.self) { try SealedFile(path: url.text, key: key).load() }
      }
      try (whole + Data([0])).write(to: url)
      #expect { try SealedFile(path: url.text, key: key).load() } throws: { ($0 as? VaultError)?.kind == .damaged }
      try whole.write(to: url)
      #expect(try SealedFile(path: url.text, key: key).load() != nil)
    }
  }

  @Test("the file of another key is refused, and the message names the key that was tried")
  func otherKey() throws {
    try Program.withTemporaryDirectory { directory in
      let path = directory.appending(path: "agent.state").text
      let other = HeldWrappingKey(try SecretKey.random(), description: "file other")
      try SealedFile(path: path, key: other).save([1])
      #expect { try SealedFile(path: path, key: key).load() } throws: {
        ($0 as? VaultError)?.kind == .wrongKey && "\($0)".contains("does not open under file kek")
      }
      #expect { try SealedFile(path: directory.text, key: key).load() } throws: { $0 is VaultError }
    }
  }

  @Test("a save that cannot be finished leaves the old file as it was")
  func unfinished() throws {
    try Program.withTemporaryDirectory { directory in
      let url = directory.appending(path: "agent.state")
      let file = SealedFile(path: url.text, key: key)
      try file.save(Array("old".utf8))
      // A directory under the new file's name: it can be neither written nor removed.
      let obstacle = directory.appending(path: "agent.state.new")
      try FileManager.default.createDirectory(at: obstacle, withIntermediateDirectories: false)
      #expect(throws: VaultError.self) { try file.save(Array("new".utf8)) }
      #expect(try SealedFile(path: url.text, key: key).load() == Array("old".utf8))
      try FileManager.default.removeItem(at: obstacle)
      // What a machine that stopped while writing left behind does not get in the way.
      try Data("half".utf8).write(to: obstacle)
      try file.save(Array("new".utf8))
      #expect(try SealedFile(path: url.text, key: key).load() == Array("new".utf8))
    }
  }

  @Test("stopped after any step of a save, the machine finds one of the two documents whole, and saves again")
  func stopped() throws {
    try Program.withTemporaryDirectory { directory in
      let (old, new) = (directory.appending(path: "agent.state"), directory.appending(path: "agent.state.new"))
      let file = SealedFile(path: old.text, key: key)
      try file.save(Array("new".utf8))
      let next = try Data(contentsOf: old)
      try file.save(Array("old".utf8))
      let before = try Data(contentsOf: old)
      // Nothing made yet, then the new file with more and more of its octets, then renamed.
      for count in [nil] + Array(0...next.count) {
        try before.write(to: old)
        if let count { try next.prefix(count).write(to: new) } else { try? FileManager.default.removeItem(at: new) }
        #expect(try SealedFile(path: old.text, key: key).load() == Array("old".utf8))
        try SealedFile(path: old.text, key: key).save(Array("later".utf8))
        #expect(try SealedFile(path: old.text, key: key).load() == Array("later".utf8))
        #expect(!FileManager.default.fileExists(atPath: new.text))
      }
      try next.write(to: new)
      #expect(rename(new.text, old.text) == 0)
      #expect(try SealedFile(path: old.text, key: key).load() == Array("new".utf8))
    }
  }

  @Test("no key of the document or of the file stands in memory elsewhere")
  func memory() throws {
    try Program.withTemporaryDirectory { directory in
      let path = directory.appending(path: "agent.state").text
      let file = SealedFile(path: path, key: key)
      let wrapped = try file.wrap(try SecretKey.random(), context: "x")
      try file.save(wrapped)
      let again = SealedFile(path: path, key: key)
      _ = try again.load()
      let secret = try again.unwrap(wrapped, context: "x")
      let found = try secret.withOctets {
        try ProcessMemory.occurrences(of: UnsafeRawBufferPointer(rebasing: $0[8..<24]))
      }
      #expect(found == [])
    }
  }
}
