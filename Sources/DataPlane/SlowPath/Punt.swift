package import Wire

/// Why an lcore handed a packet to the slow path.
package enum Punt: UInt8, CaseIterable, Sendable {
  /// An ARP or neighbour discovery frame, as received.
  case neighbour
  /// A frame, as received, whose packet goes to one of the gateway's own addresses.
  case echo
  /// A packet whose TTL or hop limit does not allow another hop.
  case hopLimit
  /// A packet that does not fit; `PuntInfo.mtu` says what would.
  case tooBig
  /// A complete frame, ready but for the destination MAC address of `PuntInfo.nextHop`.
  case unresolved
  /// An opened packet to one of the gateway's own addresses; an answer is routed like clear traffic.
  case openedEcho
  /// A frame, as received, to BFD's port at one of the gateway's own addresses.
  case bfd
}

/// What the slow path must know beside the octets.
package struct PuntInfo: Sendable {
  package var punt: Punt
  /// Where the frame arrived; for `unresolved`, where it must leave.
  package var port: UInt16
  /// `tooBig` only: the largest IP packet, in octets, that would have passed.
  package var mtu: UInt16
  /// `unresolved` only.
  package var nextHop: IPAddress
  /// The packet was opened: an error to its source is routed (and sealed), not sent out of the port.
  package var fromProtected: Bool
  /// It was on its way from one trust group into another: the far end answers for the gateway, as every policy on the way back
  /// lets it speak.
  package var isProxied: Bool
  /// Where the IP header starts, in octets from the start of the frame.
  package var l3Offset: UInt16

  package init(
    punt: Punt, port: UInt16, mtu: UInt16 = 0, nextHop: IPAddress = .unspecifiedIPv6,
    fromProtected: Bool = false, isProxied: Bool = false, l3Offset: UInt16 = 0
  ) {
    self.punt = punt
    self.port = port
    self.mtu = mtu
    self.nextHop = nextHop
    self.fromProtected = fromProtected
    self.isProxied = isProxied
    self.l3Offset = l3Offset
  }
}

/// The caller's name for a packet that the slow path keeps (a mbuf's address, say); never looked into here.
package struct HeldPacket: Hashable, Sendable {
  package var rawValue: UInt
  package init(rawValue: UInt) { self.rawValue = rawValue }
}

/// What becomes of the punted packet itself.
package enum PuntDisposition: Hashable, Sendable {
  /// It did its work here: the caller frees it and counts it as handled.
  case consumed
  /// The slow path owns it, and gives it back exactly once: by `release` or `drop`, perhaps before `receive` returns.
  case held
  /// The caller frees it and counts it under the reason.
  case dropped(DropReason)
}

/// Where the slow path's answers go: over DPDK in the gateway, into a recorder in tests.
package protocol SlowPathOutput {
  /// A generated frame, complete, to send out of `port`. Borrowed for the call only.
  mutating func transmit(_ frame: UnsafeRawBufferPointer, port: UInt16)
  /// A generated IP packet, to be routed and, where the route says so, sealed. Borrowed for the call only.
  mutating func route(_ packet: UnsafeRawBufferPointer)
  /// A held packet's destination MAC address is now known: write it and transmit.
  mutating func release(_ held: HeldPacket, mac: MACAddress)
  /// A held packet is given up.
  mutating func drop(_ held: HeldPacket, _ reason: DropReason)
  /// Tells the lcores where `address` is on the link of `port`; nil: no longer known.
  mutating func publish(port: UInt16, address: IPAddress, mac: MACAddress?)
}
