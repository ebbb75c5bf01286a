internal import Foundation

/// Records of one kind: what is in the store, with changes on top that are not there yet.
struct Table<Record: Codable & Equatable & Sendable>: Sendable {
  struct Row: Sendable {
    var value: Record
    /// The store's revision of its last change.
    var version: UInt64
  }

  /// `member/`; a record's name follows.
  let prefix: String
  private(set) var rows: [String: Row] = [:]
  /// Of the transaction, and of the request that is being looked at.
  private var pending: [String: Record?] = [:]
  private var own: [String: Record?] = [:]

  init(prefix: String) { self.prefix = prefix }

  subscript(name: String) -> Record? {
    get { own[name] ?? pending[name] ?? rows[name]?.value }
    set {
      guard newValue != self[name] else { return }
      own[name] = .some(newValue)
    }
  }

  func version(_ name: String) -> UInt64 { rows[name]?.version ?? 0 }

  /// Names with changes on top.
  var names: Set<String> {
    var names = Set(rows.keys)
    for (name, value) in pending.merging(own, uniquingKeysWith: { $1 }) {
      if value == nil { names.remove(name) } else { names.insert(name) }
    }
    return names
  }

  /// Takes the request's changes into the transaction, or drops them.
  mutating func settle(keeping isKept: Bool) {
    if isKept { pending.merge(own) { $1 } }
    own = [:]
  }

  func changes() throws -> [StoreChange] {
    try pending.map { name, value in
      StoreChange(
        name: prefix + name, value: try value.map { Array(try JSONEncoder().encode($0)) }, expecting: version(name))
    }
  }

  /// The transaction's changes and their values, to be applied to the table that the draft was made from.
  var outcome: [String: Record?] { pending }

  mutating func apply(_ outcome: [String: Record?], revision: UInt64) {
    for (name, value) in outcome { rows[name] = value.map { Row(value: $0, version: revision) } }
  }

  /// - Returns: false when the record is not of this kind.
  mutating func load(_ record: StoredRecord) throws -> Bool {
    guard record.name.hasPrefix(prefix) else { return false }
    let name = String(record.name.dropFirst(prefix.count))
    // This node's own transaction may have brought a newer one already.
    guard version(name) < record.revision else { return true }
    if let value = record.value {
      rows[name] = Row(value: try JSONDecoder().decode(Record.self, from: Data(value)), version: record.version)
    } else {
      rows[name] = nil
    }
    return true
  }
}
