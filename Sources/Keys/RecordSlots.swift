/// The record on its medium: two slots written in turn, so that a torn write leaves the other slot, whose counts were
/// the last ones used: the first packet beyond them waits until the new slot is durable.
///
/// The witness, written after each slot, holds the slot's sequence number and the file's stamp. Within one boot it
/// shows that the record is the last one written and not an old one put back; across boots nothing can, and nothing is
/// assumed.
package struct RecordSlots {
  private let medium: any RecordMedium
  /// What `load` found, and may have seen in memory only: the last writer's sync may have failed.
  private var unsettled: CounterRecord?

  package init(medium: any RecordMedium) { self.medium = medium }

  private static let witnessMagic: UInt64 = 0x4b57_4556_5749_5431  // "KWEVWIT1"

  enum Found: Equatable {
    case nothing
    /// Neither slot is whole.
    case broken
    case record(CounterRecord, isWitnessed: Bool)
    /// Some other file, which is not to be overwritten.
    case foreign
  }

  mutating func load() throws(RecordError) -> Found {
    let octets = try medium.readRecord()
    guard octets.contains(where: { $0 != 0 }) else { return .nothing }
    let size = CounterRecord.slotSize
    let slots = [octets.prefix(size), octets.dropFirst(size).prefix(size)].map(Array.init)
    let records = slots.compactMap(CounterRecord.init(slot:))
    guard let latest = records.max(by: { $0.sequence < $1.sequence }) else {
      let isOurs = octets.count <= 2 * size && slots.contains(where: CounterRecord.mayBeTorn)
      return isOurs ? .broken : .foreign
    }
    let isWitnessed = try medium.readWitness() == Self.witness(of: latest, stamp: medium.stamp())
    unsettled = latest
    return .record(latest, isWitnessed: isWitnessed)
  }

  /// Returns when the record is durable. A record that failed is written to the same slot again, never to the last good
  /// one.
  package mutating func save(_ record: CounterRecord) throws(RecordError) {
    if let found = unsettled {
      // The other slot is overwritten next: this one must outlast a torn write. It gets no witness: it may be an old one.
      try write(found)
      try medium.syncRecord()
      unsettled = nil
    }
    try write(record)
    // Before the sync: the witness is for a restart in the same boot, which sees what was written whether synced or
    // not, and a kill between the two costs a lead.
    try medium.writeWitness(Self.witness(of: record, stamp: medium.stamp()))
    try medium.syncRecord()
  }

  private func write(_ record: CounterRecord) throws(RecordError) {
    try medium.writeRecord(record.slot, at: Int(record.sequence & 1) * CounterRecord.slotSize)
  }

  private static func witness(of record: CounterRecord, stamp: RecordStamp) -> [UInt8] {
    let numbers = [witnessMagic, record.sequence, stamp.inode, stamp.changeSeconds, stamp.changeNanoseconds]
    return numbers.flatMap { number in withUnsafeBytes(of: number.bigEndian) { Array($0) } }
  }
}
