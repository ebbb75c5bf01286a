import Wire

/// Time: retransmission, ageing, loss.
extension NeighbourTable {
  /// Does what is due at `now` (nanoseconds, monotonic). Cheap when nothing is; walks at most every `walkInterval`.
  package mutating func walk(now: UInt64, _ actions: inout [NeighbourAction]) {
    guard now >= nextWalk, now >= earliestWalk else { return }
    nextWalk = .max
    earliestWalk = now &+ limits.walkInterval
    walkPending(now: now, &actions)
    walkKnown(now: now, &actions)
  }

  private mutating func walkPending(now: UInt64, _ actions: inout [NeighbourAction]) {
    for key in pending.lazy.filter({ $0.value.deadline <= now }).map(\.key).sorted() {
      guard var entry = pending[key] else { continue }
      if entry.failed {
        guard pinned.contains(key) else {
          pending[key] = nil
          continue
        }
        entry = Pending(since: entry.since, deadline: now &+ limits.retransmit)
        actions.append(.solicit(key, nil))
      } else if entry.attempts < limits.attempts {
        entry.attempts &+= 1
        entry.deadline = now &+ limits.retransmit
        actions.append(.solicit(key, nil))
      } else {
        heldCount &-= entry.held.count
        actions += entry.held.map { .drop($0) }
        entry.held = []
        entry.failed = true
        entry.deadline = now &+ limits.failedTime
      }
      pending[key] = entry
    }
    for entry in pending.values { nextWalk = min(nextWalk, entry.deadline) }
  }

  private mutating func walkKnown(now: UInt64, _ actions: inout [NeighbourAction]) {
    var due: [(deadline: UInt64, key: NeighbourKey)] = []
    for (key, entry) in known {
      if entry.deadline <= now { due.append((entry.deadline, key)) } else { nextWalk = min(nextWalk, entry.deadline) }
    }
    // Longest overdue first, so that a full table's probes take turns.
    due.sort { $0.deadline != $1.deadline ? $0.deadline < $1.deadline : $0.key < $1.key }
    var budget = limits.probesPerWalk
    for (_, key) in due {
      guard var entry = known[key] else { continue }
      let isPinned = pinned.contains(key)
      if entry.state == .reachable, !isPinned {
        enter(.stale, &entry, key, now: now)
        known[key] = entry
        continue
      }
      if entry.state == .probing, entry.attempts >= limits.attempts {
        lost &+= 1
        forget(key, &actions)
        if isPinned { ask(key, now: now, &actions) }
        continue
      }
      guard isPinned || budget > 0 else {
        nextWalk = min(nextWalk, earliestWalk)
        continue
      }
      if !isPinned { budget &-= 1 }
      if entry.state != .probing { enter(.probing, &entry, key, now: now) }
      entry.attempts &+= 1
      entry.deadline = now &+ limits.retransmit
      nextWalk = min(nextWalk, entry.deadline)
      known[key] = entry
      actions.append(.solicit(key, entry.mac))
    }
  }

  /// The link of `port` came back: whoever was there may have moved, and is asked.
  package mutating func suspect(port: UInt16, now: UInt64, _ actions: inout [NeighbourAction]) {
    for key in known.keys.filter({ $0.port == port }).sorted() {
      guard var entry = known[key], entry.state != .permanent else { continue }
      enter(.stale, &entry, key, now: now)
      entry.deadline = now
      known[key] = entry
    }
    nextWalk = min(nextWalk, now)
    for key in pending.keys.filter({ $0.port == port }).sorted() {
      pending[key]?.deadline = now
    }
  }
}
