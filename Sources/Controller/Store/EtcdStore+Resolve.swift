internal import Foundation

/// What became of a commit whose answer was lost.
enum EtcdOutcome: Equatable {
  /// At this revision.
  case made(Int64)
  /// Not made, and it never will be: the writer key it compares has moved on.
  case barred
}

extension EtcdStore {
  /// What a commit puts into the writer key: no two are the same.
  static func newMark() -> Data { Data(UUID().uuidString.utf8) }

  /// The revision of this node's writer key, once no earlier commit of this node can still happen.
  func settle(until deadline: ContinuousClock.Instant) async throws(StoreError) -> Int64 {
    if case .unknown(let mark) = writer { _ = try await resolve(mark: mark, until: deadline) }
    guard case .at(let position) = writer else { throw .unavailable("etcd did not answer in time") }
    return position
  }

  /// Finds out whether the commit under `mark` was made, and bars it when it was not.
  ///
  /// Reading back alone would not do: the request may still be on its way. So the writer key, which it compares, is
  /// replaced under the same comparison; of the two, etcd makes exactly one.
  func resolve(mark: Data?, until deadline: ContinuousClock.Instant) async throws(StoreError) -> EtcdOutcome {
    var bars: Set<Data> = []
    var reason = ""
    repeat {
      do throws(EtcdError) {
        let found = try await client.repeatedly(
          "/v3/kv/range", EtcdRange(key: keys.writer), as: EtcdRangeAnswer.self)
        note(found.header)
        let pair = found.kvs?.first
        let position = pair?.modified?.value ?? 0
        if let value = pair?.value, value == mark || bars.contains(value) {
          writer = .at(position)
          return value == mark ? .made(position) : .barred
        }
        let bar = Self.newMark()
        bars.insert(bar)
        let answer = try await client.once(
          "/v3/kv/txn",
          EtcdTransaction(
            compare: [.modified(keys.writer, position)], success: [.put(.init(key: keys.writer, value: bar))],
            failure: []), as: EtcdTransactionAnswer.self)
        note(answer.header)
        if answer.succeeded == true {
          writer = .at(answer.header.revision?.value ?? 0)
          return .barred
        }
      } catch {
        reason = error.message
        if case .refused = error { throw .unavailable(reason) }
        try? await Task.sleep(for: .milliseconds(50))
      }
    } while ContinuousClock.now < deadline && !Task.isCancelled
    throw .unavailable(
      "\(reason); whether the last change was made is not known, and will be found out before the next")
  }
}
