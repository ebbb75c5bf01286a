internal import Foundation
internal import Logging
internal import Rotation
internal import Vault

/// What an administrator, or the schedule, does to a root key.
enum RotationAction: String, CaseIterable, Sendable { case stage, promote, rotate, revoke }

extension Registry {
  func rotate(
    _ name: String, _ action: RotationAction, force: Bool, by administrator: String
  ) async throws -> RootKeyReport {
    guard let root = settings.rootKeys.first(where: { $0.name == name }) else {
      throw Refusal.unknown("root key", name)
    }
    guard await store.mayRotate() else {
      throw Refusal(503, "not-rotating", "another node of \(settings.name) rotates; ask that one, or again in a moment")
    }
    try await change { [wrappingKey] state in
      guard var record = state.roots[name] else { throw Refusal.unknown("root key", name) }
      switch action {
      case .stage:
        guard record.rotation.next == nil else {
          throw Refusal(409, "staged", "found a staged generation of \(name), expected none; promote it, or rotate")
        }
        try Self.stage(&record, root, &state, wrappingKey, by: administrator)
      case .rotate:
        if record.rotation.next == nil { try Self.stage(&record, root, &state, wrappingKey, by: administrator) }
        record.isRotating = true
        record.isForced = force
        if force { state.note(AuditEntry(state.time, by: administrator, "force", name)) }
      case .promote:
        let obstacles = state.obstacles(name, record, root)
        guard obstacles.isEmpty || (force && !obstacles.contains { !$0.canBeForced }) else {
          throw Refusal(
            409, "waiting", "\(name) is not promoted: \(obstacles.map(\.sentence).joined(separator: "; "))",
            missing: obstacles.flatMap(\.missing))
        }
        let details = obstacles.isEmpty ? [:] : ["forced": obstacles.map(\.sentence).joined(separator: "; ")]
        try Self.promote(name, &record, &state, by: administrator, details)
      case .revoke:
        Self.revoke(name, &record, &state, by: administrator)
      }
      state.roots[name] = record
    }
    guard let report = report(name, at: Self.now) else { throw Refusal.unknown("root key", name) }
    return report
  }

  private static func stage(
    _ record: inout RootKeyRecord, _ root: RootKeySettings, _ state: inout ControllerState,
    _ wrappingKey: any WrappingKey, by: String
  ) throws {
    guard let index = record.rotation.stage(at: state.time) else {
      throw Refusal(
        409, "exhausted", "found no number left for another generation of \(root.name); name a new root key")
    }
    try make(index, &record, root, &state, wrappingKey)
    let fingerprint = record.stored(index)?.fingerprint.description ?? ""
    state.note(
      AuditEntry(state.time, by: by, "stage", root.name, ["generation": "\(index)", "fingerprint": fingerprint]))
  }

  private static func promote(
    _ name: String, _ record: inout RootKeyRecord, _ state: inout ControllerState, by: String,
    _ details: [String: String] = [:]
  ) throws {
    guard record.rotation.promote(at: state.time) else {
      throw Refusal(409, "nothing-staged", "found no staged generation of \(name), expected one; stage it first")
    }
    ended(&record, &state)
    let generation = record.rotation.current.map { "\($0)" } ?? "none"
    state.note(
      AuditEntry(state.time, by: by, "promote", name, details.merging(["generation": generation]) { $1 }))
  }

  private static func revoke(_ name: String, _ record: inout RootKeyRecord, _ state: inout ControllerState, by: String)
  {
    let revoked = record.rotation.current.map { "\($0)" } ?? "none"
    record.rotation.revoke(at: state.time)
    ended(&record, &state)
    let current = record.rotation.current.map { "\($0)" } ?? "none"
    state.note(AuditEntry(state.time, by: by, "revoke", name, ["generation": revoked, "current": current]))
  }

  /// Drops the keys of what the rotation no longer has.
  private static func ended(_ record: inout RootKeyRecord, _ state: inout ControllerState) {
    let kept = record.rotation.generations
    record.generations.removeAll { !kept.contains($0.index) }
    if record.rotation.next == nil {
      record.isRotating = false
      record.isForced = false
    }
    state.passGate()
  }

  // MARK: The schedule

  /// Makes every step that is due, and says when to look again (milliseconds since 1970).
  func drive() async -> Int64 {
    let now = Self.now
    var wake = now + 1000
    var due: [String] = []
    state.time = now
    for root in settings.rootKeys {
      guard let record = state.roots[root.name], !record.isRetired else { continue }
      switch Self.step(root, record, state) {
      case .now: due.append(root.name)
      case .at(let time): wake = min(wake, max(time, now + 1))
      case .never: break
      }
    }
    guard !due.isEmpty, await store.mayRotate() else { return wake }
    do {
      try await change { [settings, wrappingKey, due] state in
        for root in settings.rootKeys where due.contains(root.name) {
          guard var record = state.roots[root.name] else { continue }
          // The newest state may say otherwise by now.
          guard case .now(let step) = Self.step(root, record, state) else { continue }
          switch step {
          case .endPrevious:
            record.rotation.endPrevious()
            Self.ended(&record, &state)
            state.note(AuditEntry(state.time, by: "schedule", "expire", root.name))
          case .endCurrent:
            Self.revoke(root.name, &record, &state, by: "schedule, as its life is over")
          case .stage:
            if record.rotation.next == nil { try Self.stage(&record, root, &state, wrappingKey, by: "schedule") }
            record.isRotating = true
          case .promote:
            let details = record.isForced ? ["forced": "true"] : [:]
            try Self.promote(root.name, &record, &state, by: "schedule", details)
          }
          state.roots[root.name] = record
        }
      }
      return now
    } catch {
      logger.error("the schedule: \(error)")
      return wake
    }
  }

