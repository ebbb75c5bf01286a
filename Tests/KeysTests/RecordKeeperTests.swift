import Keys
import Testing

@Suite struct RecordKeeperTests {
  private let disk = SimulatedDisk()
  private let start: UInt64 = 1_200_000  // the beginning of epoch 2000 of 600 s

  private func keeper(at clock: UInt64, periods: [Int] = [600], random: UInt64 = 400) throws -> RecordKeeper {
    try RecordKeeper(
      medium: disk.opened(), path: "r", periods: periods, clock: clock, bootID: disk.bootID, random: { random })
  }

  private func counter(_ keeper: RecordKeeper, lcore: Int = 0) throws -> SealingCounter {
    try SealingCounter(lcore: lcore, board: keeper.board)
  }

  private func counts(_ counter: inout SealingCounter, _ wanted: Int) -> [UInt64] {
    counter.begin()
    return (0..<wanted).compactMap { _ in counter.next(member: 0) }
  }

  @Test func theFirstStartIsOneEpochAheadAtARandomCount() throws {
    let keeper = try keeper(at: start + 10)
    #expect(keeper.start == .first)
    #expect(keeper.board.sealEpoch(period: 600) == 2001)
    #expect(keeper.board.openEpoch(period: 600) == 2000)
    var counter = try counter(keeper)
    #expect(counts(&counter, 3) == [100, 101, 102])
    // One ahead until the clock is there, then the clock's.
    keeper.tick(clock: start + 599)
    #expect(keeper.board.sealEpoch(period: 600) == 2001)
    keeper.tick(clock: start + 600)
    #expect(keeper.board.sealEpoch(period: 600) == 2001)
    #expect(keeper.board.openEpoch(period: 600) == 2001)
    keeper.tick(clock: start + 1200)
    #expect(keeper.board.sealEpoch(period: 600) == 2002)
  }

  @Test func aRestartInTheSameBootGoesOnAtTheBound() throws {
    let first = try keeper(at: start)
    var used = try counter(first)
    #expect(counts(&used, 1000).last == 1099)
    let again = try keeper(at: start + 5, random: 999_999)
    #expect(again.start == .continued)
    #expect(again.board.sealEpoch(period: 600) == 2001, "the lead of the first start holds")
    var counter = try counter(again)
    #expect(counts(&counter, 1) == [100 + RecordKeeper.block])
  }

  @Test func anotherBootIsOneEpochFurtherAndWaits() throws {
    _ = try keeper(at: start)
    disk.reboot()
    let second = try keeper(at: start + 60)
    #expect(second.start == .otherBoot)
    #expect(second.board.sealEpoch(period: 600) == nil, "2002 is two ahead of the clock")
    #expect(second.board.openEpoch(period: 600) == 2000)
    #expect(second.secondsUntilSealing(period: 600, clock: start + 60) == 540)
    second.tick(clock: start + 599)
    #expect(second.board.sealEpoch(period: 600) == nil)
    second.tick(clock: start + 600)
    #expect(second.board.sealEpoch(period: 600) == 2002)
    #expect(second.secondsUntilSealing(period: 600, clock: start + 600) == 0)
    // A clock set back does not take the epoch back, nor the permission.
    second.tick(clock: start)
    #expect(second.board.sealEpoch(period: 600) == 2002)
    #expect(second.board.openEpoch(period: 600) == 2001)
    second.tick(clock: start + 1800)
    #expect(second.board.sealEpoch(period: 600) == 2003)
  }

