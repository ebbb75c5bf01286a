internal import Foundation

/// The right to rotate: a key bound to a lease. It only keeps two nodes from working against each other; that nothing is
/// lost or forked rests on the comparisons of each commit.
extension EtcdStore {
  package func mayRotate() async -> Bool {
    startKeeping()
    await firstTry?.value
    guard let right else { return false }
    return ContinuousClock.now < right.ends
  }

  private func startKeeping() {
    guard keeper == nil else { return }
    let first = Task { [weak self] in
      guard let self else { return }
      await self.keepRight()
    }
    firstTry = first
    let interval = Duration.milliseconds(min(1000, settings.leaseSeconds * 1000 / 4))
    keeper = Task { [weak self] in
      await first.value
      while !Task.isCancelled {
        try? await Task.sleep(for: interval)
        guard let self, !Task.isCancelled else { return }
        await self.keepRight()
        await self.compactWhatIsDue()
      }
    }
  }

  /// Keeps the lease alive, or takes the right when no node has it.
  func keepRight() async {
    do throws(EtcdError) {
      if let held = right {
        let sent = ContinuousClock.now
        let answer = try await client.once(
          "/v3/lease/keepalive", EtcdLease(id: EtcdNumber(held.lease)), as: EtcdStreamed<EtcdLease>.self)
        guard right == held else { return }
        if let seconds = answer.result?.seconds?.value, seconds > 0 {
          // A lease that had ended and a right that another node has since would show here as no lease.
          right?.ends = sent + .seconds(min(seconds, settings.leaseSeconds))
          return
        }
        right = nil
      }
      try await takeRight()
    } catch {
      // Not known: `ends` decides, and the next round asks again.
      if let held = right, held.ends <= .now { right = nil }
    }
  }

  private func takeRight() async throws(EtcdError) {
    let found = try await client.once("/v3/kv/range", EtcdRange(key: keys.rotation), as: EtcdRangeAnswer.self)
    rotatingNode = found.kvs?.first?.value.flatMap { String(bytes: $0, encoding: .utf8) }
    guard found.kvs?.isEmpty ?? true else { return }
    let sent = ContinuousClock.now
    let granted = try await client.once(
      "/v3/lease/grant", EtcdLease(seconds: EtcdNumber(settings.leaseSeconds)), as: EtcdLease.self)
    guard let lease = granted.id else { return }
    var created: Int64?
    do throws(EtcdError) {
      let answer = try await client.once(
        "/v3/kv/txn",
        EtcdTransaction(
          compare: [.created(keys.rotation, 0)],
          success: [.put(.init(key: keys.rotation, value: Data(settings.node.utf8), lease: lease))], failure: []),
        as: EtcdTransactionAnswer.self)
      if answer.succeeded == true { created = answer.header.revision?.value }
    } catch {
      // The lease tells whether the key is this node's.
      let found = try await client.repeatedly("/v3/kv/range", EtcdRange(key: keys.rotation), as: EtcdRangeAnswer.self)
      if let pair = found.kvs?.first, pair.lease == lease { created = pair.created?.value }
    }
    guard let created else { return await revoke(lease.value) }
    right = Right(lease: lease.value, created: created, ends: sent + .seconds(settings.leaseSeconds))
    rotatingNode = nil
    // The node before may have fallen silent between an erasure and its compaction.
    compactions.append((created, .now))
  }

  func revoke(_ lease: Int64) async {
    _ = try? await client.once("/v3/lease/revoke", EtcdLease(id: EtcdNumber(lease)), as: EtcdAnswer.self)
  }
}
