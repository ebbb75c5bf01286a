import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import Synchronization
import TestAuthority
import Testing
import Vault

/// Who a member is: its lease, its state, its numbers, its certificate.
@Suite(.serialized) struct InstanceTests {
  @Test func everyStartAndRenewalSwapsTheToken() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      script.leaseSeconds = 3
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      await eventually("renewals, each after a third") { region.read { $0.leases.count } >= 4 }
      member.stop()
      let first = region.read { $0.leases }
      #expect(first[0].shown == nil)
      for (old, new) in zip(first, first.dropFirst()) {
        #expect(new.shown == old.next && new.next != old.next)
      }
      #expect(Set(first.map(\.next)).count == first.count)
      #expect(
        region.read { script in script.polls.allSatisfy { poll in script.leases.contains { $0.next == poll.token } } })
      try member.start()
      defer { member.stop() }
      await eventually("a swap at the start") { region.read { $0.leases.count } > first.count }
      let next = region.read { $0.leases[first.count] }
      #expect(next.shown == first.last?.next || (next.shown == first.last?.shown && next.next == first.last?.next))
    }
  }

  /// The answer was lost: the same swap is sent again, also by the next process, and then the start's own.
  @Test func aSwapWithoutAnAnswerIsRepeated() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      script.leaseStatus = 500
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      await eventually("it is tried again") { region.read { $0.leases.count } >= 2 }
      member.stop()
      #expect(Set(region.read { $0.leases.map(\.next) }).count == 1)
      let tried = region.read { $0.leases.count }
      region.behave { $0.leaseStatus = 200 }
      try member.start()
      defer { member.stop() }
      await eventually("both swaps") { region.read { $0.leases.count } >= tried + 2 }
      let leases = region.read { $0.leases }
      #expect(leases[tried] == leases[0])
      #expect(leases[tried + 1].shown == leases[0].next && leases[tried + 1].next != leases[0].next)
    }
  }

  /// It asks for its lease alone until it is let in again, which needs no word to it.
  @Test func aSecondInstanceIsReportedAndComesBackWhenItIsReset() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      script.leaseSeconds = 3
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { member.sink.numbers == [[nil, 1, nil]] }
      region.behave { $0.leaseStatus = 409 }
      await eventually("it is said") {
        member.agent?.status.reasons.contains { $0.hasPrefix("region duplicate instance") } ?? false
      }
      let (leases, polls) = region.read { ($0.leases.count, $0.polls.count) }
      await eventually("it asks for its lease again") { region.read { $0.leases.count } >= leases + 3 }
      let asked = region.read { $0 }
      #expect(asked.polls.count == polls, "and for nothing else")
      #expect(Set(asked.leases[leases...].map(\.next)).count == 1, "with the same tokens")
      // Its twin may seal with the same numbers; one new epoch is enough for that.
      #expect(member.sink.state.withLock { $0.distrusts } == [false])
      #expect(member.sink.numbers == [[nil, 1, nil]], "what is there stays")
      region.behave { $0.leaseStatus = 200 }
      await eventually("it goes on") { member.controller("region")?.state == "connected" }
    }
  }

  @Test func aStateThatWasSetBackMeansARecordThatWas() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      script.rolledBack = true
      let region = try ScriptedController("region", authority, script: script)
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("it is said") {
        member.agent?.status.reasons.contains { $0.contains("newer state") } ?? false
      }
      #expect(member.sink.state.withLock { $0.distrusts } == [true])
    }
  }

  @Test func onlyTheIdentityControllerNamesTheNode() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("region", .trustRegion)
      let region = try ScriptedController("region", authority, script: script)
      script = try .first("users", .userGroup)
      script.assignment = Assignment(deviceID: "000000ff", member: 9)
      let users = try ScriptedController("users", authority, script: script)
      defer { [region, users].forEach { $0.stop() } }
      let member = try Member([region, users], authority: authority, identity: "region")
      try member.start()
      await eventually("both heard") {
        region.acknowledged != nil && users.acknowledged != nil
      }
      #expect(member.sink.groups.isEmpty, "nobody seals without a number")
      #expect(member.agent?.status.reasons.contains { $0.contains("not named this node") } == true)
      region.change { $0.assignment = Assignment(deviceID: "0000002a", member: 3) }
      await eventually("named") { member.sink.assignment == Assignment(deviceID: "0000002a", member: 3) }
      #expect(!member.sink.groups.isEmpty)
      region.change { $0.assignment = Assignment(deviceID: "0000002b", member: 4) }
      await eventually("it says what to do") { member.controller("region")?.reason?.contains("restart") ?? false }
      #expect(member.sink.assignment == Assignment(deviceID: "0000002a", member: 3))
      member.stop()
      [region, users].forEach { $0.stop() }
      try member.start()
      defer { member.stop() }
      await eventually("after a restart, without controllers") {
        member.sink.assignment == Assignment(deviceID: "0000002b", member: 4)
      }
    }
  }

  /// A node in two groups takes its numbers in each from that group's controller alone.
  @Test func eachGroupHasItsAuthority() async throws {
    try await withAuthority { authority in
      var script = try ScriptedController.Script.first("site", .trustRegion)
      script.assignment = Assignment(deviceID: "0000002a", member: 3)
      let site = try ScriptedController("site", authority, script: script)
      let world = try ScriptedController("world", authority, script: .first("world", .trustRegion))
      defer { [site, world].forEach { $0.stop() } }
      let member = try Member([site, world], authority: authority)
      member.settings.groups = ["site", "world"].map { name in
        AgentGroup(
          name: name, isDefault: false, epochPeriod: 600, maxCOffset: 16, maxIOffset: 0,
          rootKeys: [RootKeyReference(controller: name, name: name)], identityController: name)
      }
      try member.start()
      await eventually("both heard") { site.acknowledged != nil && world.acknowledged != nil }
      await eventually("the one that named it") { member.sink.groups.map(\.name) == ["site"] }
      #expect(
        member.agent?.status.reasons.contains { $0.hasPrefix("group world") && $0.contains("world has not named") }
          == true)
      world.change { $0.assignment = Assignment(deviceID: "00000107", member: 0) }
      await eventually("both groups") { member.sink.groups.map(\.name) == ["site", "world"] }
      let wanted = [
        "site": Assignment(deviceID: "0000002a", member: 3), "world": Assignment(deviceID: "00000107", member: 0),
      ]
      #expect(member.sink.assignments == wanted)
      #expect(member.controller("world")?.deviceID == "00000107" && member.controller("site")?.memberNumber == 3)
      member.stop()
      // Who names it no more is not believed again from the file.
      member.settings.groups[1].identityController = nil
      try member.start()
      await eventually("started again") { member.sink.assignments == wanted.filter { $0.key == "site" } }
      member.stop()
      world.change { $0.assignment = nil }
      member.settings.groups[1].identityController = "world"
      try member.start()
      defer { member.stop() }
      await eventually("unnamed") { member.sink.groups.map(\.name) == ["site"] }
    }
  }

  @Test func aForeignStateIsNotUsed() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      member.stop()
      member.settings.tls = try authority.issue("dpu/host2").files
      #expect { try member.start() } throws: {
        "\($0)".contains("found the state of spiffe://region1.example/dpu/host1")
      }
      member.settings.tls = try authority.issue("dpu/host1").files
      let key = WrappingKeySource.file(member.directory.appending(path: "other").path(percentEncoded: false))
      try key.create()
      member.settings.wrappingKey = key
      #expect { try member.start() } throws: { "\($0)".contains("wrapping key") }
      try Data("{}".utf8).write(to: URL(filePath: member.settings.stateFile))
      #expect(throws: (any Error).self) { try member.start() }
    }
  }

  @Test func aNewCertificateIsUsedWithoutARestart() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      try member.start()
      defer { member.stop() }
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      let before = try #require(member.agent?.status.certificateExpires)
      let new = try authority.issue("dpu/host1", file: "renewed", days: 20).files
      for (from, to) in [
        (new.key, member.settings.tls.key), (new.certificate, member.settings.tls.certificate),
      ] {
        #expect(rename(from, to) == 0)
      }
      await eventually("it is read") { member.agent?.status.certificateExpires != before }
      #expect(member.agent?.identity.problem == nil)
      if let key = try? SecretKey.random() { region.change { $0.stage(key) } }
      await eventually("and it works") { member.sink.numbers == [[nil, 1, 2]] }
    }
  }

  /// Its record may be forgotten only after a rotation that this node took no part in sealing with.
  /// Sealed keys and no valid certificate: traffic goes on, degraded; a member without keys is told to renew it.
  @Test func aCertificateThatHasEndedIsNoHindranceForWhoHasKeys() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      let good = member.settings.tls
      let old = try authority.issue(
        "dpu/host1", file: "ended", days: 2, at: Date(timeIntervalSinceNow: -3 * 86400)
      ).files
      member.settings.tls = old
      #expect { try member.start() } throws: { "\($0)".contains("ended on") && "\($0)".contains("renew it") }
      member.settings.tls = good
      try member.start()
      await eventually("generation 1") { member.sink.numbers == [[nil, 1, nil]] }
      member.stop()
      member.sink.state.withLock { $0.views = [] }
      member.settings.tls = old
      try member.start()
      defer { member.stop() }
      await eventually("generation 1 from the file") { member.sink.numbers == [[nil, 1, nil]] }
      #expect(member.agent?.status.state == "degraded")
      #expect(member.agent?.status.reasons.contains { $0.contains("ended on") } == true)
      await eventually("nobody speaks to it") { member.controller("region")?.state == "unreachable" }
      for (from, to) in [(good.key, old.key), (good.certificate, old.certificate)] {
        try FileManager.default.removeItem(atPath: to)
        try FileManager.default.copyItem(atPath: from, toPath: to)
      }
      await eventually("a renewed one is taken over") { member.agent?.status.state == "ok" }
    }
  }

  @Test func theRecordIsForgottenOnlyAfterARotation() async throws {
    try await withAuthority { authority in
      let region = try ScriptedController("region", authority, script: .first("region", .trustRegion))
      defer { region.stop() }
      let member = try Member([region], authority: authority)
      #expect { try RecordResetCheck.run(member.settings) } throws: { "\($0)".contains("found no state") }
      try member.start()
      await eventually("generation 1") { region.acknowledged?.promoted == 1 }
      member.stop()
      #expect { try RecordResetCheck.run(member.settings) } throws: { "\($0)".contains("rotate") }
      // The record is ahead of everybody: nothing is sealed, and the rotation is taken over all the same.
      member.sink.state.withLock { $0.nodeTime = NodeSystem.clock() + 4000 }
      try member.start()
      await eventually("it is said") { member.agent?.status.reasons.contains { $0.contains("ahead") } ?? false }
      #expect(member.sink.groups.isEmpty)
      if let key = try? SecretKey.random() { region.change { $0.stage(key) } }
      await eventually("STAGE") { region.acknowledged?.staged == 2 }
      region.change { $0.promote() }
      await eventually("PROMOTE") { region.acknowledged?.promoted == 2 }
      #expect(member.sink.groups.isEmpty)
      member.stop()
      try RecordResetCheck.run(member.settings)
      // After the reset it seals again, and then it does not hold any more.
      member.sink.state.withLock { $0.nodeTime = NodeSystem.clock() }
      try member.start()
      await eventually("in force again") { member.sink.numbers == [[1, 2, nil]] }
      member.stop()
      #expect(throws: KeyAgentError.self) { try RecordResetCheck.run(member.settings) }
    }
  }
}
