import Wire

/// Addresses that a pool shares: every member opens what is sent to them, and the first that lives answers ARP and neighbour
/// solicitations. Two that answer at once do no harm, as any member opens any packet; so this is no election, only an order.
extension SlowPath {
  /// How long a member that comes up waits to hear of those before it. Nanoseconds: BFD comes up within two packets of
  /// either end, which sends once a second until then, and one of each may be lost.
  private static let patience: UInt64 = 5_000_000_000

  /// After a start, a link's return or the end of a hold: who comes first is not dead only because BFD is not up yet.
  mutating func waitForOthers(now: UInt64) { sharedFrom = now &+ Self.patience }

  /// What was answered for stays so over a reload.
  mutating func takeOver(_ before: [UInt16: SlowPathPort], now: UInt64) {
    if before.isEmpty { waitForOthers(now: now) }
    for (index, port) in ports {
      ports[index]?.active = before[index]?.active.intersection(port.shared.map(\.address)) ?? []
    }
  }

  /// After anything that decides who answers; an address that is taken over is announced.
  mutating func settleShared(now: UInt64) {
    for (index, port) in ports where !port.shared.isEmpty {
      let active = Set(port.shared.filter { isFirst($0, now: now) }.map(\.address))
      guard active != port.active else { continue }
      ports[index]?.active = active
      if !active.isSubset(of: port.active) { announceSoon(index, now: now) }
    }
  }

  private func isFirst(_ shared: SlowPathPort.SharedAddress, now: UInt64) -> Bool {
    bfdHold == nil && (shared.after.isEmpty || now >= sharedFrom) && !shared.after.contains { isUp($0) }
  }

  /// A neighbour came up: a member that did so may have announced the same addresses when it knew of nobody else.
  mutating func repeatShared(now: UInt64) {
    for (index, port) in ports where !port.active.isEmpty { announceSoon(index, now: now) }
  }
}
