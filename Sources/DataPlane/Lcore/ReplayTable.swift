package import Keys
internal import Synchronization

/// The replay windows of a gateway, shared by its lcores: memory of one size, taken at start, without a lock.
///
/// A window belongs to a data key, a member and an lcore number, for as long as any receiver may accept the key's epoch. Its
/// first word, the name, lies with seven others in a bucket of one cache line, where it is looked for; the rest lies at the
/// same place of a second array:
///
///     name     deadline (27 bits) | hash of the sender (37)
///     check    deadline (27 bits) | another hash of the sender (37)
///     head     deadline (27 bits) | the highest sequence marked (37)
///     word     block number + salt (32 bits) | a bit for each of the block's 32 packets     x 4 to 256
///
/// Every word changes by compare-and-swap alone and says itself whether it is the present sender's, so that a place is taken
/// over in one swap, nothing has to be cleared, and an lcore that comes late with a packet of the place's former sender
/// changes nothing.
///
/// **One window for each sender.** A search goes through up to sixteen buckets, in an order that is the sender's own, and ends at
/// its window or at the first place that is free for it. A place's deadline only rises, and what is free for a sender
/// follows from its epoch alone, so a place that is taken stays taken for it: two lcores that enter a sender at once swap the
/// same name, and one sees the other's.
///
/// **Every packet once.** The head moves before a packet's bit is set, and setting the bit is one swap that fails if it is
/// there. A word is overwritten with a newer block only when the old block's packets are late by the head: windows have words
/// for twice the packets that they look back.
package final class ReplayTable: @unchecked Sendable {
  typealias Word = Atomic<UInt64>

  /// The lower 37 bits of a word.
  static var low: UInt64 { 1 << 37 - 1 }
  /// The table's time ends here, 17 years after its start: senders have no windows then.
  static var latest: UInt64 { 1 << 27 - 1 }
  /// Buckets that a search goes through; with three quarters of the places taken, two or three are enough.
  static var probes: Int { 16 }
  /// Windows of one connection in one epoch, for what its client seals.
  static var windowsPerConnection: Int { 4 }

  package let shape: ReplayShape
  private let names: UnsafeMutablePointer<Word>
  private let windows: UnsafeMutablePointer<Word>
  private let seed: (UInt64, UInt64, UInt64, UInt64)
  private let start: UInt64

  /// - Parameter start: Unix seconds; no packet's epoch is earlier.
  package init(_ shape: ReplayShape, start: UInt64) {
    self.shape = shape
    self.start = start
    names = Self.zeroed(shape.capacity)
    windows = Self.zeroed(shape.capacity * shape.stride)
    var random = SystemRandomNumberGenerator()
    // Odd, as one that is zero would hide what it is multiplied with.
    seed = (random.next() | 1, random.next() | 1, random.next() | 1, random.next() | 1)
  }

  deinit {
    names.deallocate()
    windows.deallocate()
  }

  /// Written once, so that no lcore waits for the kernel to find the page.
  private static func zeroed(_ count: Int) -> UnsafeMutablePointer<Word> {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 8, alignment: 64)
    let words = raw.bindMemory(to: Word.self, capacity: count)
    for index in 0..<count { (words + index).initialize(to: Word(0)) }
    return words
  }

  /// Unix seconds as the table counts them: in fours since its start, which is exact for every epoch period that four divides.
  @inline(__always)
  static func time(_ seconds: UInt64, since start: UInt64, roundedUp: Bool) -> UInt64 {
    let elapsed = seconds > start ? seconds &- start : 0
    return roundedUp ? min((elapsed &+ 3) >> 2, latest) : min(elapsed >> 2, latest &- 1)
  }

  /// - Parameter windows: by group, 0 for a group without protection; kept as long as the view.
  func view(windows sizes: UnsafePointer<UInt16>) -> ReplayView {
    ReplayView(
      names: names, places: windows, stride: shape.stride, bucketMask: shape.capacity / ReplayShape.ways - 1,
      wordMask: UInt64(shape.words - 1), seed: seed, start: start, windows: sizes)
  }

  /// Windows that a new sender could not have.
  ///
  /// - Parameter seconds: when the epoch before the sender's began.
  package func count(inUseAt seconds: UInt64) -> Int {
    let free = Self.time(seconds, since: start, roundedUp: false)
    return (0..<shape.capacity).count { names[$0].load(ordering: .relaxed) >> 37 > free }
  }
}

/// What an lcore holds of a replay table: plain values.
package struct ReplayView: @unchecked Sendable {
  let names: UnsafeMutablePointer<ReplayTable.Word>
  let places: UnsafeMutablePointer<ReplayTable.Word>
  let stride: Int
  let bucketMask: Int
  let wordMask: UInt64
  let seed: (UInt64, UInt64, UInt64, UInt64)
  let start: UInt64
  /// By group.
  let windows: UnsafePointer<UInt16>
}

/// A table with the windows of a snapshot's groups.
package final class ReplayProtection: @unchecked Sendable {
  package let view: ReplayView
  private let table: ReplayTable
  private let windows: UnsafeMutableBufferPointer<UInt16>

  /// - Parameter windows: by group, 0 for one without protection; none is larger than the table's largest.
  package init(_ table: ReplayTable, windows: [Int]) {
    self.table = table
    self.windows = .copied(from: windows.map { UInt16(clamping: min($0, table.shape.largestWindow)) })
    view = table.view(windows: UnsafePointer(self.windows.baseAddress.unsafelyUnwrapped))
  }

  deinit { windows.deallocate() }
}

/// What a window says to a packet.
package enum ReplayVerdict: Equatable, Sendable {
  /// Not seen before.
  case first
  case late
  case duplicate
  /// No window for this sender: the table is full, or a client has used its four up. The epoch alone bounds replays.
  case tableFull
  case connectionFull
}
