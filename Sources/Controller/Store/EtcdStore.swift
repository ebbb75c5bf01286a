internal import Foundation

/// The records of a controller with several nodes, in etcd 3.4 or later, over its JSON gateway.
///
/// A record's version is its `mod_revision`, the store's revision is etcd's. Every read that a decision rests on is
/// linearizable. Every commit also compares and replaces a key of this node alone (`writer/NODE`), so that it can be
/// found out what became of one whose answer was lost, and so that it can be barred from happening later.
package actor EtcdStore: ControllerStore {
  let settings: EtcdSettings
  let client: EtcdClient
  let keys: EtcdKeys

  /// What is known of this node's writer key.
  enum Writer: Equatable {
    /// Nothing yet, or a commit under this mark may still happen.
    case unknown(mark: Data?)
    case at(Int64)
  }

  var writer = Writer.unknown(mark: nil)
  /// Commits go one after another: each compares what the one before put.
  private var isCommitting = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// The right to rotate, while this node has it.
  struct Right: Equatable {
    var lease: Int64
    /// When the key was made: another node's, or a later one of this node's, has another.
    var created: Int64
    /// By this node's clock: etcd's lease ends later.
    var ends: ContinuousClock.Instant
  }

  var right: Right?
  /// Who has the right to rotate, when it is another node.
  var rotatingNode: String?
  /// The first try to get the right, and then the loop that keeps it.
  var keeper: Task<Void, Never>?
  var firstTry: Task<Void, Never>?

  /// The highest revision that etcd named.
  var revision: Int64 = 0
  var compacted: Int64 = 0
  var compactions: [(revision: Int64, after: ContinuousClock.Instant)] = []
  var nextCompaction = ContinuousClock.now

  /// Names of all records, so that a watch that has to begin anew can tell which were deleted.
  var names: Set<String> = []

  package init(_ settings: EtcdSettings) throws(StoreError) {
    self.settings = settings
    client = try EtcdClient(settings)
    keys = EtcdKeys(settings)
  }

  package func load() async throws(StoreError) -> (records: [String: StoredRecord], revision: UInt64) {
    let (pairs, revision) = try await read(keys.records, at: nil)
    var records: [String: StoredRecord] = [:]
    for pair in pairs {
      guard let record = try keys.record(pair, at: revision) else { continue }
      records[record.name] = record
    }
    names = Set(records.keys)
    return (records, UInt64(clamping: revision))
  }

  package func auditLog(last count: Int) async throws(StoreError) -> [[UInt8]] {
    guard count > 0 else { return [] }
    let range = keys.audit(Self.auditLogPrefix)
    let answer = try await repeatedly(
      "/v3/kv/range",
      EtcdRange(key: range.key, end: range.end, limit: EtcdNumber(Int64(count)), order: "DESCEND"),
      as: EtcdRangeAnswer.self)
    return (answer.kvs ?? []).reversed().map { [UInt8]($0.value ?? Data()) }
  }

  package func close() async {
    keeper?.cancel()
    firstTry?.cancel()
    await keeper?.value
    if let lease = right?.lease { await revoke(lease) }
    right = nil
    await client.shutdown()
  }

  /// All pairs of a range at one revision, in pieces that the gateway takes.
  func read(_ range: EtcdKeys.Range, at revision: Int64?) async throws(StoreError) -> ([EtcdKeyValue], Int64) {
    var request = EtcdRange(
      key: range.key, end: range.end, limit: EtcdNumber(1000), revision: revision.map { EtcdNumber($0) })
    var pairs: [EtcdKeyValue] = []
    while true {
      let answer: EtcdRangeAnswer
      do {
        answer = try await client.repeatedly("/v3/kv/range", request, as: EtcdRangeAnswer.self)
      } catch  where error.isCompacted && revision == nil {
        // Another node compacted between two pieces.
        (request.key, request.revision, pairs) = (range.key, nil, [])
        continue
      } catch {
        throw .unavailable(error.message)
      }
      note(answer.header)
      if request.revision == nil { request.revision = answer.header.revision }
      pairs += answer.kvs ?? []
      guard answer.more == true, let last = answer.kvs?.last else {
        return (pairs, request.revision?.value ?? 0)
      }
      request.key = last.key + [0]
    }
  }

  /// Reads, and requests that may be done twice.
  func repeatedly<Answer: Decodable & Sendable>(
    _ path: String, _ body: some Encodable & Sendable, as type: Answer.Type
  ) async throws(StoreError) -> Answer {
    do {
      return try await client.repeatedly(path, body, as: type)
    } catch {
      throw .unavailable(error.message)
    }
  }

  func note(_ header: EtcdHeader?) { revision = max(revision, header?.revision?.value ?? 0) }

  /// Waits until no other commit is under way.
  func enter() async {
    if isCommitting {
      await withCheckedContinuation { waiting.append($0) }
    } else {
      isCommitting = true
    }
  }

  func leave() {
    if waiting.isEmpty { isCommitting = false } else { waiting.removeFirst().resume() }
  }
}