  /// As many boots as one likes within an epoch: each is one further, also beyond what the record has room for.
  @Test(arguments: [60, 600, 1800])
  func everyLeadIsOneFurther(period: Int) throws {
    var last: UInt64 = 0
    for boot in 1...30 {
      _ = try keeper(at: start, periods: [period])
      let record = try #require(latestRecord())
      #expect(record.leads.count <= CounterRecord.mostLeads)
      // Far in the future the lead itself shows nothing: ask a keeper at the time when it is let go.
      let late = start + UInt64(boot) * 1800 * 20
      let copy = disk.cached
      let keeper = try keeper(at: late, periods: [period])
      #expect(keeper.start == .continued)
      disk.cached = copy
      let floor = record.leadEpoch(period: UInt32(period))
      #expect(floor > last)
      last = floor
      disk.reboot()
    }
  }

  private func latestRecord() -> CounterRecord? {
    let octets = disk.cached.record?.octets ?? []
    let slots = [octets.prefix(512), octets.dropFirst(512)]
    return slots.compactMap { CounterRecord(slot: Array($0)) }.max { $0.sequence < $1.sequence }
  }

  @Test(arguments: [true, false])
  func anOldRecordPutBackIsSeen(asNewFile: Bool) throws {
    var keeper = try keeper(at: start)
    let old = disk.cached.record?.octets
    let oldWitness = disk.cached.witness
    var counter = try counter(keeper)
    #expect(counts(&counter, 10).count == 10)
    keeper.tick(clock: start + 700)
    disk.putBack(old, asNewFile: asNewFile)
    // Even together with the witness of its time.
    disk.cached.witness = oldWitness
    keeper = try self.keeper(at: start + 701, random: 4_000_000)
    #expect(keeper.start == .putBack)
    #expect(keeper.board.sealEpoch(period: 600) == 2002)
    var again = try self.counter(keeper)
    #expect(counts(&again, 1) == [100 + RecordKeeper.block + 4_000_000])
  }

  @Test func aDeletedOrDamagedRecordCountsAsMissing() throws {
    _ = try keeper(at: start)
    disk.putBack(nil, asNewFile: true)
    let keeper = try keeper(at: start + 601, random: 40)
    #expect(keeper.start == .first)
    #expect(keeper.board.sealEpoch(period: 600) == 2002)
    var octets = try #require(disk.cached.record?.octets)
    for slot in 0..<octets.count / 512 { octets[512 * slot + 20] ^= 1 }
    disk.putBack(octets, asNewFile: false)
    #expect(try self.keeper(at: start + 1300).start == .broken)
  }

  /// Killed between write and sync, then without power: the torn slot is not believed, and the other one is there.
  @Test func aTornWriteLeavesTheOtherSlot() throws {
    for seed in 0..<64 as Range<UInt64> {
      let disk = SimulatedDisk()
      let keeper = try RecordKeeper(
        medium: disk.opened(), path: "r", periods: [600], clock: start, bootID: disk.bootID, random: { 400 })
      keeper.tick(clock: start + 700)
      disk.diesAt = disk.steps + 2
      keeper.tick(clock: start + 1400)
      var draw: UInt64 = 0
      disk.losePower {
        draw += 1
        return draw == 1 ? 0 : (seed &* 0x9e37_79b9 &* draw) >> 7
      }
      disk.diesAt = nil
      let again = try RecordKeeper(
        medium: disk.opened(), path: "r", periods: [600], clock: 0, bootID: disk.bootID, random: { 0 })
      #expect(again.start == .otherBoot)
      #expect(again.board.openEpoch(period: 600) ?? 0 >= 2001)
    }
  }

  @Test func leavesOtherFilesAlone() throws {
    disk.putBack(Array("trust_groups:\n".utf8), asNewFile: true)
    let error = try #require(throws: RecordError.self) { try keeper(at: start) }
    #expect(error == .notARecord(path: "r"))
    #expect(disk.cached.record?.octets == Array("trust_groups:\n".utf8))
  }

