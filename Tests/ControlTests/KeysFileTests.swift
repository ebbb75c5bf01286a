import Control
import Foundation
import Keys
import Testing

/// A keys file of one group, put together from texts that a test replaces.
struct KeysText {
  var isDefault = true
  var period = "600s"
  var level = "trust-region"
  var id = "00112233445566778899aabbccddeeff"
  var indexes = ["6", "7", "8"]
  var keys = ["11", "22", "33"].map { String(repeating: $0, count: 32) }
  var maxIOffset = 0
  var more = ""

  var text: String {
    let generations = zip(["previous", "current", "next"], zip(indexes, keys)).map { name, generation in
      "        \(name): { index: \(generation.0), key: \(generation.1) }"
    }
    return """
      trust_groups:
        - name: train
          default: \(isDefault)
          epoch_period: \(period)
          max_coffset: 16
          max_ioffset: \(maxIOffset)
          root_keys:
            - level: \(level)
              id: \(id)
      \(generations.joined(separator: "\n"))
      \(more)
      """
  }
}

@Suite struct KeysFileTests {
  let workspace: Workspace
  let now = UInt64(Date().timeIntervalSince1970)

  init() throws { workspace = try Workspace() }

  func load(_ text: String, mode: Int = 0o600) throws -> KeysFile {
    try KeysFile.load(workspace.write("keys.yaml", text, mode: mode), at: now)
  }

  func mistakes(_ text: String, mode: Int = 0o600) throws -> [Mistake] {
    do {
      _ = try load(text, mode: mode)
      return []
    } catch let error as Mistakes {
      return error.all
    }
  }

  @Test func aFileIsReadWithItsKeys() throws {
    var text = KeysText()
    // Digits only and an exponent: what YAML would take for numbers.
    text.keys[1] = String(repeating: "0123456789", count: 6) + "1e10"
    let group = try #require(try load(text.text).groups.first)
    #expect(group.name == "train")
    #expect(group.isDefault)
    #expect(group.epochPeriod == 600)
    #expect(group.maxCOffset == 16)
    let root = group.rootKeys[0]
    #expect(root.level == .trustRegion)
    #expect(root.id.prefix(3) == [0x00, 0x11, 0x22])
    #expect(root.generations.map(\.index) == [6, 7, 8])
    #expect(root.current.key.withOctets { Array($0.prefix(5)) } == [0x01, 0x23, 0x45, 0x67, 0x89])
    #expect(root.current.key.withOctets { Array($0.suffix(2)) } == [0x1e, 0x10])
    #expect(root.previous?.key.withOctets { $0.allSatisfy { $0 == 0x11 } } == true)
  }

  @Test func defaultsAreTheFormats() throws {
    let key = String(repeating: "ab", count: 32)
    let text = """
      {"trust_groups": [{"name": "t", "root_keys": [
        {"level": "task-group", "id": "\(key)", "current": {"index": 18446744073709551615, "key": "\(key.uppercased())"}}]}]}
      """
    let group = try #require(try load(text).groups.first)
    #expect(!group.isDefault)
    #expect(group.epochPeriod == 600)
    #expect(group.maxCOffset == 16)
    #expect(group.maxIOffset == 0)
    // An ID of 32 octets has as many digits as a key.
    #expect(group.rootKeys[0].id == [UInt8](repeating: 0xab, count: 32))
    #expect(group.rootKeys[0].current.index == .max)
    #expect(group.rootKeys[0].current.key.withOctets { $0.allSatisfy { $0 == 0xab } })
  }

