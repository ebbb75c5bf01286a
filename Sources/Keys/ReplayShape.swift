/// How large a gateway's replay table is: what a configuration asks for and what it costs, before there is one.
package struct ReplayShape: Equatable, Sendable {
  /// Windows that fit: what was asked for, rounded up to a power of two.
  package let capacity: Int
  /// Packets that the largest window looks back.
  package let largestWindow: Int

  package init(windows: Int, largestWindow: Int) {
    let wanted = min(max(windows, Self.capacities.lowerBound), Self.capacities.upperBound)
    capacity = 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount)
    self.largestWindow = largestWindow
  }

  /// Windows in a bucket: their names take one cache line.
  package static let ways = 8
  package static let capacities = 64...1 << 20
  /// Powers of two: the sizes that a trust group's window may have.
  package static let windows = (6...12).map { 1 << $0 }

  /// Words of 32 packets that a window has, a power of two: twice as many packets as it looks back, so that a word is not
  /// needed for new packets before its old ones are late.
  package var words: Int { largestWindow / 16 }

  /// Words from one window to the next, in whole cache lines: its second name, its head, its packets.
  package var stride: Int { (2 + words + 7) / 8 * 8 }

  /// Octets of the whole table, all taken when the gateway starts.
  package var octets: Int { capacity * (1 + stride) * 8 }
}
