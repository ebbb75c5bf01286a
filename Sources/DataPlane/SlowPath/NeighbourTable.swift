package import Wire

/// Who is where on the links: a pure state machine over evidence and time, bounded in every respect.
///
/// It owns packets that wait for an answer. What a frame may teach is decided before (`SlowPath+ARP`,
/// `SlowPath+NeighborDiscovery`); what is done about it is returned as actions, in order.
/// No flood can push out a neighbour: what was only heard has its own share of the table and evicts nothing; an answer
/// to a request of ours evicts, in a full table, the stale neighbour longest without a sign of life.
package struct NeighbourTable: Sendable {
  struct Known: Sendable {
    var mac: MACAddress
    var state: NeighbourState
    /// False while only heard: it then counts against `heardCapacity`.
    var asked: Bool
    var lastSign: UInt64
    var attempts: UInt8 = 0
    var deadline: UInt64 = .max
  }

  struct Pending: Sendable {
    var held: [HeldPacket] = []
    var attempts: UInt8 = 1
    var failed = false
    var since: UInt64
    var deadline: UInt64
  }

  /// What becomes of a packet for a neighbour.
  package enum Demand: Hashable, Sendable {
    case resolved(MACAddress)
    case held
    case refused
  }

  package internal(set) var limits: NeighbourLimits
  package internal(set) var refused: UInt64 = 0
  package internal(set) var learned: UInt64 = 0
  package internal(set) var lost: UInt64 = 0
  var known: [NeighbourKey: Known] = [:]
  var pending: [NeighbourKey: Pending] = [:]
  var pinned: Set<NeighbourKey> = []
  var heldCount = 0
  var heardCount = 0
  var permanentCount = 0
  /// Nothing is due before the one; nothing is done before the other.
  var nextWalk: UInt64 = 0
  var earliestWalk: UInt64 = 0

  package init(limits: NeighbourLimits) { self.limits = limits }

  /// Entries of every kind.
  package var count: Int { known.count &+ pending.count }

  package func mac(of key: NeighbourKey) -> MACAddress? { known[key]?.mac }

  /// A next hop or a static neighbour, whatever its address.
  func isConfigured(_ key: NeighbourKey) -> Bool { pinned.contains(key) || known[key]?.state == .permanent }

  // MARK: Packets

  /// A packet needs `key`'s MAC address: it is known, or the packet waits while the neighbour is asked.
  package mutating func demand(
    _ key: NeighbourKey, _ packet: HeldPacket, now: UInt64, _ actions: inout [NeighbourAction]
  ) -> Demand {
    if let entry = known[key] { return .resolved(entry.mac) }
    if pending[key] == nil {
      guard makeRoomForPending(&actions) else {
        refused &+= 1
        return .refused
      }
      ask(key, now: now, &actions)
    }
    guard var entry = pending[key], !entry.failed else { return .refused }
    if entry.held.count >= limits.heldPerNeighbour {
      // The newest are kept (RFC 4861, section 7.2.2): they are the likeliest to be of use still.
      actions.append(.drop(entry.held.removeFirst()))
    } else if heldCount < limits.heldInAll {
      heldCount &+= 1
    } else {
      return .refused
    }
    entry.held.append(packet)
    pending[key] = entry
    return .held
  }

  /// Those that failed, or had a second to answer and did not, make room: a scan keeps no neighbour from being asked.
  private mutating func makeRoomForPending(_ actions: inout [NeighbourAction]) -> Bool {
    let strangers = pending.lazy.filter { [pinned] in !pinned.contains($0.key) }
    guard strangers.reduce(0, { count, _ in count &+ 1 }) >= limits.pendingCapacity else { return true }
    let silent = strangers.filter { $0.value.failed || $0.value.attempts > 1 }
    guard let oldest = silent.min(by: { $0.value.since < $1.value.since }) else { return false }
    drop(pending: oldest.key)
    actions += oldest.value.held.map { .drop($0) }
    return true
  }

  mutating func ask(_ key: NeighbourKey, now: UInt64, _ actions: inout [NeighbourAction]) {
    pending[key] = Pending(since: now, deadline: now &+ limits.retransmit)
    nextWalk = min(nextWalk, now &+ limits.retransmit)
    actions.append(.solicit(key, nil))
  }

  // MARK: Evidence

  /// A request of a neighbour's for one of our own addresses, which names the neighbour (RFC 826; RFC 4861, 7.2.3).
  package mutating func hear(
    _ key: NeighbourKey, _ mac: MACAddress, now: UInt64, _ actions: inout [NeighbourAction]
  ) {
    if known[key] != nil || pending[key] != nil {
      return tell(key, mac, solicited: false, overrides: true, now: now, &actions)
    }
    guard heardCount < limits.heardCapacity, hasRoom(for: key) else {
      refused &+= 1
      return
    }
    insert(key, mac, .stale, asked: false, now: now, &actions)
  }

  /// An ARP message or neighbour advertisement about `key`, asked for or not; an unknown neighbour is not learned from it.
  ///
  /// - Parameters:
  ///   - mac: nil if an advertisement does not say.
  ///   - solicited: it says that it answers a request; believed while one is outstanding.
  ///   - overrides: it replaces what is known (RFC 4861, section 7.2.5).
  package mutating func tell(
    _ key: NeighbourKey, _ mac: MACAddress?, solicited: Bool, overrides: Bool, now: UInt64,
    _ actions: inout [NeighbourAction]
  ) {
    if let waiting = pending[key] {
      guard let mac else { return }
      drop(pending: key)
      return settle(key, waiting, mac, solicited ? .reachable : .stale, now: now, &actions)
    }
    guard var entry = known[key], entry.state != .permanent else { return }
    let newMAC = mac == entry.mac ? nil : mac
    if newMAC != nil, !overrides {
      guard entry.state == .reachable else { return }
      enter(.stale, &entry, key, now: now)
    } else {
      entry.lastSign = now
      if let newMAC {
        entry.mac = newMAC
        actions.append(.publish(key, newMAC))
      }
      if solicited, entry.state == .probing {
        enter(.reachable, &entry, key, now: now)
      } else if newMAC != nil || entry.state == .stale {
        enter(.stale, &entry, key, now: now)
      }
    }
    known[key] = entry
  }

  /// The neighbour answered: it enters the table and its packets go.
  private mutating func settle(
    _ key: NeighbourKey, _ waiting: Pending, _ mac: MACAddress, _ state: NeighbourState, now: UInt64,
    _ actions: inout [NeighbourAction]
  ) {
    guard hasRoom(for: key) || evictStale(&actions) else {
      refused &+= 1
      actions += waiting.held.map { .drop($0) }
      return
    }
    insert(key, mac, state, asked: true, now: now, &actions)
    actions += waiting.held.map { .release($0, mac) }
  }

  private func hasRoom(for key: NeighbourKey) -> Bool {
    pinned.contains(key) || known.count &- permanentCount < limits.capacity
  }

  private mutating func evictStale(_ actions: inout [NeighbourAction]) -> Bool {
    let stale = known.lazy.filter { [pinned] in $0.value.state == .stale && !pinned.contains($0.key) }
    guard let oldest = stale.min(by: { $0.value.lastSign < $1.value.lastSign }) else { return false }
    forget(oldest.key, &actions)
    return true
  }

  // MARK: Entries

  private mutating func insert(
    _ key: NeighbourKey, _ mac: MACAddress, _ state: NeighbourState, asked: Bool, now: UInt64,
    _ actions: inout [NeighbourAction]
  ) {
    var entry = Known(mac: mac, state: state, asked: asked, lastSign: now)
    enter(state, &entry, key, now: now)
    known[key] = entry
    if !asked { heardCount &+= 1 }
    learned &+= 1
    actions.append(.publish(key, mac))
  }

  /// Sets the state and when it ends.
  mutating func enter(_ state: NeighbourState, _ entry: inout Known, _ key: NeighbourKey, now: UInt64) {
    entry.state = state
    entry.attempts = 0
    switch state {
    case .reachable: entry.deadline = now &+ limits.reachableTime
    case .probing: entry.deadline = now
    case .stale: entry.deadline = pinned.contains(key) ? now : entry.lastSign &+ limits.staleTime
    case .incomplete, .failed, .permanent: entry.deadline = .max
    }
    nextWalk = min(nextWalk, entry.deadline)
  }

  /// Takes a known neighbour out.
  mutating func forget(_ key: NeighbourKey, _ actions: inout [NeighbourAction]) {
    guard let entry = known.removeValue(forKey: key) else { return }
    if !entry.asked { heardCount &-= 1 }
    if entry.state == .permanent { permanentCount &-= 1 }
    actions.append(.publish(key, nil))
  }

  /// Takes a pending neighbour out; its packets are the caller's.
  mutating func drop(pending key: NeighbourKey) {
    guard let entry = pending.removeValue(forKey: key) else { return }
    heldCount &-= entry.held.count
  }

  /// Gives up every packet that waits, and keeps the rest.
  package mutating func dropHeld() -> [HeldPacket] {
    var packets: [HeldPacket] = []
    for key in pending.keys.sorted() {
      packets += pending[key]?.held ?? []
      pending[key]?.held = []
    }
    heldCount = 0
    return packets
  }

  /// Everything that is known or asked for, by port and address.
  package func entries(now: UInt64) -> [NeighbourStatus] {
    let known = known.map { key, entry in
      NeighbourStatus(
        key: key, mac: entry.mac, state: entry.state, age: now &- min(now, entry.lastSign),
        isPinned: pinned.contains(key))
    }
    let pending = pending.map { key, entry in
      NeighbourStatus(
        key: key, mac: nil, state: entry.failed ? .failed : .incomplete, age: now &- min(now, entry.since),
        isPinned: pinned.contains(key))
    }
    return (known + pending).sorted { $0.key < $1.key }
  }
}

extension NeighbourKey: Comparable {
  package static func < (a: NeighbourKey, b: NeighbourKey) -> Bool {
    (a.port, a.address.high, a.address.low) < (b.port, b.address.high, b.address.low)
  }
}
