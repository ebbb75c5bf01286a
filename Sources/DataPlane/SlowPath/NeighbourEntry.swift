package import Wire

/// A neighbour's name: an address means nothing without its link.
package struct NeighbourKey: Hashable, Sendable {
  package var port: UInt16
  package var address: IPAddress

  package init(port: UInt16, address: IPAddress) {
    self.port = port
    self.address = address
  }
}

/// The states of RFC 4861, section 7.3.2, for both families, with two of our own.
package enum NeighbourState: String, CaseIterable, Sendable {
  /// Asked for; packets wait.
  case incomplete
  /// Did not answer; for a short time nobody asks again and packets are dropped.
  case failed
  /// Answered a request of ours within the last 30 s.
  case reachable
  /// Known, in use, and not confirmed lately.
  case stale
  /// Known, in use, and asked by unicast whether it is still there.
  case probing
  /// Configured; nothing that arrives changes it.
  case permanent
}

/// One neighbour, for people and tools to see.
package struct NeighbourStatus: Hashable, Sendable {
  package var key: NeighbourKey
  package var mac: MACAddress?
  package var state: NeighbourState
  /// Nanoseconds since it last gave a sign of life, or since it was first asked for.
  package var age: UInt64
  /// A peer's or a route's next hop: kept resolved for ever.
  package var isPinned: Bool
}

/// What the table wants done. It decides, its owner sends.
package enum NeighbourAction: Hashable, Sendable {
  /// Ask: nil by broadcast or multicast, else by unicast.
  case solicit(NeighbourKey, MACAddress?)
  case publish(NeighbourKey, MACAddress?)
  case release(HeldPacket, MACAddress)
  case drop(HeldPacket)
}

/// The table's bounds and times; times in nanoseconds.
package struct NeighbourLimits: Sendable {
  /// Neighbours known by learning. Configured ones (static, pinned) come on top.
  package var capacity = 4096
  /// Of these, the share of those that were only heard, never asked for: what a flood can fill.
  package var heardCapacity = 2048
  /// Neighbours asked for and not yet known, failed ones included. Pinned ones come on top.
  package var pendingCapacity = 256
  package var heldPerNeighbour = 16
  package var heldInAll = 1024
  /// Requests before a neighbour counts as failed (RFC 4861: MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT).
  package var attempts: UInt8 = 3
  /// Between requests (RFC 4861: RETRANS_TIMER).
  package var retransmit: UInt64 = 1_000_000_000
  /// How long packets to a failed neighbour are dropped without asking again.
  package var failedTime: UInt64 = 3_000_000_000
  /// How long an answer confirms a neighbour (RFC 4861: REACHABLE_TIME).
  package var reachableTime: UInt64 = 30_000_000_000
  /// How long after its last sign of life a neighbour that is not pinned is asked whether it is still there.
  package var staleTime: UInt64 = 300_000_000_000
  /// The table is walked at most this often.
  package var walkInterval: UInt64 = 100_000_000
  /// Probes of neighbours that are not pinned, per walk: a full table must not make a storm.
  package var probesPerWalk = 64

  package init() {}
}
