/// `GET /v1/root-keys`: one root key and its rotation, without key octets.
package struct RootKeyReport: Codable, Equatable, Sendable {
  package struct Generation: Codable, Equatable, Sendable {
    package var index: UInt64
    package var state: GenerationRole
    package var fingerprint: Fingerprint
    /// Unix seconds.
    package var created, expires: Int64

    package init(index: UInt64, state: GenerationRole, fingerprint: Fingerprint, created: Int64, expires: Int64) {
      self.index = index
      self.state = state
      self.fingerprint = fingerprint
      self.created = created
      self.expires = expires
    }
  }

  package var name: String
  package var id: String
  package var level: String
  package var floor: UInt64
  package var generations: [Generation]
  /// Unix seconds; nothing while nothing is staged.
  package var stagedAt: Int64?
  /// When the schedule makes the next step; nothing without a schedule.
  package var nextRotation: Int64?
  /// Members authorized for it, of them connected, of them in step with everything.
  package var members, connected, converged: Int
  /// Why the staged generation is not current yet, in words; and who is waited for.
  package var obstacles: [String]
  package var missing: [String]

  package init(
    name: String, id: String, level: String, floor: UInt64, generations: [Generation], stagedAt: Int64?,
    nextRotation: Int64?, members: Int, connected: Int, converged: Int, obstacles: [String], missing: [String]
  ) {
    self.name = name
    self.id = id
    self.level = level
    self.floor = floor
    self.generations = generations
    self.stagedAt = stagedAt
    self.nextRotation = nextRotation
    self.members = members
    self.connected = connected
    self.converged = converged
    self.obstacles = obstacles
    self.missing = missing
  }

  enum CodingKeys: String, CodingKey {
    case name, id, level, floor, generations, members, connected, converged, obstacles, missing
    case stagedAt = "staged_at"
    case nextRotation = "next_rotation"
  }
}

/// `POST /v1/root-keys/{name}/{stage|promote|rotate|revoke}`.
package struct RotationCommand: Codable, Equatable, Sendable {
  /// Promote although members are missing; it is audited.
  package var force: Bool

  package init(force: Bool) { self.force = force }
}

/// The body of every answer that is not a success.
package struct APIError: Codable, Equatable, Sendable, Error, CustomStringConvertible {
  /// A word for programs, such as `unauthorized` or `waiting`.
  package var error: String
  /// What was found, what was expected, what to do.
  package var message: String
  /// Members that a promotion waits for.
  package var missing: [String]?

  package init(error: String, message: String, missing: [String]? = nil) {
    self.error = error
    self.message = message
    self.missing = missing
  }

  package var description: String {
    missing.map { $0.isEmpty ? message : "\(message): \($0.joined(separator: ", "))" } ?? message
  }
}
