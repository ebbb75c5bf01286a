internal import Foundation

extension EtcdStore {
  /// etcd's `--max-txn-ops`, for comparisons and for operations each.
  static let operations = 128
  /// Of a longer commit, in transactions within the transaction: the limit counts one with the one around it.
  static let nested = (count: 32, operations: 96)

  package func commit(_ changes: [StoreChange]) async throws(StoreError) -> UInt64 {
    guard changes.count <= Self.nested.count * Self.nested.operations else {
      throw .unavailable(
        "found \(changes.count) changes in one commit, expected at most "
          + "\(Self.nested.count * Self.nested.operations): etcd takes no more at once; commit them in groups")
    }
    await enter()
    defer { leave() }
    let until = ContinuousClock.now + .milliseconds(5 * settings.requestTimeout)
    while true {
      let position = try await settle(until: until)
      let mark = Self.newMark()
      let (transaction, fence) = try await transaction(changes, mark: mark, position: position)
      writer = .unknown(mark: mark)
      let answer: EtcdTransactionAnswer
      do throws(EtcdError) {
        answer = try await client.once("/v3/kv/txn", transaction, as: EtcdTransactionAnswer.self)
      } catch {
        guard case .failed(let reason) = error else {
          writer = .at(position)
          throw .unavailable(error.message)
        }
        // Made or not, or still to be made: read back, bar it if it was not, and only then say or try again.
        if case .made(let revision) = try await resolve(mark: mark, until: until) { return UInt64(clamping: revision) }
        guard ContinuousClock.now < until else { throw .unavailable(reason) }
        continue
      }
      note(answer.header)
      let revision = answer.header.revision?.value ?? 0
      if answer.succeeded == true {
        writer = .at(revision)
        return UInt64(clamping: revision)
      }
      writer = .at(position)
      if try refuse(answer, changes, position: position, fence: fence) { continue }
    }
  }

  /// The transaction, and the right to rotate that it rests on.
  private func transaction(
    _ changes: [StoreChange], mark: Data, position: Int64
  ) async throws(StoreError) -> (EtcdTransaction, Right?) {
    var compare: [EtcdTransaction.Comparison] = [.modified(keys.writer, position)]
    // First and second in the answer to a failure, whatever is compared.
    var failure: [EtcdTransaction.Operation] = [
      .range(EtcdRange(key: keys.writer)), .range(EtcdRange(key: keys.rotation)),
    ]
    let fence = try fence(changes)
    if let fence { compare.append(.created(keys.rotation, fence.created)) }
    let expected = changes.filter { $0.expecting != nil }
    if compare.count + expected.count <= Self.operations, failure.count + expected.count <= Self.operations {
      for change in expected {
        compare.append(.modified(keys.key(change.name), Int64(clamping: change.expecting ?? 0)))
        failure.append(.range(EtcdRange(key: keys.key(change.name), keysOnly: true)))
      }
    } else {
      // Too many to compare each: they were right at a revision, since which no node has committed anything.
      compare.append(.unchanged(keys.writers, since: try await verify(expected)))
    }
    var operations: [EtcdTransaction.Operation] = changes.map { change in
      let key = keys.key(change.name)
      guard let value = change.value else { return .delete(.init(key: key)) }
      return .put(.init(key: key, value: Data(value)))
    }
    if operations.count >= Self.operations {
      operations = stride(from: 0, to: operations.count, by: Self.nested.operations).map {
        .all(Array(operations[$0..<min($0 + Self.nested.operations, operations.count)]))
      }
    }
    operations.append(.put(.init(key: keys.writer, value: mark)))
    return (EtcdTransaction(compare: compare, success: operations, failure: failure), fence)
  }

  /// Changes of a root key that exists need the right to rotate, and etcd checks at the commit itself that this node
  /// still has it. A new one needs none: it is made when it does not exist, so only one node can.
  private func fence(_ changes: [StoreChange]) throws(StoreError) -> Right? {
    guard changes.contains(where: { $0.name.hasPrefix("root/") && $0.expecting != 0 }) else { return nil }
    guard let right, ContinuousClock.now < right.ends else {
      throw .unavailable(
        "node \(settings.node) may not rotate now, "
          + (rotatingNode.map { "\($0) does" } ?? "no node does until a lease has ended") + "; ask that node, or again")
    }
    return right
  }

  /// Whether every record is at the version expected, and the revision at which this was so.
  private func verify(_ changes: [StoreChange]) async throws(StoreError) -> Int64 {
    var revision: EtcdNumber?
    var conflicts: [String] = []
    for start in stride(from: 0, to: changes.count, by: Self.operations) {
      let piece = changes[start..<min(start + Self.operations, changes.count)]
      let answer = try await repeatedly(
        "/v3/kv/txn",
        EtcdTransaction(
          compare: [],
          success: piece.map { .range(EtcdRange(key: keys.key($0.name), revision: revision, keysOnly: true)) },
          failure: []), as: EtcdTransactionAnswer.self)
      revision = revision ?? answer.header.revision
      conflicts += Self.conflicts(answer.responses ?? [], piece)
    }
    guard conflicts.isEmpty else { throw .conflict(conflicts) }
    return revision?.value ?? 0
  }

  private static func conflicts(
    _ responses: some Collection<EtcdTransactionAnswer.Response>, _ changes: some Collection<StoreChange>
  ) -> [String] {
    zip(changes, responses).filter { change, response in
      UInt64(clamping: response.range?.kvs?.first?.modified?.value ?? 0) != change.expecting
    }.map(\.0.name)
  }

  /// Says why a commit was refused; true when it is to be tried again.
  private func refuse(
    _ answer: EtcdTransactionAnswer, _ changes: [StoreChange], position: Int64, fence: Right?
  ) throws(StoreError) -> Bool {
    let responses = answer.responses ?? []
    guard responses.count >= 2 else { throw .damaged("found an answer of etcd's without what was asked for") }
    if responses[0].range?.kvs?.first?.modified?.value ?? 0 != position {
      writer = .unknown(mark: nil)
      throw .unavailable(
        "found that another process writes as node \(settings.node), expected a name for each node of its own")
    }
    if let fence, responses[1].range?.kvs?.first?.created?.value != fence.created {
      if right == fence { right = nil }
      throw .unavailable("node \(settings.node) lost the right to rotate before it could commit; nothing was changed")
    }
    let expected = changes.filter { $0.expecting != nil }
    let conflicts = Self.conflicts(responses.dropFirst(2), expected)
    guard conflicts.isEmpty else { throw .conflict(conflicts) }
    // A long commit, and another node committed in between.
    return true
  }
}
