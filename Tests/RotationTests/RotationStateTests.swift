import Rotation
import Testing

@Suite struct RotationStateTests {
  @Test func steadyStagePromote() throws {
    var state = RotationState(createdAt: 5)
    #expect(state.generations == [1])
    #expect(state.role(of: 1) == .current)
    let result1 = state.stage(at: 7)
    #expect(result1 == 2)
    let result2 = state.stage(at: 8)
    #expect(result2 == nil, "one is staged already")
    #expect(state.stagedAt == 7)
    #expect(state.role(of: 2) == .next)
    let result3 = state.promote(at: 9)
    #expect(result3)
    let result4 = state.promote(at: 10)
    #expect(!result4, "nothing is staged")
    #expect(state.generations == [1, 2])
    #expect(state.role(of: 1) == .previous)
    #expect(state.floor == 1)
    let result5 = state.stage(at: 11)
    #expect(result5 == 3)
    #expect(state.generations == [1, 2, 3])
    let result6 = state.promote(at: 12)
    #expect(result6)
    #expect(state.generations == [2, 3], "generation 1 is erased")
    #expect(state.floor == 2)
    #expect(state.role(of: 1) == nil)
    #expect(state.promotedAt == 12)
  }

  @Test func revocationEndsCurrentAndPrevious() {
    var state = RotationState(createdAt: 0)
    _ = state.stage(at: 0)
    _ = state.promote(at: 0)
    _ = state.stage(at: 0)
    state.revoke(at: 1)
    #expect(state.generations == [3])
    #expect(state.role(of: 3) == .current)
    #expect(state.floor == 3)
    state.revoke(at: 2)
    #expect(state.generations.isEmpty, "members stop sending")
    #expect(state.floor == 4)
    let result7 = state.stage(at: 3)
    #expect(result7 == 4, "a number is never used again")
    #expect(state.current == nil)
    let result8 = state.promote(at: 4)
    #expect(result8)
    #expect(state.generations == [4])
  }

  /// A rotation every second for a day, and further than the packet's 8 bits.
  @Test func numbersCountOn() throws {
    var state = RotationState(createdAt: 0)
    var member = MemberRotation()
    for number in UInt64(2)...86_400 {
      let result9 = state.stage(at: 0)
      #expect(result9 == number)
      _ = try member.take(state.offer(Self.keys(state)))
      let result10 = state.promote(at: 0)
      #expect(result10)
      let erased = try member.take(state.offer(Self.keys(state)))
      #expect(erased == (number > 2 ? [number - 2] : []))
    }
    #expect(member.generations == [86_399, 86_400])
    #expect(member.fingerprints.count == 2)
  }

  static func keys(_ state: RotationState, _ mark: UInt8 = 0) -> [UInt64: Fingerprint] {
    var keys: [UInt64: Fingerprint] = [:]
    for number in state.generations {
      let octets = (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } + [mark]
      keys[number] = Fingerprint(octets + [UInt8](repeating: 0, count: 23))
    }
    return keys
  }

  // MARK: The gate

  private func staged() -> RotationState {
    var state = RotationState(createdAt: 0)
    _ = state.stage(at: 0)
    _ = state.promote(at: 0)
    _ = state.stage(at: 10_000)
    return state
  }

  private func member(_ name: String, _ staged: UInt64, _ promoted: UInt64, at time: Int64 = 0, connected: Bool = true)
    -> MemberProgress
  {
    MemberProgress(member: name, isConnected: connected, staged: staged, promoted: promoted, acknowledgedAt: time)
  }

  @Test func everyConnectedMemberIsAwaited() {
    let state = staged()
    let members = [member("a", 3, 2), member("b", 2, 2), member("c", 3, 1), member("d", 0, 0, connected: false)]
    let obstacles = state.obstacles(at: 20_000, members: members, share: 0, stagedFor: 0)
    #expect(
      obstacles == [
        .waitingFor(members: ["b"], phase: .stage, generation: 3),
        .waitingFor(members: ["c"], phase: .promote, generation: 2),
      ])
    #expect(obstacles.allSatisfy { $0.canBeForced })
    #expect(state.obstacles(at: 20_000, members: [members[0], members[3]], share: 0, stagedFor: 0) == [])
  }

  @Test func aSecondAfterTheLastAcknowledgement() {
    let members = [member("a", 3, 2, at: 15_000), member("b", 3, 2, at: 12_000)]
    #expect(staged().obstacles(at: 15_999, members: members, share: 0, stagedFor: 0) == [.notBefore(16_000)])
    #expect(staged().obstacles(at: 16_000, members: members, share: 0, stagedFor: 0) == [])
    // An epoch where clients exist.
    #expect(staged().obstacles(at: 69_999, members: members, share: 0, stagedFor: 60_000) == [.notBefore(70_000)])
  }

  @Test func aShareOfAllMembers() {
    let members = [
      member("a", 3, 2), member("b", 2, 2, connected: false), member("c", 2, 2, connected: false),
    ]
    #expect(staged().obstacles(at: 20_000, members: members, share: 33, stagedFor: 0) == [])
    #expect(
      staged().obstacles(at: 20_000, members: members, share: 50, stagedFor: 0) == [
        .share(acknowledged: 1, members: 3, needed: 2, missing: ["b", "c"])
      ])
    #expect(staged().obstacles(at: 20_000, members: [], share: 100, stagedFor: 0) == [])
  }

  @Test func nothingStagedCannotBeForced() {
    let obstacles = RotationState(createdAt: 0).obstacles(at: 0, members: [], share: 0, stagedFor: 0)
    #expect(obstacles == [.nothingStaged])
    #expect(!RotationObstacle.nothingStaged.canBeForced)
  }

  @Test func aLeaseCountsForTheSettlingSecondAfterItsEnd() {
    #expect(MemberProgress.isConnected(leaseEnds: 5000, wasAnswered: true, at: 5999))
    #expect(!MemberProgress.isConnected(leaseEnds: 5000, wasAnswered: true, at: 6000))
    #expect(!MemberProgress.isConnected(leaseEnds: 5000, wasAnswered: false, at: 4000))
  }

  @Test func acknowledgementsAreIdempotentAndMayFall() {
    var progress = member("a", 3, 2, at: 100)
    progress.acknowledge(staged: 3, promoted: 2, at: 200)
    #expect(progress.acknowledgedAt == 100, "nothing new")
    progress.acknowledge(staged: 3, promoted: 3, at: 300)
    #expect(progress == member("a", 3, 3, at: 300))
    progress.acknowledge(staged: 1, promoted: 1, at: 400)
    #expect(progress == member("a", 1, 1, at: 400), "a state that was set back is waited for")
  }
}