  @Test func aClockSetBackOrForwardNeverTakesAnEpochBack() throws {
    let first = try keeper(at: start)
    first.tick(clock: start + 1200)
    #expect(first.board.sealEpoch(period: 600) == 2002)
    let back = try keeper(at: start - 100_000)
    #expect(back.start == .continued)
    #expect(back.board.openEpoch(period: 600) == 2002)
    #expect(back.board.sealEpoch(period: 600) == 2002)
    back.tick(clock: start + 6000)
    #expect(back.board.sealEpoch(period: 600) == 2010)
    back.tick(clock: start)
    #expect(back.board.sealEpoch(period: 600) == 2010)
    let again = try keeper(at: start)
    #expect(again.board.sealEpoch(period: 600) == 2010)
    #expect(again.board.openEpoch(period: 600) == 2010)
  }

  /// A lead waits for the clock wherever that went; it is let go when the epoch is at most one ahead.
  @Test func aLeadWaitsForAClockSetBack() throws {
    _ = try keeper(at: start)
    let back = try keeper(at: start - 6000)
    #expect(back.board.sealEpoch(period: 600) == nil)
    back.tick(clock: start - 1)
    #expect(back.board.sealEpoch(period: 600) == nil)
    back.tick(clock: start)
    #expect(back.board.sealEpoch(period: 600) == 2001)
  }

  @Test func clocksThatAreNonsenseDoNotTrap() throws {
    let keeper = try keeper(at: .max)
    keeper.tick(clock: 0)
    keeper.tick(clock: .max)
    keeper.use(periods: [0, -5, 60, .max], clock: .max)
    #expect(try self.keeper(at: 0).start == .continued)
  }

  @Test func sealingStopsWhileTheRecordCannotBeWritten() throws {
    let keeper = try keeper(at: start)
    var counter = try counter(keeper)
    let first = counts(&counter, 5)
    disk.failsToSync = true
    keeper.tick(clock: start + 1300)
    #expect(keeper.problem?.description.contains("I/O error") == true)
    #expect(counts(&counter, 5) == [])
    #expect(keeper.board.openEpoch(period: 600) == 2002, "opening goes on")
    disk.failsToSync = false
    disk.failsToWrite = true
    keeper.tick(clock: start + 1900)
    #expect(counts(&counter, 5) == [])
    #expect(keeper.board.openEpoch(period: 600) == 2003)
    disk.failsToWrite = false
    keeper.tick(clock: start + 1900)
    #expect(keeper.problem == nil)
    #expect(keeper.board.sealEpoch(period: 600) == 2003)
    let more = counts(&counter, 5)
    #expect(more.count == 5)
    #expect(Set(first).isDisjoint(with: more))
  }

  @Test func aStartThatCannotWriteOnlyOpens() throws {
    disk.failsToWrite = true
    let keeper = try keeper(at: start)
    var counter = try counter(keeper)
    #expect(counts(&counter, 1) == [])
    #expect(keeper.board.openEpoch(period: 600) == 2000)
    #expect(keeper.board.sealEpoch(period: 600) == nil)
    disk.failsToWrite = false
    keeper.tick(clock: start + 1)
    #expect(counts(&counter, 1) == [100])
    #expect(keeper.board.sealEpoch(period: 600) == 2001)
  }

  @Test func aRecordMovedAwayStopsSealing() throws {
    let keeper = try keeper(at: start)
    disk.putBack(nil, asNewFile: true)
    keeper.tick(clock: start + 700)
    #expect(keeper.problem == .replaced(path: "r"))
    var counter = try counter(keeper)
    #expect(counts(&counter, 1) == [])
  }

  @Test func theBoundStaysAheadOfTheFastestLcore() throws {
    let keeper = try keeper(at: start)
    var slow = try counter(keeper, lcore: 1)
    var fast = try counter(keeper, lcore: 2)
    #expect(counts(&slow, 1) == [1 << 37 | 100])
    let burst = Int(RecordKeeper.block) / 4
    for _ in 0..<12 {
      fast.begin()
      for _ in 0..<burst {
        guard fast.next(member: 0) != nil else {
          Issue.record("the bound was reached")
          return
        }
      }
      fast.begin()
      keeper.tick(clock: start + 1)
    }
    let record = try #require(latestRecord())
    #expect(record.bound >= 100 + 3 * RecordKeeper.block)
    #expect(counts(&slow, 1) == [1 << 37 | 101], "an lcore's count is its own")
  }

