internal import Identity
internal import Keys
internal import Rotation
internal import Vault

/// Whether a counter record may be forgotten: only when every group seals under a master key that it never sealed under.
package enum RecordResetCheck {
  /// Throws with what keeps it from being safe.
  package static func run(_ settings: KeyAgentSettings) throws {
    let file = SealedFile(path: settings.stateFile, key: try settings.wrappingKey.open())
    guard let state = try AgentState.load(file, member: nil) else {
      throw KeyAgentError(
        "\(settings.stateFile): found no state, expected one that says what this node sealed with; enrol the node under "
          + "another name, so that it gets another device ID")
    }
    let unsafe = settings.groups.filter { group in
      !group.rootKeys.contains { reference in
        guard let series = state.series(reference), let current = series.rotation.current else { return false }
        return current > state.sealed[series.id] ?? 0
      }
    }
    guard unsafe.isEmpty else {
      let names = unsafe.map { group in
        "\(group.name) (\(group.rootKeys.map(\.description).joined(separator: ", ")))"
      }
      throw KeyAgentError(
        "found no root key with a newer generation than this node sealed with in \(names.joined(separator: "; ")), "
          + "expected one in each group; rotate it at its controller (`keyweave keys rotate`), let this node run until "
          + "`keyweave status` shows the new generation as current, stop it and try again")
    }
  }
}
