internal import Foundation
internal import Glibc
internal import Identity
internal import Keys
internal import Logging
internal import Rotation
internal import Vault

/// All records of one controller in memory, and the only one who changes them: what is asked for while a transaction is
/// being written goes into the next one together, and nothing is answered before it is on the disk.
actor Registry {
  let settings: ControllerSettings
  let store: any ControllerStore
  let wrappingKey: any WrappingKey
  let logger: Logger
  let audit: AuditFile?
  /// What is in the store; requests read it between transactions.
  var state: ControllerState

  private var queue: [Job] = []
  private var isWriting = false
  private var mustReload = false
  private var lastStamp: Int64 = 0
  /// The revision of the last whole reading.
  private var loadedAt: UInt64 = 0
  private var refreshing: Task<Void, any Error>?
  private var isPurging = false
  private var mustPurge = false
  private(set) var isStopped = false
  /// Why the last transaction failed; nothing when it did not.
  private(set) var problem: String?

  var waiters: [String: [Waiter]] = [:]
  var nextWaiter: UInt64 = 0
  var lastSeen: [String: Int64] = [:]
  var views: [String: (version: UInt64, view: RootView)] = [:]
  var sender: (made: Int64, sender: KeySender)?
  var sleeper: Task<Void, Never>?
  var isKicked = false

  init(_ settings: ControllerSettings, store: any ControllerStore, logger: Logger) async throws {
    self.settings = settings
    self.store = store
    self.logger = logger
    wrappingKey = try settings.wrappingKey.open()
    audit = try settings.auditFile.map { path throws(StoreError) in try AuditFile(path: path) }
    let (records, revision) = try await store.load()
    state = try ControllerState(records, revision: revision, wrappingKey)
    loadedAt = revision
    // What an earlier process erased may still stand in the store's own log.
    try await store.purge()
    try await reconcile()
  }

  /// Milliseconds since 1970.
  static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  // MARK: Transactions

  /// One request's part in a transaction.
  private final class Job {
    let body: @Sendable (inout ControllerState) throws -> Void
    var failure: (any Error)?
    let continuation: CheckedContinuation<Void, any Error>

    init(
      _ body: @escaping @Sendable (inout ControllerState) throws -> Void,
      _ continuation: CheckedContinuation<Void, any Error>
    ) {
      self.body = body
      self.continuation = continuation
    }
  }

  /// Where a transaction leaves its result; only the actor touches it.
  private final class Box<Value>: @unchecked Sendable {
    var value: Value?
  }

  /// Makes a change: `body` looks at the newest state and changes it, or throws and changes nothing. It may run again
  /// when another node was faster. Returns when the change is durable.
  func change<Result: Sendable>(
    _ body: @escaping @Sendable (inout ControllerState) throws -> Result
  ) async throws -> Result {
    guard !isStopped else { throw Refusal(503, "stopping", "the controller is stopping; ask again in a moment") }
    let box = Box<Result>()
    try await withCheckedThrowingContinuation { continuation in
      queue.append(Job({ state in box.value = try body(&state) }, continuation))
      if !isWriting {
        isWriting = true
        Task { await self.write() }
      }
    }
    guard let value = box.value else { throw Refusal(500, "internal", "a change without a result; report this") }
    return value
  }

  private static let batch = 1024

  private func write() async {
    while !queue.isEmpty {
      let jobs = Array(queue.prefix(Self.batch))
      queue.removeFirst(jobs.count)
      do {
        try await write(jobs)
        problem = nil
      } catch {
        problem = "\(error)"
        logger.error("the store: \(error)")
        for job in jobs where job.failure == nil {
          job.failure = Refusal(503, "store", "nothing was changed for certain: \(error)")
        }
      }
      for job in jobs {
        if let failure = job.failure { job.continuation.resume(throwing: failure) } else { job.continuation.resume() }
      }
    }
    isWriting = false
  }

  private static let attempts = 50

  private func write(_ jobs: [Job]) async throws {
    for attempt in 1... {
      if mustReload { try await reload() }
      var (outcome, changes, entries) = try attemptAll(jobs)
      guard !changes.isEmpty || !entries.isEmpty else { return }
      for entry in entries {
        lastStamp = max(lastStamp + 1, entry.time * 1000)
        let digits = String(lastStamp)
        let name = String(repeating: "0", count: max(0, 18 - digits.count)) + digits
        changes.append(
          StoreChange(name: "audit/log/\(name)-\(settings.name)-\(getpid())", value: entry.json, expecting: 0))
      }
      do throws(StoreError) {
        let revision = try await store.commit(changes)
        finish(outcome, revision, entries)
        return
      } catch {
        mustReload = true
        outcome.newKeys = []
        guard case .conflict = error, attempt < Self.attempts else { throw error }
      }
    }
  }

  /// Every job against one draft, in order; one that throws leaves nothing in it.
  private func attemptAll(_ jobs: [Job]) throws -> (ControllerState.Outcome, [StoreChange], [AuditEntry]) {
    var draft = state
    draft.time = Self.now
    for job in jobs {
      job.failure = nil
      do {
        try job.body(&draft)
        draft.settle(keeping: true)
      } catch {
        draft.settle(keeping: false)
        job.failure = error
      }
    }
    return (draft.outcome, try draft.changes(), draft.audit)
  }

  private func finish(_ outcome: ControllerState.Outcome, _ revision: UInt64, _ entries: [AuditEntry]) {
    let isErased = state.apply(outcome, revision: revision)
    for entry in entries { logger.notice("\(entry.line)") }
    if let audit, !entries.isEmpty, !audit.append(entries) {
      problem = "the audit file could not be written; the store has the entries"
      logger.error("\(problem ?? "")")
    }
    if isErased { erased() }
    if outcome.isVisible { wake() }
    kick()
  }

  private func reload() async throws {
    var (records, revision) = try await store.load()
    // What came in while this was read may be newer than what was read.
    while revision < state.revision { (records, revision) = try await store.load() }
    state = try ControllerState(records, revision: revision, wrappingKey)
    loadedAt = revision
    views = [:]
    sender = nil
    mustReload = false
    wake()
  }

  /// Takes over what other nodes change, for as long as the process runs.
  func follow() async {
    while !isStopped {
      do {
        for try await records in store.changes(after: loadedAt) {
          guard !isStopped else { return }
          // A transaction of this node's own may be newer than this, but says nothing of other records.
          let newer = records.filter { $0.revision > loadedAt }
          guard !newer.isEmpty else { continue }
          let before = state.keys
          try state.take(newer, wrappingKey)
          if before.contains(where: { name, held in held.keys.contains { state.keys[name]?[$0] == nil } }) { erased() }
          wake()
          kick()
        }
      } catch {
        logger.warning("changes of other nodes: \(error); they are read again")
        mustReload = true
      }
      try? await Task.sleep(for: .milliseconds(500))
      if mustReload, !isWriting { try? await reload() }
    }
  }

  /// Reads what other nodes have written up to now: before a refusal that rests on what this node knows.
  func refresh() async throws {
    guard case .etcd = settings.store else { return }
    // One that runs already may have read too early.
    let earlier = refreshing
    _ = try? await earlier?.value
    if refreshing == earlier { refreshing = nil }
    let task = refreshing ?? Task { try await self.reload() }
    refreshing = task
    defer { if refreshing == task { refreshing = nil } }
    do {
      try await task.value
    } catch {
      throw Refusal(503, "store", "\(error)")
    }
  }

  /// Old wrapped values leave the store's files, a moment later: members are told first.
  private func erased() {
    views = [:]
    sender = nil
    mustPurge = true
    guard !isPurging else { return }
    isPurging = true
    Task {
      while mustPurge {
        mustPurge = false
        do {
          try await store.purge()
        } catch {
          logger.warning("what was erased may still stand in the store's log: \(error)")
          try? await Task.sleep(for: .seconds(1))
          mustPurge = !isStopped
        }
      }
      isPurging = false
    }
  }

  /// Ends what waits; the store is closed when everything asked for is written.
  func stop() async {
    isStopped = true
    sleeper?.cancel()
    for waiter in waiters.values.flatMap(\.self) { waiter.end(.stopping) }
    waiters = [:]
    while isWriting || isPurging { try? await Task.sleep(for: .milliseconds(5)) }
    await store.close()
  }
}