  enum Step { case endPrevious, endCurrent, stage, promote }
  enum Due { case now(Step), at(Int64), never }

  static func step(_ root: RootKeySettings, _ record: RootKeyRecord, _ state: ControllerState) -> Due {
    let seconds = state.time / 1000
    let rotation = record.rotation
    if let current = rotation.current.flatMap(record.stored), current.expires <= seconds { return .now(.endCurrent) }
    if let previous = rotation.previous.flatMap(record.stored), previous.expires <= seconds {
      return .now(.endPrevious)
    }
    if rotation.next != nil, record.isRotating {
      let obstacles = state.obstacles(root.name, record, root)
      if obstacles.isEmpty { return .now(.promote) }
      let times = obstacles.compactMap { if case .notBefore(let time) = $0 { time } else { nil } }
      // The others end with an acknowledgement or with a lease.
      return obstacles.count == times.count ? .at(times.max() ?? state.time) : .never
    }
    guard let next = nextRotation(root, record) else { return .never }
    return next <= state.time ? .now(.stage) : .at(next)
  }

  static func nextRotation(_ root: RootKeySettings, _ record: RootKeyRecord) -> Int64? {
    guard let period = root.rotateEvery, let promoted = record.rotation.promotedAt else { return nil }
    return promoted + Int64(period) * 1000
  }

  /// Runs for as long as the process does.
  func driveOn() async {
    while !isStopped {
      isKicked = false
      let next = await drive()
      let pause = next - Self.now
      guard pause > 0, !isKicked, !isStopped else {
        await Task.yield()
        continue
      }
      let sleeper = Task<Void, Never> { try? await Task.sleep(for: .milliseconds(pause)) }
      self.sleeper = sleeper
      await withTaskCancellationHandler {
        await sleeper.value
      } onCancel: {
        sleeper.cancel()
      }
      if Task.isCancelled { return }
    }
  }

  /// Something changed that a rotation may have waited for.
  func kick() {
    isKicked = true
    sleeper?.cancel()
  }

  // MARK: Reports

  func reports() -> [RootKeyReport] { settings.rootKeys.compactMap { report($0.name, at: Self.now) } }

  private func report(_ name: String, at time: Int64) -> RootKeyReport? {
    guard let root = settings.rootKeys.first(where: { $0.name == name }) else { return nil }
    state.time = time
    guard let record = state.roots[name] else { return nil }
    let rotation = record.rotation
    let progress = state.progress(name, record)
    let held = rotation.next ?? rotation.current ?? 0
    let obstacles = rotation.next == nil ? [] : state.obstacles(name, record, root)
    return RootKeyReport(
      name: name, id: record.id, level: record.level, floor: rotation.floor,
      generations: record.generations.compactMap { stored in
        rotation.role(of: stored.index).map {
          RootKeyReport.Generation(
            index: stored.index, state: $0, fingerprint: stored.fingerprint, created: stored.created,
            expires: stored.expires)
        }
      },
      stagedAt: rotation.next == nil ? nil : rotation.stagedAt.map { $0 / 1000 },
      nextRotation: Self.nextRotation(root, record).map { $0 / 1000 }, members: progress.count,
      connected: progress.count(where: \.isConnected),
      converged: progress.count { $0.staged >= held && $0.promoted >= rotation.current ?? 0 },
      obstacles: obstacles.map(\.sentence), missing: Array(Set(obstacles.flatMap(\.missing))).sorted())
  }
}

extension ControllerState {
  /// To be called with every change of who is connected or of what is current.
  mutating func passGate() { gate[""] = GateRecord(count: (gate[""]?.count ?? 0) &+ 1) }
}

extension RotationObstacle {
  var sentence: String {
    switch self {
    case .nothingStaged: "nothing is staged"
    case .waitingFor(let members, let phase, let generation):
      "\(members.count) connected member\(members.count == 1 ? " has" : "s have") not acknowledged \(phase.rawValue) of "
        + "generation \(generation)"
    case .share(let acknowledged, let members, let needed, _):
      "\(acknowledged) of \(members) members have it, expected \(needed) or more"
    case .notBefore(let time): "it may not be promoted before \(Double(time) / 1000) (Unix time)"
    }
  }

  var missing: [String] {
    switch self {
    case .waitingFor(let members, _, _): members
    case .share(_, _, _, let missing): missing
    case .nothingStaged, .notBefore: []
    }
  }
}
