import Foundation
import KeyAgent
import Keys
import Rotation
import Support
import Synchronization
import Testing

/// The time that the controllers have.
@Suite(.serialized) struct ClockTests {
  @Test func theMedianDecides() throws {
    let clock = ControllerClock(controllers: ["a", "b", "c"], tolerance: 300_000, sinceBoot: 0)
    #expect(clock.reference(clock: 1000, sinceBoot: 0) == nil, "nobody was asked")
    // Sun, 06 Nov 1994 08:49:37 GMT is 784111777.
    clock.heard("a", date: "Sun, 06 Nov 1994 08:49:37 GMT", sinceBoot: 1000)
    #expect(clock.reference(clock: 5, sinceBoot: 1000)?.time(sinceBoot: 1000) == 784_111_777)
    clock.heard("b", date: "Sun, 06 Nov 1994 09:49:37 GMT", sinceBoot: 1000)
    clock.heard("c", date: "Sun, 06 Nov 1994 08:49:40 GMT", sinceBoot: 1000)
    let reference = try #require(clock.reference(clock: 5, sinceBoot: 1000))
    #expect(reference.time(sinceBoot: 1000) == 784_111_780)
    // Carried on without them, and kept when they are out of reach.
    #expect(clock.reference(clock: 5, sinceBoot: 120_000)?.time(sinceBoot: 121_000) == 784_111_900)
    #expect(reference.problem(clock: 784_111_780 + 299, sinceBoot: 1000) == nil)
    #expect(reference.problem(clock: 784_111_780 - 299, sinceBoot: 1000) == nil)
    #expect(reference.problem(clock: 784_111_780 + 302, sinceBoot: 1000) != nil)
    #expect(reference.problem(clock: 784_111_780 - 302, sinceBoot: 1000) != nil)
    #expect(reference.problem(clock: UInt64.max, sinceBoot: 1000) != nil)
  }

  @Test func withoutControllersItsOwnClockStartsIt() {
    let clock = ControllerClock(controllers: ["a", "b"], tolerance: 300_000, sinceBoot: 0)
    clock.heard("a", date: nil, sinceBoot: 10)
    #expect(clock.reference(clock: 1_000_000, sinceBoot: 20) == nil, "b was not asked yet")
    clock.heard("b", date: nil, sinceBoot: 30)
    let reference = clock.reference(clock: 1_000_000, sinceBoot: 40)
    #expect(reference?.time(sinceBoot: 40) == 1_000_000)
    // A step after that is noticed, though nobody can be asked.
    #expect(reference?.problem(clock: 1_000_400, sinceBoot: 1000) != nil)
    let slow = ControllerClock(controllers: ["a"], tolerance: 300_000, sinceBoot: 0)
    #expect(slow.reference(clock: 7_000, sinceBoot: 2_999) == nil)
    #expect(slow.reference(clock: 7_000, sinceBoot: 3_001)?.time(sinceBoot: 3_001) == 7_000)
  }

  @Test(arguments: [
    "", "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT      ",
    "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, xx Nov 1994 08:49:37 GMT",
  ])
  func whatIsNoDateIsNone(_ text: String) { #expect(ControllerClock.seconds(text) == nil) }

  /// Two of three controllers say that this node's clock is an hour off: it says so, and recovers by itself.
  @Test func aClockThatIsOffIsNoticed() async throws {
    try await withAuthority { authority in
      let controllers = try [("region", RootKeyLevel.trustRegion), ("users", .userGroup), ("tasks", .taskGroup)].map {
        try ScriptedController($0.0, authority, script: .first($0.0, $0.1))
      }
      defer { controllers.forEach { $0.stop() } }
      controllers[0].behave { $0.clockOffset = 3600 }
      let member = try Member(controllers, authority: authority)
      try member.start()
      defer { member.stop() }
      func problem() -> ClockProblem? {
        member.sink.state.withLock { $0.reference }?
          .problem(clock: NodeSystem.clock(), sinceBoot: NodeSystem.sinceBoot())
      }
      await eventually("all heard") { controllers.allSatisfy { $0.acknowledged?.promoted == 1 } }
      #expect(problem() == nil, "one of three is no majority")
      controllers[1].behave { $0.clockOffset = 3600 }
      controllers[1].change { _ in }
      await eventually("it is said") { member.agent?.status.reasons.contains { $0.hasPrefix("clock: ") } ?? false }
      #expect(problem() != nil, "and the gateway is told")
      controllers[1].behave { $0.clockOffset = 0 }
      controllers[1].change { _ in }
      await eventually("it recovers") { member.agent?.status.state == "ok" && problem() == nil }
    }
  }
}
