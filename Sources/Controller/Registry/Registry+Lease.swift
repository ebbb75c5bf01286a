internal import Identity
internal import Rotation

extension Registry {
  func lease(_ peer: PeerIdentity, _ request: LeaseRequest) async throws -> LeaseGrant {
    let id = peer.id.description
    guard isToken(request.next), request.shown.map(isToken) ?? true, request.shown != request.next else {
      throw Refusal.bad("found other tokens, expected two different ones of 64 hex digits")
    }
    guard state.members[id] != nil else { throw Refusal(403, "unauthorized", "\(id) is no member") }
    lastSeen[id] = Self.now
    var outcome = try await swap(id, request)
    if case .failure = outcome {
      // Another node may have swapped it a moment ago.
      try await refresh()
      outcome = try await swap(id, request)
    }
    return LeaseGrant(expiresIn: settings.leaseSeconds, rolledBack: try outcome.get())
  }

  /// A refusal is kept as well, so it is no error of the transaction.
  private func swap(_ id: String, _ request: LeaseRequest) async throws -> Result<Bool, Refusal> {
    let seconds = settings.leaseSeconds
    return try await change { state in
      guard state.members[id] != nil else { throw Refusal(403, "unauthorized", "\(id) is no member") }
      let old = state.leases[id]
      switch Self.judge(request, old, at: state.time) {
      case .swap(let rolledBack):
        // Without a gap it is the same lease: what was answered under it still counts.
        let isSame = !rolledBack && old.map { $0.expires > state.time } ?? false
        var lease = LeaseRecord(
          token: request.next, shown: request.shown, swapped: state.time,
          expires: state.time + Int64(seconds) * 1000)
        lease.isAnswered = isSame && old?.isAnswered ?? false
        if rolledBack {
          lease.problem = "its state was set back, or lost: it was told that its counter record may be old"
          state.acknowledgements[id] = nil
          state.note(AuditEntry(state.time, by: id, "rolled-back", id))
        }
        state.leases[id] = lease
        return .success(rolledBack)
      case .again:
        if var lease = old {
          lease.expires = state.time + Int64(seconds) * 1000
          state.leases[id] = lease
        }
        return .success(false)
      case .refused(let problem):
        if var lease = old, lease.problem != problem {
          lease.problem = problem
          state.leases[id] = lease
          state.note(AuditEntry(state.time, by: id, "refuse-instance", id, ["reason": problem]))
        }
        return .failure(
          Refusal(
            409, "instance",
            "found \(problem), expected one instance with its own state; stop the copy, then let an "
              + "administrator reset \(id) or remove and enrol it again"))
      }
    }
  }

  private enum Judgement {
    case swap(rolledBack: Bool)
    /// The answer to the same request was lost.
    case again
    case refused(String)
  }

  private static func judge(_ request: LeaseRequest, _ lease: LeaseRecord?, at time: Int64) -> Judgement {
    guard let lease else { return .swap(rolledBack: false) }
    if request.next == lease.token, request.shown == lease.shown, !lease.isReset { return .again }
    if let shown = request.shown, shown == lease.token { return .swap(rolledBack: false) }
    if lease.isReset { return .swap(rolledBack: true) }
    guard let shown = request.shown else {
      if lease.token == nil { return .swap(rolledBack: false) }
      return lease.expires > time
        ? .refused("a second instance: one without a state, while another one's lease lives") : .swap(rolledBack: true)
    }
    if shown == lease.shown {
      return .refused("two instances that showed the same token: a copy, or a restored snapshot")
    }
    return .refused("a token of an older state, or of none that this controller knows")
  }

  private nonisolated func isToken(_ text: String) -> Bool {
    text.utf8.count == 64
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }

  /// The member seals no more: its number may be handed on after three epochs.
  func release(_ peer: PeerIdentity) async throws {
    let id = peer.id.description
    let period = Int64(settings.rootKeys.map(\.epochPeriod).max() ?? 1800) * 1000
    try await change { state in
      guard var member = state.members[id] else { throw Refusal(403, "unauthorized", "\(id) is no member") }
      if member.assignment != nil {
        state.takeBack(id, member, until: state.time + 3 * period)
        member.assignment = nil
        state.members[id] = member
      }
      if var lease = state.leases[id] {
        lease.token = nil
        lease.shown = nil
        lease.expires = 0
        lease.isAnswered = false
        state.leases[id] = lease
        state.passGate()
      }
      state.acknowledgements[id] = nil
      state.note(AuditEntry(state.time, by: id, "release", id))
    }
  }
}
