internal import CDPDK
internal import Wire

/// Where an lcore leaves what is not for the fast path: a bounded ring to the slow path's thread.
struct SlowPathRing: @unchecked Sendable {
  /// Bits of the note's flags.
  static let fromProtected: UInt8 = 1
  static let isProxied: UInt8 = 2
  /// What an lcore is to do with a packet that the slow path hands back.
  enum Intent: UInt8 { case transmit = 0x80, route = 0x81 }

  let ring: UnsafeMutableRawPointer

  /// False when the ring is full; the packet is still the caller's then.
  @inline(never)
  func punt(_ mbuf: Mbuf, _ info: PuntInfo) -> Bool {
    let note = mbuf.note
    note.pointee.intent = info.punt.rawValue
    note.pointee.port = info.port
    note.pointee.mtu = info.mtu
    note.pointee.l3_offset = info.l3Offset
    note.pointee.next_hop_high = info.nextHop.high
    note.pointee.next_hop_low = info.nextHop.low
    note.pointee.flags = (info.fromProtected ? Self.fromProtected : 0) | (info.isProxied ? Self.isProxied : 0)
    var one: Mbuf? = mbuf
    return dpdk_ring_enqueue_burst(ring, &one, 1) == 1
  }

  static func info(of mbuf: Mbuf) -> PuntInfo? {
    let note = mbuf.note.pointee
    guard let punt = Punt(rawValue: note.intent) else { return nil }
    return PuntInfo(
      punt: punt, port: note.port, mtu: note.mtu, nextHop: IPAddress(high: note.next_hop_high, low: note.next_hop_low),
      fromProtected: note.flags & fromProtected != 0, isProxied: note.flags & isProxied != 0, l3Offset: note.l3_offset)
  }
}
