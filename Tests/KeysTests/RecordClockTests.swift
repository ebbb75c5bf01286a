import Keys
import Testing

/// A record's keeper and the time that others have.
@Suite struct RecordClockTests {
  private let disk = SimulatedDisk()
  private let start: UInt64 = 1_200_000  // the beginning of epoch 2000 of 600 s

  private func keeper(waits: Bool = true, clock: UInt64? = nil) throws -> RecordKeeper {
    try RecordKeeper(
      medium: disk.opened(), path: "r", periods: [600], clock: clock ?? start, bootID: disk.bootID,
      waitsForClock: waits,
      random: { 400 })
  }

  /// Others have `start` at boot; half an epoch is bearable.
  private var others: ClockReference { ClockReference(offset: Int64(start) * 1000, tolerance: 300_000) }

  private func record() throws -> CounterRecord? {
    let octets = try disk.opened().readRecord()
    return [octets.prefix(512), octets.dropFirst(512).prefix(512)].compactMap { CounterRecord(slot: Array($0)) }
      .max { $0.sequence < $1.sequence }
  }

  @Test func nothingHappensBeforeTheTimeIsKnown() throws {
    let keeper = try keeper(clock: start + 100_000)
    #expect(keeper.clockProblem() == .unknown)
    keeper.tick(clock: start + 100_000, sinceBoot: 0)
    #expect(keeper.board.sealEpoch(period: 600) == nil && keeper.board.openEpoch(period: 600) == nil)
    #expect(try record() == nil, "a clock that is off leaves no record in the future")
    keeper.follow(others, clock: start + 100_000, sinceBoot: 0)
    #expect(keeper.clockProblem(clock: start + 100_000, sinceBoot: 0) == .off(milliseconds: 100_000_000))
    #expect(try record() == nil)
    keeper.tick(clock: start, sinceBoot: 0)
    #expect(keeper.start == .first)
    #expect(keeper.board.sealEpoch(period: 600) == 2001 && keeper.board.openEpoch(period: 600) == 2000)
    #expect(try record()?.time == start)
  }

  /// Ahead or back: neither sealed nor opened, nothing remembered, and all as before when the clock is right again.
  @Test(arguments: [Int64(301), 1_000_000, -301, -1_000_000])
  func aStepStopsItUntilItIsUndone(step: Int64) throws {
    let keeper = try keeper()
    keeper.follow(others, clock: start, sinceBoot: 0)
    keeper.tick(clock: start + 700, sinceBoot: 700_000)
    let counts = try record()
    #expect(keeper.board.sealEpoch(period: 600) == 2001 && keeper.board.openEpoch(period: 600) == 2001)
    keeper.tick(clock: UInt64(Int64(start) + 700 + step), sinceBoot: 700_000)
    #expect(keeper.board.sealEpoch(period: 600) == nil && keeper.board.openEpoch(period: 600) == nil)
    #expect(try record() == counts)
    keeper.tick(clock: start + 1300, sinceBoot: 1_300_000)
    #expect(keeper.board.sealEpoch(period: 600) == 2002 && keeper.board.openEpoch(period: 600) == 2002)
  }

  @Test func aSmallStepBackTakesNoEpochBack() throws {
    let keeper = try keeper()
    keeper.follow(others, clock: start, sinceBoot: 0)
    keeper.tick(clock: start + 1200, sinceBoot: 1_200_000)
    keeper.tick(clock: start + 1000, sinceBoot: 1_200_000)
    #expect(keeper.board.sealEpoch(period: 600) == 2002 && keeper.board.openEpoch(period: 600) == 2002)
    #expect(keeper.nodeTime == start + 1200)
  }

  /// Told that the node was set back while it runs: the next epoch, other counts, and no number twice.
  @Test func aDistrustedRecordIsARolledBackOne() throws {
    let keeper = try keeper()
    keeper.follow(others, clock: start, sinceBoot: 0)
    keeper.tick(clock: start + 1200, sinceBoot: 1_200_000)
    var counter = try SealingCounter(lcore: 0, board: keeper.board)
    counter.begin()
    let sealed = counter.next(member: 0)
    let before = try #require(sealed)
    keeper.distrust(atStart: false, clock: start + 1200, sinceBoot: 1_200_000, random: 1 << 30)
    #expect(keeper.board.sealEpoch(period: 600) == 2003 && keeper.board.openEpoch(period: 600) == 2002)
    counter.begin()
    let resealed = counter.next(member: 0)
    let after = try #require(resealed)
    #expect(after > before + 1 << 29)
    // A second one within the epoch is two ahead: it waits until the clock is one further.
    keeper.distrust(atStart: false, clock: start + 1200, sinceBoot: 1_200_000, random: 1 << 30)
    #expect(keeper.board.sealEpoch(period: 600) == nil)
    keeper.tick(clock: start + 1800, sinceBoot: 1_800_000)
    #expect(keeper.board.sealEpoch(period: 600) == 2004)
    #expect(try record()?.leads.count == 3)
  }

  /// A start that did not trust its record has taken its lead already; one that did takes it now.
  @Test func atTheStartOneLeadIsEnough() throws {
    let first = try keeper(waits: false)
    first.distrust(atStart: true, clock: start, sinceBoot: 0)
    #expect(first.board.sealEpoch(period: 600) == 2001)
    let second = try keeper(waits: false, clock: start + 1200)
    #expect(second.start == .continued)
    #expect(second.board.sealEpoch(period: 600) == 2002)
    second.distrust(atStart: true, clock: start + 1200, sinceBoot: 0, random: 9)
    #expect(second.board.sealEpoch(period: 600) == 2003)
    // Also when it is told before anything was written.
    let third = try keeper(clock: start + 2400)
    third.distrust(atStart: true, clock: start + 2400, sinceBoot: 0)
    third.follow(others, clock: start + 2400, sinceBoot: 2_400_000)
    #expect(third.start == .continued)
    #expect(third.board.sealEpoch(period: 600) == 2005)
  }
}
