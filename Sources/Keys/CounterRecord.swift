/// What a node must not forget about the epochs and counts that it sealed with (wire format, section 4).
///
/// On the medium it is one slot of 512 octets, numbers big-endian: 0 magic and version (8), 8 sequence, 16 time, 24
/// bound, 32 boot ID (16), 48 previous base, 56 current base, 64 window start, 72 number of leads, 80 leads (8 x 8),
/// zeros, 504 checksum.
package struct CounterRecord: Equatable, Sendable {
  /// Counts the records written; its lowest bit names the slot.
  package var sequence: UInt64
  /// The node's time in Unix seconds: no epoch that begins after it has been used to seal.
  package var time: UInt64
  /// No lcore has sealed with this count or a higher one.
  package var bound: UInt64
  /// The kernel's boot ID, 16 octets.
  package var bootID: [UInt8]
  /// The times of the starts whose record may have been rolled back, oldest first; each puts the epoch one further
  /// ahead.
  package var leads: [UInt64]
  /// Every count used since the window before the present one began is at least this.
  package var previousBase: UInt64
  /// Every count used since the present window began is at least this.
  package var currentBase: UInt64
  /// When the present window began, in Unix seconds.
  package var windowStart: UInt64

  package static let slotSize = 512
  package static let mostLeads = 8
  /// Beyond any time and count that can be reached: sums of two of them fit 64 bits.
  static let mostSeconds: UInt64 = 1 << 40
  static let mostCounts: UInt64 = 1 << 63

  private static let magic: UInt64 = 0x4b57_4556_5245_4331  // "KWEVREC1"
  private static let checksumAt = 504
  private static let leadsAt = 80

  /// The first epoch that may be sealed in under this record's leads: one beyond max(clock's, record's) for each of
  /// them.
  package func leadEpoch(period: UInt32) -> UInt64 {
    leads.reduce(0) { max($0, Epoch.number(at: $1, period: period)) + 1 }
  }

  /// Adds a start at `time` to the leads. Older ones go when they cannot matter any more, for no period.
  mutating func addLead(at time: UInt64) {
    let longest = UInt64(TrustGroup.epochPeriods.upperBound)
    let last = leads.max() ?? 0
    // The leads so far reach at most epoch(last) + their number, which any period reaches within that many of the
    // longest.
    let passed = last + UInt64(leads.count) * longest
    if time >= passed {
      leads = [time]
    } else if leads.count == Self.mostLeads {
      leads = [passed]
    } else {
      leads.append(time)
    }
  }

  /// What a record that may have been rolled back goes on with: an epoch further, and every count from `bound` on.
  mutating func startAnew() {
    addLead(at: time)
    previousBase = bound
    currentBase = bound
    windowStart = time
  }

  package var slot: [UInt8] {
    var octets: [UInt8] = []
    octets.reserveCapacity(Self.slotSize)
    func append(_ number: UInt64) { withUnsafeBytes(of: number.bigEndian) { octets.append(contentsOf: $0) } }
    for number in [Self.magic, sequence, time, bound] { append(number) }
    octets += bootID
    for number in [previousBase, currentBase, windowStart, UInt64(leads.count)] + leads { append(number) }
    octets += Array(repeating: 0, count: Self.checksumAt - octets.count)
    append(Self.checksum(octets))
    return octets
  }

  /// Nil for a slot that was never written, was torn, or holds what no record can.
  package init?(slot: [UInt8]) {
    guard slot.count == Self.slotSize, Self.number(slot, at: 0) == Self.magic,
      Self.number(slot, at: Self.checksumAt) == Self.checksum(Array(slot.prefix(Self.checksumAt)))
    else { return nil }
    let count = Self.number(slot, at: 72)
    guard count <= UInt64(Self.mostLeads) else { return nil }
    sequence = Self.number(slot, at: 8)
    time = Self.number(slot, at: 16)
    bound = Self.number(slot, at: 24)
    bootID = Array(slot[32..<48])
    previousBase = Self.number(slot, at: 48)
    currentBase = Self.number(slot, at: 56)
    windowStart = Self.number(slot, at: 64)
    leads = (0..<Int(count)).map { Self.number(slot, at: Self.leadsAt + 8 * $0) }
    guard sequence < UInt64.max, ([time, windowStart] + leads).allSatisfy({ $0 < Self.mostSeconds }),
      [bound, previousBase, currentBase].allSatisfy({ $0 < Self.mostCounts })
    else { return nil }
  }

  package init(sequence: UInt64, time: UInt64, bound: UInt64, bootID: [UInt8]) {
    self.sequence = sequence
    self.time = time
    self.bound = bound
    self.bootID = bootID
    leads = []
    previousBase = bound
    currentBase = bound
    windowStart = time
  }

  /// Whether a slot that is not whole has our magic, or at least the zeros of our layout, which no text has.
  static func mayBeTorn(_ slot: [UInt8]) -> Bool {
    guard slot.count == slotSize else { return false }
    return number(slot, at: 0) == magic || slot[(leadsAt + 8 * mostLeads)..<checksumAt].allSatisfy { $0 == 0 }
  }

  static func number(_ octets: [UInt8], at offset: Int) -> UInt64 {
    octets[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// FNV-1a in 64 bits: it tells a torn slot from a whole one; it is no defence against a forger, who could write any
  /// record.
  static func checksum(_ octets: [UInt8]) -> UInt64 {
    octets.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
