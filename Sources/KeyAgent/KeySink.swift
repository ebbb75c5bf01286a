package import Keys
package import Rotation

/// What the agent has to give at one time, as a whole.
package struct KeyView: Sendable {
  /// The groups in force: every root key there with a current generation.
  package var groups: [TrustGroup]
  /// What each group's identity controller calls this node, by the group's name; none where the configuration does, or nobody
  /// did yet.
  package var assignments: [String: Assignment]
  /// Outside clients that the node's pool may serve, by the name of the group whose identity controller lists them.
  package var clients: [String: [ClientRecord]]
  /// The last second of each generation, by the root key's ID in hex and the generation's number.
  package var expiries: [String: [UInt64: Int64]]

  package init(
    groups: [TrustGroup], assignments: [String: Assignment], clients: [String: [ClientRecord]],
    expiries: [String: [UInt64: Int64]]
  ) {
    self.groups = groups
    self.assignments = assignments
    self.clients = clients
    self.expiries = expiries
  }

  /// Whether lcores need not change over: numbers tell, as no number ever has two keys.
  func isSame(as other: KeyView) -> Bool {
    func numbers(_ groups: [TrustGroup]) -> [[[UInt64?]]] {
      groups.map { $0.rootKeys.map { [$0.previous?.index, $0.current.index, $0.next?.index] } }
    }
    return groups.map(\.name) == other.groups.map(\.name) && numbers(groups) == numbers(other.groups)
      && groups.map { $0.rootKeys.map(\.id) } == other.groups.map { $0.rootKeys.map(\.id) }
      && assignments == other.assignments && clients == other.clients && expiries == other.expiries
  }

  static let nothing = KeyView(groups: [], assignments: [:], clients: [:], expiries: [:])
}

/// What uses the keys: the gateway. Called by one thread at a time.
package protocol KeySink: Sendable {
  /// Puts these keys in the place of those before; returns when no lcore uses the old ones any more.
  ///
  /// - Throws: when they are not taken; those before stay in use.
  func install(_ keys: KeyView) throws
  /// The time that others have; before the first call nothing is sealed or opened.
  func follow(_ time: ClockReference)
  /// The counter record may have been rolled back (wire format, section 4).
  func distrustRecord(atStart: Bool)
  /// The time that the counter record has, in Unix seconds; nothing when there is none.
  var nodeTime: UInt64? { get }
}
