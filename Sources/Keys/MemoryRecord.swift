/// A counter record in memory, for a connection's counts: they begin with the connection and end with the process, which
/// asks for a new connection when it starts again (wire format, section 5).
final class MemoryRecord: RecordMedium {
  private var record: [UInt8] = []
  private var witness: [UInt8] = []

  func readRecord() -> [UInt8] { record }

  func writeRecord(_ slot: [UInt8], at offset: Int) {
    if record.count < offset + slot.count {
      record += Array(repeating: 0, count: offset + slot.count - record.count)
    }
    record.replaceSubrange(offset..<offset + slot.count, with: slot)
  }

  func syncRecord() {}
  func stamp() -> RecordStamp { RecordStamp(inode: 0, changeSeconds: 0, changeNanoseconds: 0) }
  func readWitness() -> [UInt8] { witness }
  func writeWitness(_ octets: [UInt8]) { witness = octets }
}

extension RecordKeeper {
  /// For a client: the keys of a new connection have sealed nothing, so that no epoch is skipped.
  package convenience init(
    connectionPeriods periods: some Sequence<Int>, clock: UInt64 = NodeSystem.clock()
  ) throws(RecordError) {
    let medium = MemoryRecord()
    let boot = [UInt8](repeating: 0, count: 16)
    var slots = RecordSlots(medium: medium)
    try slots.save(CounterRecord(sequence: 0, time: min(clock, CounterRecord.mostSeconds - 1), bound: 0, bootID: boot))
    try self.init(medium: medium, path: "", periods: periods, clock: clock, bootID: boot)
  }
}
