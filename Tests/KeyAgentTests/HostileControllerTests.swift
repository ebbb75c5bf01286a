import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import TestAuthority
import Testing
import Vault

/// Answers that are wrong: whatever they are, nothing changes, it is said, and the next good one is taken.
@Suite struct HostileControllerTests {
  struct Corruption: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var says: String
    var change: @Sendable (inout KeySet) -> Void
  }

  static let corruptions: [Corruption] = [
    .init(testDescription: "an unknown level", says: "level") { $0.rootKeys[0].level = "galaxy" },
    .init(testDescription: "a key's other level", says: "its own") { $0.rootKeys[0].keys[0].level = "user-group" },
    .init(testDescription: "a short key", says: "40 octets") {
      $0.rootKeys[0].keys[0].k = String($0.rootKeys[0].keys[0].k.dropLast(11))
    },
    .init(testDescription: "a long key", says: "40 octets") { $0.rootKeys[0].keys[0].k += "AAAAAAAAAAA" },
    .init(testDescription: "a changed key", says: "does not open") {
      $0.rootKeys[0].keys[0].k = "A" + String($0.rootKeys[0].keys[0].k.dropFirst().reversed())
    },
    .init(testDescription: "another fingerprint", says: "fingerprint") { set in
      set.rootKeys[0].keys[0].fingerprint =
        Fingerprint([UInt8](repeating: 7, count: 32)) ?? set.rootKeys[0].keys[0].fingerprint
    },
    .init(testDescription: "a key of another name", says: "its own") { $0.rootKeys[0].keys[0].kid = "00.1" },
    .init(testDescription: "an ID of a wrong length", says: "octets in hex") { $0.rootKeys[0].id += "00" },
    .init(testDescription: "two of one number", says: "each once") {
      $0.rootKeys[0].keys.append($0.rootKeys[0].keys[0])
    },
    .init(testDescription: "a root key twice", says: "each root key once") { $0.rootKeys.append($0.rootKeys[0]) },
    .init(testDescription: "an older version", says: "set back") { $0.version = 1 },
    .init(testDescription: "an older floor", says: "set back") { $0.rootKeys[0].floor = 0 },
    .init(testDescription: "an older generation", says: "lowest acceptable") { $0.rootKeys[0].floor = 3 },
    .init(testDescription: "a life that is too long", says: "epoch periods") {
      $0.rootKeys[0].keys[0].exp = $0.rootKeys[0].keys[0].nbf + 600 << 15
    },
    .init(testDescription: "a life backwards", says: "in that order") { $0.rootKeys[0].keys[0].exp = 1 },
    .init(testDescription: "another algorithm", says: "alg") { $0.alg = "none" },
    .init(testDescription: "a key agreement with zero", says: "public key") {
      $0.epk = PublicKeyJWK(x: Base64URL.encode([UInt8](repeating: 0, count: 32)))
    },
  ]

  @Test(arguments: corruptions)
  func nothingWrongIsTaken(_ corruption: Corruption) async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      script.version = 5
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      region.change { script in
        script.corrupt = corruption.change
        if let key = try? SecretKey.random() { script.stage(key) }
      }
      await eventually("it is refused, and said") {
        let controller = member.controller("region")
        return controller?.state == "refused" && controller?.reason?.contains(corruption.says) == true
      }
      #expect(member.sink.numbers == [[nil, 1, nil]], "\(member.controller("region")?.reason ?? "")")
      #expect(region.acknowledged?.staged == 1)
      region.behave { $0.corrupt = nil }
      await eventually("the good one is taken") { member.sink.numbers == [[nil, 1, 2]] }
      #expect(member.controller("region")?.state == "connected")
    }
  }

  /// Right in itself, with its right fingerprint, but not what the number was before.
  @Test func oneNumberNeverHasTwoKeys() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      region.change { script in
        if let key = try? SecretKey.random() { script.series[0].keys[0].key = key }
      }
      await eventually("refused") { member.controller("region")?.reason?.contains("other octets") ?? false }
      // Nor after a restart.
      member.stop()
      try member.start()
      await eventually("refused again") { member.controller("region")?.reason?.contains("other octets") ?? false }
    }
  }

  /// Two controllers that agree on a key would cancel each other out: the second one's is not taken, by name.
  @Test func equalKeysAreRefusedByTheControllersName() async throws {
    try await withAuthority { authority in
      let key = try SecretKey.random()
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion, key: key))
      let users = try ScriptedController("users", authority, script: .first("users", .userGroup, key: key))
      defer { [region, users].forEach { $0.stop() } }
      let member = try Member([region, users], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("one is refused") {
        ["region", "users"].contains { member.controller($0)?.state == "refused" }
      }
      let refused = try #require(["region", "users"].first { member.controller($0)?.state == "refused" })
      #expect(member.agent?.status.reasons.contains { $0.hasPrefix(refused) && $0.contains("different keys") } == true)
      #expect(member.sink.groups.isEmpty)
      #expect((refused == "users" ? users : region).acknowledged == nil)
    }
  }

  private static let bad: [(String, ScriptedController.Reply)] = [
    ("500", .json(500, [])), ("403", .json(403, [])), ("no JSON", .json(200, Array("{\"version\":".utf8))),
    ("no HTTP", .raw(Array("hello\r\n\r\n".utf8), drips: false)),
    ("cut", .raw(Array("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".utf8), drips: false)),
    (
      "2 MiB",
      .raw(
        Array("HTTP/1.1 200 OK\r\ncontent-length: 2097152\r\n\r\n".utf8) + [UInt8](repeating: 32, count: 2 << 20),
        drips: false)
    ),
    ("drops of one octet", .raw(Array("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".utf8), drips: true)),
  ]

  @Test(arguments: bad.indices)
  func noAnswerThatIsOneStopsIt(_ index: Int) async throws {
    let (name, reply) = Self.bad[index]
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      // Short polls, so that a slow answer is given up soon.
      script.leaseSeconds = 6
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      region.change { script in
        script.instead = reply
        if let key = try? SecretKey.random() { script.stage(key) }
      }
      await eventually("\(name) is noticed", within: 15) { member.controller("region")?.state != "connected" }
      #expect(member.sink.numbers == [[nil, 1, nil]])
      #expect(member.agent?.status.state == "degraded")
      region.behave { $0.instead = nil }
      await eventually("the good one is taken", within: 15) { member.sink.numbers == [[nil, 1, 2]] }
    }
  }

  /// A certificate of the right authority, but another's name; one of another authority; a key that is not pinned.
  @Test(arguments: ["name", "authority", "pin"])
  func nobodyElseIsSpokenTo(_ wrong: String) async throws {
    try await withAuthority { authority in
      let other = try TestAuthority(
        in: authority.directory.appending(path: "other"), trustDomain: authority.trustDomain)
      let region = try ScriptedController(
        "region", wrong == "authority" ? other : authority, certificate: wrong == "name" ? "dpu/host9" : nil,
        script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      if wrong == "pin" {
        member.settings.controllers[0].pin = PublicKeyPin("sha256:" + String(repeating: "0", count: 64))
      }
      try member.start()
      defer { member.stop() }
      await eventually("it is noticed") { member.controller("region")?.state == "unreachable" }
      #expect(region.read { $0.leases.isEmpty && $0.polls.isEmpty }, "nothing was sent")
      #expect(member.sink.groups.isEmpty)
    }
  }

  @Test func thePauseGrowsAndIsBounded() {
    #expect(ControllerSubscription.pause(after: 1, chance: 1) == .milliseconds(200))
    #expect(ControllerSubscription.pause(after: 3, chance: 0) == .milliseconds(400))
    #expect(ControllerSubscription.pause(after: 1000, chance: 1) == .seconds(10))
    #expect(ControllerSubscription.pause(after: 1000, chance: 0) == .seconds(5))
  }
}
