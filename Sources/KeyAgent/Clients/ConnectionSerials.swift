internal import Foundation
internal import Keys
internal import Wire

/// Which numbers of connections this member has given to its clients, as they stand in the sealed file.
///
/// n is never issued again under the same generations (wire format, section 5). A connection lives on by renewals, at any
/// member, until a root key has been rotated `lifetime` times since it was made; its number is free again when no
/// generation under which it can have had keys is held any more, of one root key at least.
struct ConnectionSerials: Codable, Equatable {
  struct Issue: Codable, Equatable {
    var serial: Int
    /// The current generation of each root key then, by its ID.
    var issued: [String: UInt64]
    /// Unix seconds.
    var at: Int64
  }

  /// Rotations of a root key that a connection may see.
  static let lifetime: UInt64 = 16

  /// Newest last, by slot.
  private(set) var slots: [UInt32: [Issue]] = [:]
  /// This member's state was set back: it cannot tell what it gave out before.
  private(set) var forgotten: Issue?
  /// The same, learned before the group was in force.
  private(set) var isForgetful = false

  /// The next serial for a slot; nothing when all are in use. `self` is to be durable before the serial is told.
  mutating func issue(slot: UInt32, of group: TrustGroup, at time: Int64) -> Int? {
    if isForgetful {
      forgotten = Issue(serial: 0, issued: Self.current(group), at: time)
      isForgetful = false
    }
    if let forgotten, !Self.isOver(forgotten, group) { return nil }
    forgotten = nil
    var issues = (slots[slot] ?? []).filter { !Self.isOver($0, group) || $0.at + 3 * Int64(group.epochPeriod) > time }
    let used = Set(issues.map(\.serial))
    // Round and round: a number that was given back lately comes last.
    let start = (slots[slot]?.last?.serial ?? -1) + 1
    let order = (0..<ConnectionNumber.serials).map { (start + $0) % ConnectionNumber.serials }
    guard let serial = order.first(where: { !used.contains($0) }) else { return nil }
    issues.append(Issue(serial: serial, issued: Self.current(group), at: time))
    slots[slot] = issues
    return serial
  }

  /// As of the generations that are in force when the next connection is asked for.
  mutating func forget() { isForgetful = true }

  /// Forgets slots of clients that are gone, once no generation of their connections is held: a slot may be given to
  /// another client.
  mutating func prune(keeping living: Set<UInt32>, _ group: TrustGroup) {
    slots = slots.filter { slot, issues in
      living.contains(slot) || issues.contains { !Self.isOver($0, group) }
    }
  }

  static func current(_ group: TrustGroup) -> [String: UInt64] {
    Dictionary(group.orderedKeys.map { (Hex.encode($0.id), $0.current.index) }) { $1 }
  }

  /// Whether a connection made then may still have new keys.
  static func isAlive(_ issued: [String: UInt64], _ group: TrustGroup) -> Bool {
    group.orderedKeys.allSatisfy { root in
      guard let then = issued[Hex.encode(root.id)], then <= root.current.index else { return false }
      return root.current.index - then < lifetime
    }
  }

  /// Whether no generation of one root key at least is held that the connection can have had keys of: the last renewal
  /// gave the one after its current generation.
  private static func isOver(_ issue: Issue, _ group: TrustGroup) -> Bool {
    group.orderedKeys.contains { root in
      guard let then = issue.issued[Hex.encode(root.id)] else { return true }
      let oldest = root.generations.map(\.index).min() ?? 0
      return oldest > then && oldest - then > lifetime
    }
  }
}