  @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777, 0o644])
  func aFileThatOthersCanUseIsRefused(_ mode: Int) throws {
    let mistakes = try mistakes(KeysText().text, mode: mode)
    #expect(mistakes.count == 1)
    #expect(mistakes.first?.found.contains(String(mode, radix: 8)) == true)
    #expect(mistakes.first?.fix == "run: chmod 600 \(workspace.path("keys.yaml"))")
  }

  @Test(arguments: [0o600, 0o400, 0o700]) func aFileOfItsOwnerIsRead(_ mode: Int) throws {
    #expect(try mistakes(KeysText().text, mode: mode) == [])
  }

  /// Root could read and replace it anyway. Nobody but root gives files away, so that others cannot come to have one to try.
  @Test func rootMayUseAFileOfSomebodyElse() throws {
    let path = try workspace.write("keys.yaml", KeysText().text)
    #expect((chown(path, 12345, 12345) == 0) == (geteuid() == 0))
    #expect(throws: Never.self) { try KeysFile.load(path, at: now) }
  }

  @Test func onlyARegularFileIsRead() throws {
    #expect(throws: Mistakes.self) { try KeysFile.load(workspace.directory, at: now) }
    #expect(throws: Mistakes.self) { try KeysFile.load("/dev/null", at: now) }
    mkfifo(workspace.path("pipe"), 0o600)
    #expect(throws: Mistakes.self) { try KeysFile.load(workspace.path("pipe"), at: now) }
  }

  @Test func refusalsOfSectionTwoAreNamed() throws {
    var text = KeysText()
    text.keys[2] = text.keys[0]
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].root_keys[0].next.key"])
    text = KeysText()
    text.keys[1] = String(repeating: "0", count: 64)
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].root_keys"])
    text = KeysText()
    text.indexes[2] = "9"
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].root_keys[0].next.index"])
    let twice = KeysText().text + "\n" + KeysText().text.split(separator: "\n").dropFirst().joined(separator: "\n")
    #expect(
      Set(try mistakes(twice).map(\.path)) == [
        "trust_groups[1].name", "trust_groups[1].default", "trust_groups[1].root_keys",
      ])
    #expect(try mistakes(twice).allSatisfy { $0.line > 8 })
  }

  @Test(arguments: ["59s", "1801s", "31m", "1h", "600ms", "10 m", "-600s", "0600s", "epoch"])
  func anEpochPeriodHasItsRange(_ period: String) throws {
    var text = KeysText()
    text.period = period
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].epoch_period"])
  }

  @Test func unknownFieldsAreMistakes() throws {
    var text = KeysText()
    text.more = "        nxt: 5"
    let mistakes = try mistakes(text.text)
    #expect(mistakes.map(\.path) == ["trust_groups[0].root_keys[0].nxt"])
    #expect(mistakes.first?.fix == "did you mean `next`?")
    #expect(try self.mistakes("trust_groups: []").map(\.path) == ["trust_groups"])
    #expect(try self.mistakes("{}").map(\.path) == ["trust_groups"])
  }

  @Test func anUnprotectedPrefixIsWarnedAbout() throws {
    var text = KeysText()
    text.maxIOffset = 5
    let warnings = try load(text.text).warnings
    #expect(warnings.map(\.path) == ["trust_groups[0].max_ioffset"])
    #expect(warnings.first?.text.contains("rewrite") == true)
  }

  /// Keys put wherever a slip can put them: no mistake repeats a piece of one.
  @Test func noMistakeShowsAKey() throws {
    let secret = "5ec2e7f00dfeedfacecafebeef0123456789abcdef0fedcba98765432100ab"
    for wrong in [
      secret, secret + "4242", secret + "4g", secret + " 42", "\"\(secret)\\x34\"", "[\(secret)]", "&a \(secret)",
    ] {
      for change in [\KeysText.keys[1], \.indexes[1], \.id, \.level, \.period, \.more]
        as [WritableKeyPath<KeysText, String>]
      {
        var text = KeysText()
        text[keyPath: change] = wrong
        try expectSecrecy(text.text, secret)
        text[keyPath: change] = "        ? \(wrong)\n        : { a: 1 }"
        try expectSecrecy(text.text, secret)
        text[keyPath: change] = "        \(wrong): 1\n        \(wrong): 2"
        try expectSecrecy(text.text, secret)
      }
    }
  }

  private func expectSecrecy(_ text: String, _ secret: String) throws {
    let said = try mistakes(text).map(\.description).joined()
    #expect(!said.isEmpty)
    for start in secret.indices.dropLast(7) {
      let piece = secret[start...].prefix(8)
      #expect(!said.contains(piece), "\(said)")
    }
  }

  @Test func anExpiredGenerationIsNotUsed() throws {
    let lifetime: UInt64 = 600 << 15
    var text = KeysText()
    text.keys[0] += ", expires: 2001-01-01T00:00:00Z"
    let file = try load(text.text)
    #expect(file.warnings.map(\.path) == ["trust_groups[0].root_keys[0].previous"])
    #expect(file.groups[0].rootKeys[0].previous != nil)
    #expect(file.groups(at: now)[0].rootKeys[0].generations.map(\.index) == [7, 8])
    text = KeysText()
    text.keys[1] += ", expires: 2001-01-01T00:00:00Z"
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].root_keys[0].current.expires"])
    // Old captures are looked at with the keys of their time.
    let path = try workspace.write("keys.yaml", text.text)
    #expect(try KeysFile.load(path, at: nil).groups[0].rootKeys[0].generations.count == 3)
    text = KeysText()
    text.keys[1] += ", expires: 2999-01-01T00:00:00Z"
    #expect(try mistakes(text.text).map(\.path) == ["trust_groups[0].root_keys[0].current.expires"])
    // Without a time of its own, a generation lives from the file's last change on.
    let keys = try load(KeysText().text)
    let end = try #require(keys.nextExpiry(after: now))
    #expect((now + lifetime...now + lifetime + 60).contains(end))
    #expect(keys.groups(at: end - 1).count == 1)
    #expect(keys.groups(at: end).isEmpty)
    #expect(keys.nextExpiry(after: end) == nil)
  }

  @Test func anEpochPeriodChangesOnlyWithAGeneration() throws {
    let old = try load(KeysText().text)
    var text = KeysText()
    text.period = "300s"
    #expect(try load(text.text).mistakes(replacing: old).map(\.path) == ["trust_groups[0].epoch_period"])
    text.indexes = ["7", "8", "9"]
    #expect(try load(text.text).mistakes(replacing: old) == [])
  }

  @Test(arguments: [1, 2, 3]) func newKeysAreDifferentPrivateAndNeverOverwritten(_ generations: Int) throws {
    let template = KeysFile.Template(
      groups: ["train", "storage"], levels: [.taskGroup, .trustRegion], epochPeriod: 300, generations: generations)
    let path = workspace.path("new.yaml")
    try KeysFile.create(path, template, at: now)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    let keys = try KeysFile.load(path, at: now)
    #expect(keys.groups.map(\.name) == ["train", "storage"])
    #expect(keys.groups.map(\.isDefault) == [true, false])
    #expect(keys.groups.allSatisfy { $0.epochPeriod == 300 && $0.rootKeys.map(\.level) == [.trustRegion, .taskGroup] })
    #expect(keys.groups.allSatisfy { $0.rootKeys.allSatisfy { $0.generations.count == generations } })
    let all = keys.groups.flatMap(\.rootKeys)
    #expect(Set(all.map(\.id)).count == 4)
    #expect(Set(all.flatMap(\.generations).map { $0.key.withOctets(Array.init) }).count == 4 * generations)
    #expect(keys.nextExpiry(after: now) == now + 300 << 15)
    let before = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(throws: Mistake.self) { try KeysFile.create(path, template, at: now) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    #expect(throws: Mistake.self) { try KeysFile.create(workspace.path("no/new.yaml"), template, at: now) }
  }
}
