/// `POST /v1/members`: who is let in, by name and key, and to what.
package struct Enrolment: Codable, Equatable, Sendable {
  /// SPIFFE ID.
  package var id: String
  /// `sha256:HEX` of its certificate's public key (SubjectPublicKeyInfo); several while it changes.
  package var publicKeys: [String]
  /// Names of root keys of this controller.
  package var rootKeys: [String]
  /// Members of one pool share a device ID; a member without a pool has one of its own. Only at the identity authority.
  package var pool: String?

  package init(id: String, publicKeys: [String], rootKeys: [String], pool: String? = nil) {
    self.id = id
    self.publicKeys = publicKeys
    self.rootKeys = rootKeys
    self.pool = pool
  }

  enum CodingKeys: String, CodingKey {
    case id, pool
    case publicKeys = "public_keys"
    case rootKeys = "root_keys"
  }
}

/// What the identity authority of a group gives a member (wire format, section 4).
package struct Assignment: Codable, Equatable, Sendable {
  /// 8 hex digits.
  package var deviceID: String
  /// 0 to 63.
  package var member: UInt8

  package init(deviceID: String, member: UInt8) {
    self.deviceID = deviceID
    self.member = member
  }

  enum CodingKeys: String, CodingKey {
    case deviceID = "device_id"
    case member
  }
}

/// `GET /v1/members`: a member as its controller knows it.
package struct MemberReport: Codable, Equatable, Sendable {
  package var id: String
  package var publicKeys: [String]
  package var rootKeys: [String]
  package var pool: String?
  package var assignment: Assignment?
  /// Its lease lives, and it has been answered under it.
  package var connected: Bool
  /// Unix seconds of its last request; nothing when there was none since the controller started.
  package var lastSeen: Int64?
  package var acknowledgements: [Acknowledgement]
  /// What is wrong with it: two instances, a state that was set back.
  package var problem: String?

  package init(
    id: String, publicKeys: [String], rootKeys: [String], pool: String?, assignment: Assignment?, connected: Bool,
    lastSeen: Int64?, acknowledgements: [Acknowledgement], problem: String?
  ) {
    self.id = id
    self.publicKeys = publicKeys
    self.rootKeys = rootKeys
    self.pool = pool
    self.assignment = assignment
    self.connected = connected
    self.lastSeen = lastSeen
    self.acknowledgements = acknowledgements
    self.problem = problem
  }

  enum CodingKeys: String, CodingKey {
    case id, pool, assignment, connected, acknowledgements, problem
    case publicKeys = "public_keys"
    case rootKeys = "root_keys"
    case lastSeen = "last_seen"
  }
}

/// `GET /v1/acknowledgements`: what a member said that it holds.
package struct AcknowledgementReport: Codable, Equatable, Sendable {
  package var id: String
  package var connected: Bool
  package var acknowledgements: [Acknowledgement]

  package init(id: String, connected: Bool, acknowledgements: [Acknowledgement]) {
    self.id = id
    self.connected = connected
    self.acknowledgements = acknowledgements
  }
}

/// An outside client that a pool may serve: `POST /v1/clients` (without `slot`), and in every `KeySet`.
package struct ClientRecord: Codable, Equatable, Sendable {
  /// SPIFFE ID.
  package var id: String
  package var publicKeys: [String]
  package var pool: String
  /// The outer address to which the pool's members send.
  package var address: String
  /// Its place in the pool's client numbers, given by the controller, never twice (docs/keys.md).
  package var slot: UInt32?

  package init(id: String, publicKeys: [String], pool: String, address: String, slot: UInt32? = nil) {
    self.id = id
    self.publicKeys = publicKeys
    self.pool = pool
    self.address = address
    self.slot = slot
  }

  enum CodingKeys: String, CodingKey {
    case id, pool, address, slot
    case publicKeys = "public_keys"
  }
}
