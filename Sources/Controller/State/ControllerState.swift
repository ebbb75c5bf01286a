internal import Foundation
internal import Keys
internal import Rotation
internal import Vault

/// Everything that a controller knows. As a draft it carries the changes of a transaction that is being made.
struct ControllerState: Sendable {
  var roots = Table<RootKeyRecord>(prefix: "root/")
  var members = Table<MemberRecord>(prefix: "member/")
  var leases = Table<LeaseRecord>(prefix: "lease/")
  var acknowledgements = Table<AcknowledgementRecord>(prefix: "ack/")
  var pools = Table<PoolRecord>(prefix: "pool/")
  var clients = Table<ClientStored>(prefix: "client/")
  var counters = Table<CounterRecord>(prefix: "counter/")
  var gate = Table<GateRecord>(prefix: "gate")
  /// By root key and generation: exactly those of the records.
  var keys: [String: [UInt64: SecretKey]] = [:]
  var revision: UInt64 = 0

  /// Milliseconds since 1970, of the transaction.
  var time: Int64 = 0
  private var ownKeys: [(root: String, index: UInt64, key: SecretKey)] = []
  private(set) var newKeys: [(root: String, index: UInt64, key: SecretKey)] = []
  private var ownAudit: [AuditEntry] = []
  private(set) var audit: [AuditEntry] = []
  private var ownFingerprints: [StoreChange] = []
  private var fingerprints: [StoreChange] = []

  init() {}

  init(_ records: [String: StoredRecord], revision: UInt64, _ wrappingKey: any WrappingKey) throws {
    self.revision = revision
    for record in records.values { try load(record) }
    for name in roots.rows.keys { try loadKeys(name, wrappingKey) }
  }

  /// Takes over what another node changed.
  mutating func take(_ records: [StoredRecord], _ wrappingKey: any WrappingKey) throws {
    for record in records {
      try load(record)
      if record.name.hasPrefix(roots.prefix) {
        try loadKeys(String(record.name.dropFirst(roots.prefix.count)), wrappingKey)
      }
      revision = max(revision, record.revision)
    }
  }

  private mutating func load(_ record: StoredRecord) throws {
    let isKnown =
      try roots.load(record) || members.load(record) || leases.load(record) || acknowledgements.load(record)
      || pools.load(record) || clients.load(record) || counters.load(record) || gate.load(record)
    guard isKnown else { throw StoreError.damaged("found the record \(record.name), which no keyweave writes") }
  }

  private mutating func loadKeys(_ name: String, _ wrappingKey: any WrappingKey) throws {
    guard let record = roots.rows[name]?.value else {
      keys[name] = nil
      return
    }
    var held: [UInt64: SecretKey] = [:]
    for stored in record.generations {
      if let known = keys[name]?[stored.index] {
        held[stored.index] = known
        continue
      }
      guard let wrapped = Base64URL.decode(stored.wrapped) else {
        throw StoreError.damaged("the root key \(name), generation \(stored.index): found no base64url")
      }
      let key = try wrappingKey.unwrap(wrapped, context: RootKeyRecord.context(record.id, stored.index))
      guard Fingerprint(of: key) == stored.fingerprint else {
        throw StoreError.damaged("the root key \(name), generation \(stored.index): found other octets than were made")
      }
      held[stored.index] = key
    }
    keys[name] = held
  }

  // MARK: A draft

  mutating func add(_ key: SecretKey, root: String, id: String, index: UInt64) {
    ownKeys.append((root, index, key))
    // Written once: the store itself refuses a second value for the same generation.
    ownFingerprints.append(
      StoreChange(
        name: "audit/fingerprint/\(id).\(index)", value: Array(Fingerprint(of: key).description.utf8), expecting: 0))
  }

  mutating func note(_ entry: AuditEntry) { ownAudit.append(entry) }

  /// Takes a request's changes into the transaction, or drops them.
  mutating func settle(keeping isKept: Bool) {
    roots.settle(keeping: isKept)
    members.settle(keeping: isKept)
    leases.settle(keeping: isKept)
    acknowledgements.settle(keeping: isKept)
    pools.settle(keeping: isKept)
    clients.settle(keeping: isKept)
    counters.settle(keeping: isKept)
    gate.settle(keeping: isKept)
    if isKept {
      newKeys += ownKeys
      audit += ownAudit
      fingerprints += ownFingerprints
    }
    ownKeys = []
    ownAudit = []
    ownFingerprints = []
  }

  func changes() throws -> [StoreChange] {
    var changes = try roots.changes() + members.changes() + leases.changes() + acknowledgements.changes()
    changes += try pools.changes() + clients.changes() + counters.changes() + gate.changes() + fingerprints
    return changes
  }

  /// What a transaction changed; it holds no part of the draft's tables.
  struct Outcome: Sendable {
    var roots: [String: RootKeyRecord?]
    var members: [String: MemberRecord?]
    var leases: [String: LeaseRecord?]
    var acknowledgements: [String: AcknowledgementRecord?]
    var pools: [String: PoolRecord?]
    var clients: [String: ClientStored?]
    var counters: [String: CounterRecord?]
    var gate: [String: GateRecord?]
    var newKeys: [(root: String, index: UInt64, key: SecretKey)]

    /// Whether any member is given something else now.
    var isVisible: Bool { !(roots.isEmpty && members.isEmpty && pools.isEmpty && clients.isEmpty) }
  }

  var outcome: Outcome {
    Outcome(
      roots: roots.outcome, members: members.outcome, leases: leases.outcome,
      acknowledgements: acknowledgements.outcome, pools: pools.outcome, clients: clients.outcome,
      counters: counters.outcome, gate: gate.outcome, newKeys: newKeys)
  }

  /// - Returns: whether a generation was erased.
  mutating func apply(_ outcome: Outcome, revision: UInt64) -> Bool {
    roots.apply(outcome.roots, revision: revision)
    members.apply(outcome.members, revision: revision)
    leases.apply(outcome.leases, revision: revision)
    acknowledgements.apply(outcome.acknowledgements, revision: revision)
    pools.apply(outcome.pools, revision: revision)
    clients.apply(outcome.clients, revision: revision)
    counters.apply(outcome.counters, revision: revision)
    gate.apply(outcome.gate, revision: revision)
    self.revision = max(self.revision, revision)
    for (root, index, key) in outcome.newKeys { keys[root, default: [:]][index] = key }
    var isErased = false
    for name in outcome.roots.keys {
      let kept = Set(roots.rows[name]?.value.rotation.generations ?? [])
      let held = keys[name] ?? [:]
      guard held.keys.contains(where: { !kept.contains($0) }) else { continue }
      keys[name] = held.filter { kept.contains($0.key) }
      isErased = true
    }
    return isErased
  }
}
