import Foundation
import KeyAgent
import Keys
import Rotation
import Support
import Synchronization
import Testing
import Vault

/// What a member does with what its controllers offer.
@Suite(.serialized) struct RotationOfMembersTests {
  @Test func keysOfThreeControllersMakeOneGroup() async throws {
    try await withAuthority { authority in
      let controllers = try [("region", RootKeyLevel.trustRegion), ("users", .userGroup), ("tasks", .taskGroup)].map {
        try ScriptedController($0.0, authority, script: .first($0.0, $0.1))
      }
      defer { controllers.forEach { $0.stop() } }
      let member = try Member(controllers, authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("the group is in force") {
        member.sink.numbers == [[nil, 1, nil], [nil, 1, nil], [nil, 1, nil]]
      }
      #expect(member.sink.groups.first?.orderedKeys.map(\.level) == [.trustRegion, .userGroup, .taskGroup])
      for controller in controllers {
        await eventually("\(controller.name) hears of it") {
          controller.acknowledged.map { $0.staged == 1 && $0.promoted == 1 } ?? false
        }
      }
      await eventually("all is well") { member.agent?.status.state == "ok" }
      let status = try #require(member.agent?.status)
      #expect(status.controllers.map(\.state) == ["connected", "connected", "connected"])
      #expect(status.deadline != nil && status.member == "spiffe://region1.example/dpu/host1")
    }
  }

  @Test func eachPhaseIsAcknowledgedAtOnce() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      let start = ContinuousClock.now
      for round in UInt64(1)...20 {
        try region.change { try? $0.stage(SecretKey.random()) }
        await eventually("STAGE \(round + 1)") { region.acknowledged?.staged == round + 1 }
        #expect(region.acknowledged?.promoted == round)
        #expect(member.sink.numbers == [[round > 1 ? round - 1 : nil, round, round + 1]])
        region.change { $0.promote() }
        await eventually("PROMOTE \(round + 1)") { region.acknowledged?.promoted == round + 1 }
        #expect(member.sink.numbers == [[round, round + 1, nil]])
      }
      let each = (ContinuousClock.now - start) / 40
      print("a phase is acknowledged within \(each)")
      #expect(each < .milliseconds(500))
      // Every poll says it again.
      let polls = region.read { $0.polls.count }
      region.change { _ in }
      await eventually("another poll") { region.read { $0.polls.count } > polls + 1 }
      #expect(region.acknowledged?.promoted == 21)
    }
  }

  /// The sealed file has every generation before the lcores do, so that whoever is killed starts with it.
  @Test func theSealedFileComesFirst() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      let member = try Member([region], authority: authority)
      let file = SealedFile(path: member.settings.stateFile, key: try member.settings.wrappingKey.open())
      let wrong = Mutex<[String]>([])
      let seen = Mutex(0)
      member.sink.state.withLock { state in
        state.atInstall = { view in
          seen.withLock { $0 += 1 }
          guard let group = view.groups.first else { return }
          let text = (try? file.load()).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) } ?? ""
          for generation in group.rootKeys.flatMap(\.generations)
          where !text.contains("\"kid\":\"\(Self.hex(group.rootKeys[0].id)).\(generation.index)\"") {
            wrong.withLock { $0.append("generation \(generation.index)") }
          }
        }
      }
      try member.start()
      for round in UInt64(1)...5 {
        try region.change { try? $0.stage(SecretKey.random()) }
        await eventually("STAGE") { region.acknowledged?.staged == round + 1 }
        region.change { $0.promote() }
        await eventually("PROMOTE") { region.acknowledged?.promoted == round + 1 }
      }
      #expect(wrong.withLock { $0 } == [])
      #expect(seen.withLock { $0 } >= 10)
      // As after a kill, and with every controller down.
      member.stop()
      region.stop()
      member.sink.state.withLock { $0.views = [] }
      try member.start()
      defer { member.stop() }
      await eventually("the same generations") { member.sink.numbers == [[5, 6, nil]] }
      let status = try #require(member.agent?.status)
      #expect(status.state == "degraded" && status.controllers[0].state == "unreachable")
      #expect(status.deadline != nil)
    }
  }

  private static func hex(_ octets: [UInt8]) -> String {
    octets.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  @Test func aRevocationStopsTheGroup() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { member.sink.numbers == [[nil, 1, nil]] }
      region.change { script in
        script.series[0].keys = []
        script.series[0].floor = 2
      }
      await eventually("no group", within: 1) { member.sink.groups.isEmpty }
      await eventually("it is said") {
        region.acknowledged?.promoted == 1 && member.agent?.status.reasons.contains { $0.contains("train") } ?? false
      }
      // What was ended never comes back.
      try region.change { try? $0.stage(SecretKey.random()) }
      await eventually("refused") { member.controller("region")?.state == "refused" }
      #expect(member.sink.groups.isEmpty)
    }
  }

  @Test func aKeyPastItsLifeIsNotUsed() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion, lifetime: 3))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { member.sink.numbers == [[nil, 1, nil]] }
      region.stop()
      await eventually("its end", within: 8) { member.sink.groups.isEmpty }
      #expect(member.agent?.status.reasons.contains { $0.contains("no current generation") } == true)
    }
  }

  /// The erased generation is nowhere in the process, the one that took its place is.
  @Test func erasedKeysLeaveNoOctets() async throws {
    try await withAuthority { authority in
      func masked(_ key: SecretKey) -> [UInt8] { key.withOctets { $0.map { $0 ^ 0x5a } } }
      var needles: [[UInt8]] = []
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      needles.append(region.read { masked($0.series[0].keys[0].key) })
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      #expect(try !ProcessMemory.occurrences(masked: needles[0]).isEmpty)
      for round in UInt64(2)...4 {
        try region.change { script in
          guard let key = try? SecretKey.random() else { return }
          needles.append(masked(key))
          script.stage(key)
        }
        await eventually("STAGE") { region.acknowledged?.staged == round }
        region.change { $0.promote() }
        await eventually("PROMOTE") { region.acknowledged?.promoted == round }
      }
      #expect(member.sink.numbers == [[3, 4, nil]])
      for (index, needle) in needles.enumerated() {
        let found = try ProcessMemory.occurrences(masked: needle)
        #expect(found.isEmpty == (index < 2), "generation \(index + 1): \(found)")
      }
    }
  }

  @Test func lcoresThatRefuseAreAskedAgain() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      member.sink.state.withLock { $0.refuses = true }
      try member.start()
      defer { member.stop() }
      await eventually("it is said") { member.agent?.status.reasons.contains { $0.contains("lcores") } ?? false }
      #expect(region.acknowledged == nil)
      member.sink.state.withLock { $0.refuses = false }
      await eventually("taken", within: 15) { region.acknowledged?.promoted == 1 }
    }
  }
}