  @Test func withoutTheKeeperAnLcoreEndsAtTheBound() throws {
    let keeper = try keeper(at: start)
    var counter = try counter(keeper)
    counter.begin()
    var taken: UInt64 = 0
    while counter.next(member: 0) != nil { taken += 1 }
    #expect(taken == RecordKeeper.block)
    counter.begin()
    keeper.tick(clock: start)
    #expect(counter.next(member: 0) == nil, "the limit is the burst's")
    counter.begin()
    #expect(counter.next(member: 0) == 100 + RecordKeeper.block)
  }

  /// Windows lift idle lcores, so that all counts of an epoch lie within 2^37 of each other.
  @Test func aWindowLiftsEveryLcore() throws {
    let keeper = try keeper(at: start)
    var counter = try counter(keeper)
    #expect(counts(&counter, 1) == [100])
    keeper.tick(clock: start + 1799)
    #expect(counts(&counter, 1) == [101])
    keeper.tick(clock: start + 1800)
    let record = try #require(latestRecord())
    #expect((record.previousBase, record.currentBase) == (100, 100 + RecordKeeper.block))
    #expect(counts(&counter, 1) == [100 + RecordKeeper.block])
  }

  /// 2^37 within an epoch is the end, until enough epochs have gone by; reached through records put on the disk.
  @Test func refusesMoreThanTwoToThe37InAnEpoch() throws {
    _ = try keeper(at: start)
    var record = try #require(latestRecord())
    record.bound = record.previousBase + 1 << 37 - 5
    record.sequence += 1
    try writeWitnessed(record)
    let keeper = try keeper(at: start + 1)
    #expect(keeper.start == .continued)
    var counter = try counter(keeper)
    #expect(counts(&counter, 100).count == 5)
    keeper.tick(clock: start + 1799)
    #expect(counts(&counter, 100).count == 0, "three epochs on, but the window is not over")
    keeper.tick(clock: start + 1800)
    #expect(counts(&counter, 100).count == 0, "its base still counts")
    keeper.tick(clock: start + 3600)
    #expect(counts(&counter, 100).count == 100)
  }

  /// A record that the node believes: in its slot, and witnessed.
  private func writeWitnessed(_ record: CounterRecord) throws {
    var slots = RecordSlots(medium: disk.opened())
    try slots.save(record)
  }

  @Test func noWindowEndsWhileALeadIsAhead() throws {
    let keeper = try keeper(at: start, periods: [1800])
    disk.reboot()
    _ = keeper
    // The second boot in the epoch leads by two and waits; its epoch lasts to the end of the one that it is ahead of.
    let second = try self.keeper(at: start + 1, periods: [1800])
    let base = try #require(latestRecord()).currentBase
    let end = (start / 1800 + 2) * 1800
    for clock in stride(from: start, to: end, by: 60) {
      second.tick(clock: clock)
      #expect(latestRecord()?.currentBase == base)
    }
    second.tick(clock: end)
    #expect(try #require(latestRecord()).currentBase > base)
  }

  @Test func periodsComeAndGo() throws {
    let keeper = try keeper(at: start, periods: [600])
    #expect(keeper.board.openEpoch(period: 60) == nil)
    keeper.use(periods: [60, 600], clock: start + 10)
    #expect(keeper.board.openEpoch(period: 60) == 20_000)
    #expect(keeper.board.sealEpoch(period: 60) == 20_001)
    keeper.use(periods: [60], clock: start + 700)
    #expect(keeper.board.sealEpoch(period: 600) == nil)
    #expect(keeper.board.sealEpoch(period: 60) == 20_011)
  }
}
