internal import Rotation

extension ControllerState {
  /// A lease is held for alive a little longer than its holder does: their clocks and the way between them differ.
  static let leaseMargin: Int64 = 2000

  func isConnected(_ member: String) -> Bool {
    guard let lease = leases[member] else { return false }
    return lease.isAnswered && lease.token != nil && time < lease.expires + Self.leaseMargin
  }

  func isLeaseLive(_ member: String, at time: Int64) -> Bool { (leases[member]?.expires ?? 0) > time }

  /// How far everybody who is let in to a root key has come with it.
  func progress(_ name: String, _ record: RootKeyRecord) -> [MemberProgress] {
    members.names.compactMap { id in
      guard let member = members[id], member.rootKeys.contains(name) else { return nil }
      let entry = acknowledgements[id]?.entries[record.id]
      return MemberProgress(
        member: id, isConnected: isConnected(id), staged: entry?.staged ?? 0, promoted: entry?.promoted ?? 0,
        acknowledgedAt: entry?.at ?? 0)
    }
  }

  func obstacles(_ name: String, _ record: RootKeyRecord, _ settings: RootKeySettings) -> [RotationObstacle] {
    let all = record.rotation.obstacles(
      at: time, members: progress(name, record), share: settings.share,
      stagedFor: servesClients(settings) ? Int64(settings.epochPeriod) * 1000 : 0)
    guard record.isForced else { return all }
    // Still not before packets under way have arrived and who can has it.
    let earliest = (record.rotation.stagedAt ?? 0) + RotationState.settling
    return all.filter { !$0.canBeForced } + (time < earliest ? [.notBefore(earliest)] : [])
  }

  private func servesClients(_ settings: RootKeySettings) -> Bool {
    settings.servesClients || !clients.rows.isEmpty
  }

  /// What a member is given has not changed since this revision; rises for each member.
  func version(of id: String) -> UInt64 {
    guard let member = members[id] else { return 0 }
    let own = max(members.version(id), member.pool.map(pools.version) ?? 0)
    return member.rootKeys.reduce(own) { max($0, roots.version($1)) }
  }
}
