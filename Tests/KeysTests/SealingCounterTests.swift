import Keys
import Testing

@Suite struct SealingCounterTests {
  @Test func refusesNumbersThatItsBitsCannotHold() throws {
    let memory = SealingBoardMemory()
    for member in [-1, 64, 65, .max] {
      #expect(throws: SealingNumberError.member(member)) { try SealingCounter.check(member: member) }
    }
    for member in [0, 1, 63] { try SealingCounter.check(member: member) }
    for lcore in [-1, 32, .max] {
      #expect(throws: SealingNumberError.lcore(lcore)) {
        try SealingCounter(lcore: lcore, board: memory.board)
      }
    }
    #expect(SealingNumberError.member(64).description.contains("expected 0 to 63"))
  }

  @Test func nothingIsSealedBeforeTheRecordIsThere() throws {
    let memory = SealingBoardMemory()
    var counter = try SealingCounter(lcore: 0, board: memory.board)
    counter.begin()
    #expect(counter.next(member: 0) == nil)
    for period in 0...4000 as ClosedRange<UInt32> {
      #expect(memory.board.sealEpoch(period: period) == nil)
      #expect(memory.board.openEpoch(period: period) == nil)
    }
    #expect(memory.board.openEpoch(period: .max) == nil)
  }

  @Test func putsMemberAndLcoreAboveTheSequence() throws {
    let disk = SimulatedDisk()
    let keeper = try RecordKeeper(
      medium: disk.opened(), path: "r", periods: [600], clock: 1_000_000, bootID: disk.bootID,
      random: { 0x3fff_ffff_ffff_fff0 })
    // The count begins at random() >> 2, and its sequence is the lowest 37 bits.
    let first: UInt64 = 0x0fff_ffff_ffff_fffc
    var a = try SealingCounter(lcore: 31, board: keeper.board)
    var b = try SealingCounter(lcore: 2, board: keeper.board)
    a.begin()
    b.begin()
    let mask: UInt64 = 1 << 37 - 1
    for step in 0..<10 as Range<UInt64> {
      #expect(a.next(member: 63) == 63 << 42 | 31 << 37 | (first + step) & mask)
      #expect(b.next(member: 1) == 1 << 42 | 2 << 37 | (first + step) & mask)
    }
  }

  /// A node with a number of its own in each of two groups has one sequence in both.
  @Test func oneSequenceForTheMembersOfAllGroups() throws {
    let disk = SimulatedDisk()
    let keeper = try RecordKeeper(
      medium: disk.opened(), path: "r", periods: [600], clock: 1_000_000, bootID: disk.bootID, random: { 400 })
    var counter = try SealingCounter(lcore: 5, board: keeper.board)
    counter.begin()
    var sequences: Set<UInt64> = []
    for step in 0..<100 {
      let member: UInt8 = step % 3 == 0 ? 9 : 2
      let taken = counter.next(member: member)
      let number = try #require(taken)
      #expect(number >> 37 == UInt64(member) << 5 | 5)
      #expect(sequences.insert(number & (1 << 42 - 1)).inserted)
    }
  }

  @Test func epochsForOpeningAlone() {
    let memory = SealingBoardMemory()
    memory.setOpenEpochs(at: 1_000_000)
    #expect(memory.board.openEpoch(period: 60) == 16_666)
    #expect(memory.board.openEpoch(period: 1800) == 555)
    #expect(memory.board.openEpoch(period: 59) == nil)
    #expect(memory.board.openEpoch(period: 1801) == nil)
    #expect(memory.board.sealEpoch(period: 600) == nil)
  }
}
