internal import Foundation
internal import Identity
internal import Keys
internal import Rotation
internal import Vault

/// One root key as members are given it.
struct RootView: Sendable {
  struct Generation: Sendable {
    let index: UInt64
    let role: GenerationRole
    let created, expires: Int64
    let fingerprint: Fingerprint
    let key: SecretKey
  }

  let name, id, level: String
  let floor: UInt64
  let generations: [Generation]
}

/// Everything that one member is given, before it is wrapped for it.
struct MemberView: Sendable {
  let version: UInt64
  let sender: KeySender
  let roots: [RootView]
  let assignment: Assignment?
  let clients: [ClientRecord]

  /// Off the registry: this is what takes time when a thousand members ask at once.
  func wrapped(for recipient: PublicKeyJWK) throws -> KeySet {
    let delivery: KeyDelivery
    do {
      delivery = try sender.agree(with: recipient)
    } catch {
      if error.kind == .memory { throw Refusal(503, "memory", "\(error)") }
      throw Refusal.bad("\(error)")
    }
    let series = try roots.map { root in
      KeySeries(
        name: root.name, id: root.id, level: root.level, floor: root.floor,
        keys: try root.generations.map { generation in
          KeyObject(
            id: root.id, level: root.level, index: generation.index, state: generation.role,
            wrapped: try delivery.wrap(generation.key), notBefore: generation.created, expires: generation.expires,
            fingerprint: generation.fingerprint)
        })
    }
    return KeySet(
      version: version, epk: sender.publicKey, rootKeys: series, assignment: assignment, clients: clients)
  }
}

/// A long poll that waits.
final class Waiter: Sendable {
  enum End: Sendable { case changed, timeout, superseded, stopping }

  let number: UInt64
  let version: UInt64
  let deadline: Int64
  private let continuation: CheckedContinuation<End, Never>

  init(number: UInt64, version: UInt64, deadline: Int64, _ continuation: CheckedContinuation<End, Never>) {
    self.number = number
    self.version = version
    self.deadline = deadline
    self.continuation = continuation
  }

  /// Once: whoever takes it out of the registry's list calls it.
  func end(_ reason: End) { continuation.resume(returning: reason) }
}

extension Registry {
  static let longestWait = 60

  /// What a member polls for; nothing when it did not change within the time that it waits.
  func poll(_ peer: PeerIdentity, _ poll: KeyPoll) async throws -> MemberView? {
    let id = peer.id.description
    guard (0...Self.longestWait).contains(poll.wait) else {
      throw Refusal.bad("found a wait of \(poll.wait) s, expected 0 to \(Self.longestWait)")
    }
    guard poll.acknowledgements.count <= 256 else {
      throw Refusal.bad("found \(poll.acknowledgements.count) acknowledgements, expected at most 256")
    }
    lastSeen[id] = Self.now
    // Another node may have answered it a moment ago: no version goes back, and no lease is taken for dead.
    let isBehind = state.version(of: id) < poll.version
    if isBehind || (try? Self.check(poll, state.leases[id], at: Self.now)) == nil { try await refresh() }
    try await acknowledge(id, poll)
    let deadline = Self.now + Int64(poll.wait) * 1000
    while true {
      // It may have been removed, or its lease swapped by another instance, while it waited.
      guard isMember(peer) else { throw Refusal(403, "unauthorized", "\(id) is no member") }
      // Renewals swap the token under a poll that waits: only the lease counts now.
      guard state.isLeaseLive(id, at: Self.now) else { throw Self.noLease }
      if state.version(of: id) != poll.version { return try view(of: id) }
      guard Self.now < deadline, !isStopped else { return nil }
      switch await wait(id, poll.version, deadline) {
      case .changed: continue
      case .timeout, .superseded, .stopping: return nil
      }
    }
  }

  private static func check(_ poll: KeyPoll, _ lease: LeaseRecord?, at time: Int64) throws {
    guard let lease, let token = lease.token, lease.expires > time,
      // The poll and the renewal may have crossed on the way.
      token == poll.token || (lease.shown == poll.token && time < lease.swapped + 2000)
    else { throw noLease }
  }

  private static let noLease = Refusal(
    409, "lease", "found no live lease under this token, expected one; take or renew it: POST /v1/lease")

