import Keys
import Testing

@Suite struct SealingCounterTests {
  @Test func refusesNumbersThatItsBitsCannotHold() throws {
    let memory = SealingBoardMemory()
    for member in [-1, 64, 65, .max] {
      #expect(throws: SealingNumberError.member(member)) {
        try SealingCounter(member: member, lcore: 0, board: memory.board)
      }
    }
    for lcore in [-1, 32, .max] {
      #expect(throws: SealingNumberError.lcore(lcore)) {
        try SealingCounter(member: 0, lcore: lcore, board: memory.board)
      }
    }
    #expect(SealingNumberError.member(64).description.contains("expected 0 to 63"))
  }

  @Test func nothingIsSealedBeforeTheRecordIsThere() throws {
    let memory = SealingBoardMemory()
    var counter = try SealingCounter(member: 0, lcore: 0, board: memory.board)
    counter.begin()
    #expect(counter.next() == nil)
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
    var a = try SealingCounter(member: 63, lcore: 31, board: keeper.board)
    var b = try SealingCounter(member: 1, lcore: 2, board: keeper.board)
    a.begin()
    b.begin()
    let mask: UInt64 = 1 << 37 - 1
    for step in 0..<10 as Range<UInt64> {
      #expect(a.next() == 63 << 42 | 31 << 37 | (first + step) & mask)
      #expect(b.next() == 1 << 42 | 2 << 37 | (first + step) & mask)
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
