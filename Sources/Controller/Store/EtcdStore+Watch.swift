internal import Foundation
internal import Synchronization

/// How far a watch has come, shared with the task that looks whether it is alive.
private final class WatchProgress: Sendable {
  struct State {
    /// Everything up to this revision was given on.
    var seen: Int64
    var heard = ContinuousClock.now
  }

  let state: Mutex<State>

  init(seen: Int64) { state = Mutex(State(seen: seen)) }

  var seen: Int64 { state.withLock(\.seen) }

  func advance(to revision: Int64) { state.withLock { $0.seen = max($0.seen, revision) } }

  func hear() { state.withLock { $0.heard = .now } }

  func silence() -> Duration { state.withLock { .now - $0.heard } }
}

extension EtcdStore {
  /// Ends only with its consumer: what fails is begun again where it broke off, at the next endpoint; and where etcd has
  /// compacted what was missed, everything is read again and the deletions with it.
  package nonisolated func changes(after revision: UInt64) -> AsyncThrowingStream<[StoredRecord], any Error> {
    AsyncThrowingStream { continuation in
      let task = Task { [weak self] in
        let progress = WatchProgress(seen: Int64(clamping: revision))
        var turn = 0
        while !Task.isCancelled {
          do {
            guard let self else { break }
            try await self.watch(progress, turn: turn) { continuation.yield($0) }
          } catch let error as StoreError {
            if case .damaged = error { return continuation.finish(throwing: error) }
          } catch {}
          turn += 1
          try? await Task.sleep(for: .milliseconds(50))
        }
        continuation.finish()
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// One connection of a watch; returns or throws when it is of no more use.
  private func watch(
    _ progress: WatchProgress, turn: Int, yield: @escaping @Sendable ([StoredRecord]) -> Void
  ) async throws {
    let request = EtcdWatch(
      create: .init(key: keys.all.key, end: keys.all.end, start: EtcdNumber(progress.seen + 1)))
    progress.hear()
    let client = client
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        let pending = Mutex<[EtcdWatchAnswer.Event]>([])
        try await client.lines("/v3/watch", request, turn: turn, as: EtcdStreamed<EtcdWatchAnswer>.self) { line in
          progress.hear()
          guard let answer = line.result else { throw EtcdError.failed(line.error?.message ?? "") }
          if answer.compacted != nil {
            try await self.reload(progress, yield: yield)
            throw EtcdError.failed("compacted")
          }
          guard answer.canceled != true else { throw EtcdError.failed("canceled") }
          let events = pending.withLock { pending in
            pending += answer.events ?? []
            // A revision's events may go over several answers.
            guard answer.fragment != true else { return [EtcdWatchAnswer.Event]() }
            defer { pending = [] }
            return pending
          }
          try await self.deliver(events, progress, yield: yield)
        }
      }
      group.addTask { try await self.lookAfter(progress) }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// Gives on what is new, one revision at a time.
  private func deliver(
    _ events: [EtcdWatchAnswer.Event], _ progress: WatchProgress, yield: ([StoredRecord]) -> Void
  ) throws(StoreError) {
    var records: [StoredRecord] = []
    var at = progress.seen
    for event in events {
      let revision = event.kv.modified?.value ?? 0
      guard revision > progress.seen else { continue }
      if revision != at {
        if !records.isEmpty { yield(records) }
        records = []
        at = revision
      }
      let deleted = event.type == "DELETE"
      guard let record = try keys.record(event.kv, deleted: deleted, at: revision) else { continue }
      if deleted { names.remove(record.name) } else { names.insert(record.name) }
      records.append(record)
    }
    if !records.isEmpty { yield(records) }
    progress.advance(to: at)
    revision = max(revision, at)
  }

  /// What was missed is compacted: all that there is, and what there no longer is, at the present revision.
  private func reload(_ progress: WatchProgress, yield: ([StoredRecord]) -> Void) async throws(StoreError) {
    let before = names
    let (records, revision) = try await load()
    var changed = records.values.filter { $0.version > UInt64(clamping: progress.seen) }
    changed += before.subtracting(records.keys).map {
      StoredRecord(name: $0, value: nil, version: 0, revision: revision)
    }
    if !changed.isEmpty { yield(changed.sorted { $0.name < $1.name }) }
    progress.advance(to: Int64(clamping: revision))
  }

  /// A silent watch may be one of a node that hangs or is cut off: etcd's newest revision tells. Throws when it is.
  private func lookAfter(_ progress: WatchProgress) async throws {
    while true {
      try await Task.sleep(for: .seconds(1))
      guard progress.silence() > .seconds(1) else { continue }
      let answer = try await client.repeatedly(
        "/v3/kv/range", EtcdRange(key: keys.rotation, keysOnly: true), as: EtcdRangeAnswer.self)
      note(answer.header)
      let newest = answer.header.revision?.value ?? 0
      // What was made while asking may be on its way.
      guard newest > progress.seen else { continue }
      try await Task.sleep(for: .milliseconds(200))
      if newest > progress.seen, progress.silence() > .seconds(1) { throw EtcdError.failed("silent") }
    }
  }
}