  /// Writes down what the member has, when that is new, and that it is answered under its lease.
  private func acknowledge(_ id: String, _ poll: KeyPoll) async throws {
    state.time = Self.now
    try Self.check(poll, state.leases[id], at: state.time)
    var probe = state
    Self.note(id, poll, &probe)
    guard probe.leases[id] != state.leases[id] || probe.acknowledgements[id] != state.acknowledgements[id] else {
      return
    }
    try await change { state in
      try Self.check(poll, state.leases[id], at: state.time)
      Self.note(id, poll, &state)
    }
  }

  private static func note(_ id: String, _ poll: KeyPoll, _ state: inout ControllerState) {
    guard let member = state.members[id] else { return }
    if var lease = state.leases[id], !lease.isAnswered {
      lease.isAnswered = true
      state.leases[id] = lease
      state.passGate()
    }
    var record = state.acknowledgements[id] ?? AcknowledgementRecord(entries: [:])
    record.problem = nil
    var entries: [String: AcknowledgementRecord.Entry] = [:]
    for name in member.rootKeys {
      guard let root = state.roots[name], let said = poll.acknowledgements.last(where: { $0.id == root.id }) else {
        continue
      }
      guard max(said.staged, said.promoted) <= root.rotation.newest else {
        record.problem =
          "it holds generation \(max(said.staged, said.promoted)) of \(name), and this controller has made "
          + "\(root.rotation.newest) at most: the controller was set back"
        continue
      }
      var entry = record.entries[root.id] ?? AcknowledgementRecord.Entry(staged: 0, promoted: 0, at: 0)
      if said.staged != entry.staged || said.promoted != entry.promoted {
        // What it no longer holds counts at once; what it has newly starts the clock.
        entry = AcknowledgementRecord.Entry(staged: said.staged, promoted: said.promoted, at: state.time)
      }
      entries[root.id] = entry
    }
    record.entries = entries
    state.acknowledgements[id] = record
  }

  // MARK: Views

  private func view(of id: String) throws -> MemberView {
    guard let member = state.members[id] else { throw Refusal(403, "unauthorized", "\(id) is no member") }
    let clients =
      member.pool.map { pool in clientRecords().filter { $0.pool == pool } } ?? []
    return MemberView(
      version: state.version(of: id), sender: try currentSender(), roots: member.rootKeys.compactMap(rootView),
      assignment: member.assignment, clients: clients)
  }

  private func rootView(_ name: String) -> RootView? {
    let version = state.roots.version(name)
    if let known = views[name], known.version == version { return known.view }
    guard let record = state.roots[name], !record.isRetired else { return nil }
    let rotation = record.rotation
    let view = RootView(
      name: name, id: record.id, level: record.level, floor: rotation.floor,
      generations: rotation.generations.compactMap { index in
        guard let stored = record.stored(index), let key = state.keys[name]?[index], let role = rotation.role(of: index)
        else { return nil }
        return RootView.Generation(
          index: index, role: role, created: stored.created, expires: stored.expires, fingerprint: stored.fingerprint,
          key: key)
      })
    views[name] = (version, view)
    return view
  }

  /// One for the answers of a moment: who asks brings a key of its own.
  private func currentSender() throws -> KeySender {
    if let sender, Self.now - sender.made < 1000 { return sender.sender }
    let fresh = try KeySender()
    sender = (Self.now, fresh)
    return fresh
  }

  // MARK: Waiting

  private func wait(_ id: String, _ version: UInt64, _ deadline: Int64) async -> Waiter.End {
    let number = nextWaiter
    nextWaiter += 1
    if var list = waiters[id], list.count >= settings.limits.longPolls {
      list.removeFirst().end(.superseded)
      waiters[id] = list
    }
    return await withCheckedContinuation { continuation in
      waiters[id, default: []].append(
        Waiter(number: number, version: version, deadline: deadline, continuation))
    }
  }

  /// Ends the polls of members that are given something else now.
  func wake() {
    for (id, list) in waiters {
      let version = state.version(of: id)
      guard state.members[id] == nil || list.contains(where: { $0.version != version }) else { continue }
      waiters[id] = nil
      for waiter in list { waiter.end(.changed) }
    }
  }

  /// Ends the polls that have waited long enough; runs for as long as the process does.
  func sweep() async {
    while !isStopped {
      try? await Task.sleep(for: .milliseconds(250))
      if Task.isCancelled { return }
      let now = Self.now
      for (id, list) in waiters where list.contains(where: { $0.deadline <= now }) {
        let rest = list.filter { $0.deadline > now }
        waiters[id] = rest.isEmpty ? nil : rest
        for waiter in list where waiter.deadline <= now { waiter.end(.timeout) }
      }
    }
  }

  var waiting: Int { waiters.values.reduce(0) { $0 + $1.count } }
}
