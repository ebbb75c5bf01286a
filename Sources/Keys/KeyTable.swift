internal import Synchronization

/// The keys of one installation, immutable: every accepted combination's master key is computed when it is made, in
/// locked memory that is zeroed when it goes. Lcores read it through `view`.
package final class KeyTable: @unchecked Sendable {
  /// The groups that the table was made from, in the order of their indices.
  package let groups: [TrustGroup]
  /// Pointers into this table: the holder keeps the table until every lcore has let go of them.
  package let view: KeyTableView
  /// The serials of this table's master keys; no other table of this process has any of them.
  package let serials: Range<UInt64>
  /// The place of the group that has `default: true`.
  package let defaultGroup: Int?

  private let masters: LockedMemory
  private let granted: LockedMemory
  private let entries: UnsafeMutablePointer<GroupEntry>
  private let options: UnsafeMutableRawPointer
  private let slots: UnsafeMutablePointer<Int32>

  private static let lastSerial = Atomic<UInt64>(0)
  private static let optionsStride = 3 * RootKey.longestOption

  /// Computes all master keys: 1 to 27 per group, 320 octets of locked memory each.
  ///
  /// - Throws: every problem of `groups` at once, or that memory could not be locked; nothing is installed then.
  package init(_ groups: [TrustGroup], with primitives: some KeyPrimitives) throws(KeyTableError) {
    let problems = TrustGroup.problems(in: groups)
    guard problems.isEmpty else { throw .refused(KeyProblems(problems: problems)) }
    self.groups = groups
    defaultGroup = groups.firstIndex(where: \.isDefault)
    let combinations = groups.map(\.combinations)
    let count = combinations.reduce(0) { $0 + $1.count }
    let maker = try Self.locked { () throws(LockedMemoryError) in try MasterKeyMaker() }
    masters = try Self.locked { () throws(LockedMemoryError) in
      try LockedMemory(octets: max(count, 1) * MasterKey.stride)
    }

    granted = try Self.locked { () throws(LockedMemoryError) in
      let count = groups.reduce(0) { $0 + ($1.grant?.keys.count ?? 0) }
      return try LockedMemory(octets: max(count, 1) * GrantedKeys.stride)
    }

    let end = Self.lastSerial.wrappingAdd(UInt64(count), ordering: .relaxed).newValue + 1
    serials = end - UInt64(count)..<end
    entries = .allocate(capacity: max(groups.count, 1))
    options = .allocate(byteCount: max(groups.count, 1) * Self.optionsStride, alignment: 8)
    var place = masters.base
    var grantPlace = granted.base
    var serial = serials.lowerBound
    for (index, group) in groups.enumerated() {
      let first = UnsafeRawPointer(place)
      let rootKeys = group.orderedKeys
      for generations in combinations[index] {
        if let grant = group.grant {
          let keys = grant.keys.filter { $0.generations == generations.map(\.index) }
          _ = MasterKey.write(
            granted: grantPlace, count: keys.count, serial: serial,
            fingerprint: generations.reduce(1) { $0 << 21 | $1.index & 0x1F_FFFF }, at: place)
          for key in keys {
            GrantedKeys.write(key, of: grant.id, at: grantPlace)
            grantPlace += GrantedKeys.stride
          }
        } else {
          maker.make(rootKeys, generations, serial: serial, with: primitives, at: place)
        }
        place += MasterKey.stride
        serial += 1
      }
      (entries + index).initialize(
        to: GroupEntry(index: index, group: group, masters: first, options: options + index * Self.optionsStride))
    }

    var mask = 3
    while mask + 1 < 4 * groups.count { mask = 2 * mask + 1 }
    slots = .allocate(capacity: mask + 1)
    slots.initialize(repeating: -1, count: mask + 1)
    var longestProbe = 0
    for index in groups.indices {
      let home = entries[index].home
      var step = 0
      while slots[KeyTableView.slot(home, step, mask)] >= 0 { step += 1 }
      slots[KeyTableView.slot(home, step, mask)] = Int32(index)
      longestProbe = max(longestProbe, step)
    }
    view = KeyTableView(
      entries: entries, groupCount: groups.count, slots: slots, mask: mask, longestProbe: longestProbe)
  }

  deinit {
    entries.deallocate()
    options.deallocate()
    slots.deallocate()
  }

  private static func locked<Memory: ~Copyable>(
    _ make: () throws(LockedMemoryError) -> Memory
  ) throws(KeyTableError) -> Memory {
    do { return try make() } catch { throw .memory(error) }
  }

  /// The master key of a combination of generations, in the order in which options name them; nil for one not held.
  package func master(ofGroup index: Int, generations: [UInt64]) -> MasterKey? {
    guard groups.indices.contains(index) else { return nil }
    let keys = groups[index].orderedKeys
    guard keys.count == generations.count else { return nil }
    var position = 0
    for (root, wanted) in zip(keys, generations) {
      let held = root.generations
      guard let place = held.firstIndex(where: { $0.index == wanted }) else { return nil }
      position = position * held.count + place
    }
    return entries[index].master(at: position)
  }

  /// The place of a group by its name.
  package func index(ofGroup name: String) -> Int? { groups.firstIndex { $0.name == name } }
}

/// Why a key table was not made.
package enum KeyTableError: Error, Equatable, CustomStringConvertible {
  case refused(KeyProblems)
  case memory(LockedMemoryError)

  package var description: String {
    switch self {
    case .refused(let problems): problems.description
    case .memory(let error): error.description
    }
  }
}
