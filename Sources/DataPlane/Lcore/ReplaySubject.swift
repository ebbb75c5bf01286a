internal import Keys
package import Wire

/// A packet as replay protection sees it: whose it is, and where it stands among that sender's packets.
///
/// "Whose": the data key (everything that it is derived from, and the master key's fingerprint), member and lcore number.
/// Nothing else chooses the window, so nobody on the way can: all of it goes into the key or the nonce.
package struct ReplaySubject: @unchecked Sendable {
  /// Packets that the window looks back; 0 stands for a packet without protection.
  var window: UInt64
  /// 37 bits.
  var sequence: UInt64
  /// When the last receiver gives the packet's epoch up, in the table's time: 27 bits.
  var deadline: UInt64
  /// What was over by then may be overwritten. It follows from the epoch alone: two lcores that enter one sender at the same
  /// moment find the same places free, whatever time each thinks it is.
  var free: UInt64
  /// The deadline (27 bits) and a hash (37): of the sender, but for a client of its connection and epoch.
  var name: UInt64
  /// The deadline and another hash of the sender.
  var check: UInt64
  /// Where the search begins (17 bits) and how it goes on (10).
  var home: UInt64
  /// Added to block numbers, so that what another sender left in a window is not taken for this one's.
  var salt: UInt32
  /// Sealed by an outside client, who chooses member and lcore bits freely: it gets four windows in each epoch.
  var isClient: Bool
  /// Where `look` found the window.
  var place: UnsafeMutablePointer<ReplayTable.Word>?

  static let none = Self(
    window: 0, sequence: 0, deadline: 0, free: 0, name: 0, check: 0, home: 0, salt: 0, isClient: false)

  var isProtected: Bool { @inline(__always) get { window > 0 } }
}

extension ReplayView {
  /// - Parameters:
  ///   - own: the receiver's epoch, not reduced: the packet's is this one or a neighbour. Nil where every epoch is accepted:
  ///     the packet's is taken for the whole number then.
  @inline(__always)
  package func subject(
    _ header: SecurityHeader, group: Int, period: UInt32, fingerprint: UInt64, source: IPAddress, own: UInt64?
  ) -> ReplaySubject {
    let window = UInt64(windows[group])
    guard window > 0 else { return .none }
    var epoch = UInt64(header.epoch)
    if let own { epoch = own &+ UInt64(bitPattern: Int64(Int16(truncatingIfNeeded: epoch &- own))) }

    let sender = (header.counter >> SealingCounter.sequenceBits) << 4 | UInt64(header.variant.rawValue)
    let isClient = header.variant.context == .connection && header.id & 1 == 0
    let connection = Self.mix(header.id ^ seed.0, epoch ^ seed.1)
    var first = Self.mix(connection ^ fingerprint ^ seed.2, sender ^ seed.3)
    if header.variant.context == .sourceAddress { first = Self.mix(source.high ^ first, source.low ^ seed.1) }
    let second = Self.mix(first ^ seed.0, seed.2)
    let name = isClient ? Self.mix(connection ^ seed.2, seed.3) : first

    // Receivers accept an epoch until the one after the next begins for them; who accepts it now can have an epoch two before
    // it in use, not one three before.
    let deadline = ReplayTable.time((epoch &+ 2) &* UInt64(period), since: start, roundedUp: true)
    let free = ReplayTable.time((max(epoch, 1) &- 1) &* UInt64(period), since: start, roundedUp: false)
    return ReplaySubject(
      window: window, sequence: header.counter & ReplayTable.low, deadline: deadline, free: free,
      name: deadline << 37 | name >> 27, check: deadline << 37 | second >> 27,
      home: (isClient ? name : second) & ReplayTable.latest, salt: UInt32(truncatingIfNeeded: first),
      isClient: isClient)
  }

  /// Both halves of the product, folded.
  @inline(__always) private static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }
}
