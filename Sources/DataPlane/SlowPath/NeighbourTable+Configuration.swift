package import Wire

extension NeighbourTable {
  /// Takes a configuration over: the first one, or a reload's.
  ///
  /// - Parameters:
  ///   - permanent: static neighbours, which nothing that arrives changes.
  ///   - next: next hops of peers and routes, asked for at once and kept resolved for ever.
  ///   - isOnLink: what was learned stays while this holds.
  package mutating func configure(
    permanent: [NeighbourKey: MACAddress], pinned next: Set<NeighbourKey>, limits: NeighbourLimits, now: UInt64,
    _ actions: inout [NeighbourAction], isOnLink: (NeighbourKey) -> Bool
  ) {
    self.limits = limits
    pinned = next
    for (key, entry) in known.sorted(by: { $0.key < $1.key }) where permanent[key] == nil {
      if entry.state == .permanent || !isOnLink(key) {
        forget(key, &actions)
      } else if entry.state == .stale {
        // Its deadline depends on whether it is pinned.
        var entry = entry
        enter(.stale, &entry, key, now: now)
        known[key] = entry
      }
    }
    for (key, entry) in pending.sorted(by: { $0.key < $1.key }) where permanent[key] == nil && !isOnLink(key) {
      drop(pending: key)
      actions += entry.held.map { .drop($0) }
    }
    for (key, mac) in permanent.sorted(by: { $0.key < $1.key }) { fix(key, mac, now: now, &actions) }
    for key in pinned.sorted() where known[key] == nil && pending[key] == nil { ask(key, now: now, &actions) }
  }

  /// Makes a static entry, whatever was there.
  private mutating func fix(
    _ key: NeighbourKey, _ mac: MACAddress, now: UInt64, _ actions: inout [NeighbourAction]
  ) {
    let before = known[key]
    if let before, before.state == .permanent, before.mac == mac { return }
    if before?.asked == false { heardCount &-= 1 }
    if before?.state != .permanent { permanentCount &+= 1 }
    known[key] = Known(mac: mac, state: .permanent, asked: true, lastSign: now)
    if before?.mac != mac { actions.append(.publish(key, mac)) }
    if let waiting = pending[key] {
      drop(pending: key)
      actions += waiting.held.map { .release($0, mac) }
    }
  }
}
