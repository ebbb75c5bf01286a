import DataPlane
import Keys
import Wire

/// A replay table of one group, and packets as senders number them.
struct ReplayLab {
  static let period: UInt64 = 600
  /// An epoch as receivers count it, not reduced.
  static let epoch: UInt64 = 3_000_000

  let table: ReplayTable
  let protection: ReplayProtection
  var view: ReplayView { protection.view }

  init(windows: Int = 1024, window: Int = 64) {
    self.init(
      ReplayTable(ReplayShape(windows: windows, largestWindow: window), start: Self.epoch * Self.period - 86_400),
      window: window)
  }

  init(_ table: ReplayTable, window: Int) {
    self.table = table
    protection = ReplayProtection(table, windows: [window])
  }

  struct Sender: Hashable {
    var id: UInt64 = 42
    var member: UInt64 = 0
    var lcore: UInt64 = 0
    var epoch = ReplayLab.epoch
    var variant: UInt8 = 0
    var fingerprint: UInt64 = 7
    var source: UInt64 = 1
    var period = ReplayLab.period
  }

  /// - Parameter own: the receiver's epoch; nil: the packet's.
  func subject(_ sender: Sender, _ sequence: UInt64, own: UInt64? = nil) -> ReplaySubject {
    let variant = Variant(rawValue: sender.variant) ?? Variant(context: .device, suite: .aes256, isWide: false)
    let header = SecurityHeader(
      variant: variant, id: sender.id, epoch: Epoch.onWire(sender.epoch),
      counter: sender.member << 42 | sender.lcore << 37 | sequence & (1 << 37 - 1))
    return view.subject(
      header, group: 0, period: UInt32(sender.period), fingerprint: sender.fingerprint,
      source: IPAddress(high: 0, low: sender.source), own: own ?? sender.epoch)
  }

  /// As one lcore does it with an authentic packet: a look, then the mark.
  @discardableResult
  func receive(_ sender: Sender, _ sequence: UInt64, own: UInt64? = nil) -> ReplayVerdict {
    var subject = subject(sender, sequence, own: own)
    let seen = view.look(&subject)
    return seen == .first ? view.mark(subject) : seen
  }

  /// What a look alone says, for a packet that nobody authenticates.
  func look(_ sender: Sender, _ sequence: UInt64, own: UInt64? = nil) -> ReplayVerdict {
    var subject = subject(sender, sequence, own: own)
    return view.look(&subject)
  }

  /// Places that a new sender of an epoch could not have.
  func used(_ epoch: UInt64 = Self.epoch) -> Int { table.count(inUseAt: (epoch - 1) * Self.period) }
}

/// Repeatable random numbers (splitmix64).
struct Repeatable: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
