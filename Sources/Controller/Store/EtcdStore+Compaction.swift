internal import Foundation

/// etcd keeps every value that a key ever had until it is told to compact.
extension EtcdStore {
  /// How much of the past stays readable without any rotation.
  static let history = Duration.seconds(60)

  /// Removes what was replaced or deleted before now from etcd's history: `etcdctl get --rev` no longer finds it. The
  /// files of etcd's log and free pages of its database keep octets for some time (docs/keys.md); they are wrapped.
  package func purge() async throws(StoreError) {
    let answer = try await repeatedly("/v3/kv/range", EtcdRange(key: keys.rotation), as: EtcdRangeAnswer.self)
    note(answer.header)
    try await compact(to: revision)
  }

  /// The node that rotates does it for all.
  func compactWhatIsDue() async {
    guard right != nil else { return }
    if nextCompaction <= .now {
      nextCompaction = .now + Self.history
      compactions.append((revision, nextCompaction))
    }
    while let due = compactions.first(where: { $0.after <= .now }) {
      compactions.removeAll { $0.after <= .now && $0.revision <= due.revision }
      try? await compact(to: due.revision)
    }
  }

  private func compact(to revision: Int64) async throws(StoreError) {
    guard revision > compacted else { return }
    do {
      _ = try await client.repeatedly(
        "/v3/kv/compaction", EtcdCompaction(revision: EtcdNumber(revision), physical: true), as: EtcdAnswer.self)
    } catch {
      // Another node was faster, or the same request was answered by nobody and done.
      guard error.isCompacted else { throw .unavailable(error.message) }
    }
    compacted = max(compacted, revision)
  }
}
