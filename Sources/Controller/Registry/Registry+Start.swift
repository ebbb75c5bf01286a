internal import Foundation
internal import Keys
internal import Rotation
internal import Vault

extension Registry {
  /// Makes what the configuration names and the store does not have; puts away what the configuration no longer names.
  func reconcile() async throws {
    // A root key that exists is changed only by the node that rotates; a new one whoever is first makes.
    let mayRotate = await store.mayRotate()
    try await change { [settings, wrappingKey] state in
      Self.renewLeases(&state, seconds: settings.leaseSeconds)
      for root in settings.rootKeys {
        if var record = state.roots[root.name] {
          guard record.level == root.level.description else {
            throw StoreError.damaged(
              "the root key \(root.name): found level \(record.level) in the store and \(root.level) in the "
                + "configuration, expected the same; give the new one another name")
          }
          guard record.isRetired, mayRotate else { continue }
          record.isRetired = false
          state.roots[root.name] = record
          state.note(AuditEntry(state.time, by: "start", "take-up", root.name))
        } else {
          var generator = SystemRandomNumberGenerator()
          let id = hex((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
          var record = RootKeyRecord(
            id: id, level: root.level.description, rotation: RotationState(createdAt: state.time), generations: [])
          try Self.make(1, &record, root, &state, wrappingKey)
          state.roots[root.name] = record
          state.note(
            AuditEntry(state.time, by: "start", "create", root.name, ["id": id, "level": root.level.description]))
        }
      }
      for name in state.roots.names where !settings.rootKeys.contains(where: { $0.name == name }) {
        guard var record = state.roots[name], !record.isRetired, mayRotate else { continue }
        record.isRetired = true
        state.roots[name] = record
        state.note(AuditEntry(state.time, by: "start", "put-away", name))
      }
    }
  }

  /// While nobody answered, no lease could be renewed: who had one when the last was given has one again, and time to come
  /// back. Else the first to return would be rotated with, and the others left behind.
  private static func renewLeases(_ state: inout ControllerState, seconds: Int) {
    let lastAnswer = state.leases.names.compactMap { state.leases[$0]?.swapped }.max() ?? 0
    for id in state.leases.names {
      guard var lease = state.leases[id], lease.isAnswered, lease.token != nil, lease.expires >= lastAnswer else {
        continue
      }
      lease.expires = max(lease.expires, state.time + Int64(seconds) * 1000)
      state.leases[id] = lease
    }
  }

  /// A new generation's key: random, wrapped, its fingerprint written once and for all.
  static func make(
    _ index: UInt64, _ record: inout RootKeyRecord, _ root: RootKeySettings, _ state: inout ControllerState,
    _ wrappingKey: any WrappingKey
  ) throws {
    let key = try SecretKey.random()
    let wrapped = try wrappingKey.wrap(key, context: RootKeyRecord.context(record.id, index))
    let created = state.time / 1000
    record.generations.append(
      RootKeyRecord.Stored(
        index: index, wrapped: Base64URL.encode(wrapped), fingerprint: Fingerprint(of: key), created: created,
        expires: created + Int64(root.lifetime)))
    state.add(key, root: root.name, id: record.id, index: index)
  }
}

func hex(_ octets: some Sequence<UInt8>) -> String {
  octets.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
