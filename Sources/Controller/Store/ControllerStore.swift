/// Where a controller's state is: small JSON documents under names, keys in them only wrapped.
///
/// Names: `root/NAME`, `member/SPIFFE-ID`, `lease/SPIFFE-ID`, `ack/SPIFFE-ID`, `client/SPIFFE-ID`, `pool/NAME`,
/// `counter/NAME`, `gate`. Records under `audit/` are written once and never changed or deleted; neither `load` nor
/// `changes` gives them back, so that memory does not grow with history.
package protocol ControllerStore: Sendable {
  /// Everything but `audit/`, with the revision it was read at.
  func load() async throws(StoreError) -> (records: [String: StoredRecord], revision: UInt64)

  /// All or nothing, durable when it returns. Names are distinct within one call.
  ///
  /// - Returns: the new revision, above every earlier one: the version of each record changed.
  /// - Throws: `.conflict` when a record is no longer at the version expected. After `.unavailable` the changes may have
  ///   been made or not: load again.
  func commit(_ changes: [StoreChange]) async throws(StoreError) -> UInt64

  /// Changes that other nodes made (this node's own may be among them), in order, those of one revision together; a
  /// store of one node never yields. After an error: load again.
  func changes(after revision: UInt64) -> AsyncThrowingStream<[StoredRecord], any Error>

  /// Whether this node may rotate now: one at a time. Always true for a store of one node.
  func mayRotate() async -> Bool

  /// Makes sure that values which were replaced or deleted are in no file any more, as far as the store can.
  func purge() async throws(StoreError)

  /// The last entries of the audit log, oldest first: all of `audit/log/`.
  func auditLog(last count: Int) async throws(StoreError) -> [[UInt8]]

  /// Lets go of files, connections and the right to rotate.
  func close() async
}

extension ControllerStore {
  package static var auditPrefix: String { "audit/" }
  /// Entries sort by name as they happened.
  package static var auditLogPrefix: String { "audit/log/" }
}

package struct StoredRecord: Sendable, Equatable {
  package var name: String
  /// Nil: deleted.
  package var value: [UInt8]?
  /// The revision of its last change; what `StoreChange.expecting` compares. 0 when deleted.
  package var version: UInt64
  /// The store's revision at which this was so.
  package var revision: UInt64

  package init(name: String, value: [UInt8]?, version: UInt64, revision: UInt64) {
    self.name = name
    self.value = value
    self.version = version
    self.revision = revision
  }
}

package struct StoreChange: Sendable, Equatable {
  package var name: String
  /// Nil: delete.
  package var value: [UInt8]?
  /// The record's version as far as known; 0: it must not exist; nil: whatever it is.
  package var expecting: UInt64?

  package init(name: String, value: [UInt8]?, expecting: UInt64?) {
    self.name = name
    self.value = value
    self.expecting = expecting
  }
}

package enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Names of records that are not at the version expected.
  case conflict([String])
  case unavailable(String)
  case damaged(String)

  package var description: String {
    switch self {
    case .conflict(let names): "the store has newer records than expected: \(names.joined(separator: ", "))"
    case .unavailable(let reason): "the store does not answer: \(reason)"
    case .damaged(let reason): "the store is damaged: \(reason)"
    }
  }
}
