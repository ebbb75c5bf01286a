import Control
import Foundation
import Testing

/// What YAML itself can bring: traps of its numbers, references, sizes, and text that is no YAML.
@Suite struct YAMLTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  @Test(
    arguments: [
      ("00112233", 0x0011_2233), ("\"00112233\"", 0x0011_2233), ("1e100000", 0x1e10_0000), ("0x12abcd", nil),
      ("12345678", 0x1234_5678), ("0012_345", nil), ("0o123456", nil), ("123456789", nil),
      ("ffffffffffffffff", UInt64.max),
    ] as [(String, UInt64?)])
  func anIDIsTextThatLooksLikeANumber(_ text: String, _ id: UInt64?) throws {
    let tree = Tree.gateway.text.replacingOccurrences(of: "\"0000002a\"", with: text)
    if let id {
      #expect(try workspace.load(tree).configuration.identity.numbers.deviceID == id)
    } else {
      #expect(try workspace.mistakes(in: tree).map(\.path) == ["identity.device_id"])
    }
  }

  @Test(arguments: ["010", "0x10", "1_000", "+5", "1.0", "1e1", "", "[1]", "''", "0b1", "-0"])
  func aNumberIsDecimalDigits(_ text: String) throws {
    let tree = Tree.gateway.text.dropLast() + ",\"icmp_rate\": \(text)}"
    #expect(try workspace.mistakes(in: String(tree)).map(\.path) == ["icmp_rate"])
  }

  @Test(arguments: ["yes", "on", "True", "1", "no", "TRUE"])
  func aBooleanIsTrueOrFalse(_ text: String) throws {
    let tree = Tree.gateway.text.dropLast() + ",\"mss_clamp\": \(text)}"
    #expect(try workspace.mistakes(in: String(tree)).map(\.path) == ["mss_clamp"])
  }

  @Test func nullIsAbsentAndNothingIsAMistake() throws {
    let tree = String(Tree.gateway.text.dropLast())
    #expect(try workspace.load(tree + ",\"engine\": null}").configuration.engine == .auto)
    #expect(try workspace.mistakes(in: tree + ",\"engine\": }").map(\.found) == ["nothing"])
  }

  @Test(arguments: [
    "a: &x [1]\nb: *x", "a: &x 1", "a: [*b, *c]", "? *x : 1", "{\"a\":&b 1}", "- &a 1\n- *a",
    "a: \"b\n # \", c: &d 1",
  ])
  func anchorsAndAliasesAreRefused(_ text: String) throws {
    let mistakes = try workspace.mistakes(in: text)
    #expect(mistakes.contains { $0.found.contains("anchor or alias") || $0.found.contains("broken YAML") })
  }

  @Test func ampersandsAndStarsInTextAreNot() throws {
    let text = "# a & b, *c*\n" + Tree.gateway.setting("capture.file", to: "a &b *c.pcapng").text
    #expect(try workspace.load(text).configuration.capture?.file.hasSuffix("a &b *c.pcapng") == true)
  }

  /// A bomb of 30 levels would take 2^30 steps if anything followed the aliases.
  @Test(.timeLimit(.minutes(1))) func aBombDoesNotGoOff() throws {
    var text = "a0: &a0 [1]\n"
    for level in 1..<30 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    text += "? *a29\n: 1\n"
    #expect(try workspace.mistakes(in: text).count > 29)
  }

  @Test(arguments: [20, 200, 900, 5000]) func depthIsBounded(_ depth: Int) throws {
    let text = "name: " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    #expect(try workspace.mistakes(in: text).count > 0)
    let fields = String(repeating: "{a: ", count: depth) + "1" + String(repeating: "}", count: depth)
    #expect(try workspace.mistakes(in: "ports: [\(fields)]").count > 0)
  }

  @Test func sizeIsBounded() throws {
    let text = Tree.gateway.text + "\n" + String(repeating: "#\n", count: 1 << 19)
    let mistakes = try workspace.mistakes(in: text)
    #expect(mistakes.map(\.expected) == ["at most \(1 << 20) octets"])
  }

  @Test func repeatedFieldsAreAllReported() throws {
    let text = "name: a\nname: b\nname: c\n\"keys\": x\nkeys: y\nicmp_rate: z\n"
    let found = try workspace.mistakes(in: text).map(\.found)
    #expect(found.filter { $0 == "the field \"name\" twice" }.count == 2)
    #expect(found.filter { $0 == "the field \"keys\" twice" }.count == 1)
    #expect(found.contains("\"z\""))
  }

  @Test(arguments: [
    "", "\n", "---\n---\n", "a", "[1, 2]", "{", "}", "a: b: c", "\t", "a:\n\t- b", "%YAML 9.9\n---\na: 1", "? [a]\n: b",
    "\u{0}", "a: \u{7f}", "!!binary a: b", "\u{feff}", "a: |\n b\n c", "!<!> x: y", "- ", "? ", ": ", "'", "\"\\x", "@",
    "`",
  ])
  func whatIsNoConfigurationIsAMistake(_ text: String) throws {
    #expect(try workspace.mistakes(in: text).count > 0)
  }

  @Test func octetsThatAreNotUTF8AreAMistake() throws {
    try workspace.writeKeys()
    try Data([0x61, 0x3a, 0x20, 0xff, 0xfe]).write(to: URL(fileURLWithPath: workspace.path("x.yaml")))
    #expect(throws: Mistakes.self) { try ConfigurationFile.load(workspace.path("x.yaml")) }
    #expect(throws: Mistakes.self) { try ConfigurationFile.load(workspace.path("missing.yaml")) }
    #expect(throws: Mistakes.self) { try ConfigurationFile.load(workspace.directory) }
  }

  /// Every truncation, and a thousand random changes of one octet: loaded or refused, never a crash.
  @Test func damagedFilesAreLoadedOrRefused() throws {
    let octets = Array(Tree.gateway.text.utf8)
    try workspace.writeKeys()
    var generator = SystemRandomNumberGenerator()
    var refused = 0
    for round in 0..<(octets.count + 1000) {
      var damaged = octets
      if round < octets.count {
        damaged.removeSubrange(round...)
      } else {
        damaged[Int.random(in: octets.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      try Data(damaged).write(to: URL(fileURLWithPath: workspace.path("x.yaml")))
      do throws(Mistakes) {
        _ = try ConfigurationFile.load(workspace.path("x.yaml"))
      } catch {
        refused += 1
        #expect(!error.all.isEmpty)
      }
    }
    #expect(refused >= octets.count)
  }
}
