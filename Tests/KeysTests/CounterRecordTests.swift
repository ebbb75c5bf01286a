import Keys
import Testing

@Suite struct CounterRecordTests {
  private let record = {
    var record = CounterRecord(sequence: 9, time: 1_800_000_000, bound: 1 << 61, bootID: Array(1...16))
    record.leads = [5, 6, 7]
    record.previousBase = 77
    record.currentBase = 88
    record.windowStart = 99
    return record
  }()

  @Test func readsWhatItWrote() {
    #expect(record.slot.count == 512)
    #expect(CounterRecord(slot: record.slot) == record)
    #expect(Array(record.slot.prefix(8)) == Array("KWEVREC1".utf8))
  }

  @Test func everyDamagedOctetIsSeen() {
    for position in 0..<512 {
      for bit in 0..<8 {
        var slot = record.slot
        slot[position] ^= 1 << bit
        #expect(CounterRecord(slot: slot) == nil)
      }
    }
  }

  @Test func everyTornWriteIsSeen() {
    var next = record
    next.sequence = 11
    next.time += 600
    next.bound += 1 << 24
    for cut in 1..<512 {
      let torn = Array(next.slot[..<cut] + record.slot[cut...])
      #expect([nil, record, next].contains(CounterRecord(slot: torn)))
    }
    #expect(CounterRecord(slot: Array(next.slot[..<256] + record.slot[256...])) == nil)
  }

  @Test func refusesOtherLengthsAndNumbersOutOfReach() {
    for count in [0, 1, 8, 511, 513, 1024] {
      #expect(CounterRecord(slot: Array(repeating: 0, count: count)) == nil)
    }
    var huge = record
    huge.bound = 1 << 63
    #expect(CounterRecord(slot: huge.slot) == nil)
    huge = record
    huge.time = .max
    #expect(CounterRecord(slot: huge.slot) == nil)
    huge = record
    huge.leads = [.max]
    #expect(CounterRecord(slot: huge.slot) == nil)
  }
}
