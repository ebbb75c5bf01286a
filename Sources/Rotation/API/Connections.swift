/// `POST /v1/connections` (a new connection) and `POST /v1/connections/{id}/renew`, at the key agent of a pool's member: a
/// party outside the trust group asks for data keys (wire format, section 5).
package struct ConnectionRequest: Codable, Equatable, Sendable {
  /// To whom the keys are wrapped: made anew for each request.
  package var recipient: PublicKeyJWK
  /// Of a renewal: what the answer that made the connection said.
  package var issued: [String: UInt64]?

  package init(recipient: PublicKeyJWK, issued: [String: UInt64]? = nil) {
    self.recipient = recipient
    self.issued = issued
  }
}

/// A connection and the keys for it: no root key and no master key.
package struct ConnectionAnswer: Codable, Equatable, Sendable {
  /// 16 hex digits; direction 0.
  package var id: String
  /// The client's one inner address, base + n.
  package var address: String
  package var group: ConnectionGroup
  /// In the order in which options name them.
  package var rootKeys: [ConnectionRootKey]
  /// The current generation of each root key when the connection was made, by the root key's ID.
  package var issued: [String: UInt64]
  /// Where the pool's members take packets, as their operator lists them.
  package var members: [String]
  package var alg: String
  package var epk: PublicKeyJWK
  package var keys: [DataKeyObject]
  /// Unix seconds: the member's clock, when to renew at the latest, and when the last of the keys ends.
  package var time, renew, expires: Int64

  package init(
    id: String, address: String, group: ConnectionGroup, rootKeys: [ConnectionRootKey], issued: [String: UInt64],
    members: [String], epk: PublicKeyJWK, keys: [DataKeyObject], time: Int64, renew: Int64,
    expires: Int64
  ) {
    self.id = id
    self.address = address
    self.group = group
    self.rootKeys = rootKeys
    self.issued = issued
    self.members = members
    alg = KeySet.algorithm
    self.epk = epk
    self.keys = keys
    self.time = time
    self.renew = renew
    self.expires = expires
  }

  enum CodingKeys: String, CodingKey {
    case id, address, group, issued, members, alg, epk, keys, time, renew, expires
    case rootKeys = "root_keys"
  }
}

/// What a client has to know of the group.
package struct ConnectionGroup: Codable, Equatable, Sendable {
  package var name: String
  /// Seconds.
  package var epochPeriod: Int
  package var maxCOffset: Int
  package var maxIOffset: Int

  package init(name: String, epochPeriod: Int, maxCOffset: Int, maxIOffset: Int) {
    self.name = name
    self.epochPeriod = epochPeriod
    self.maxCOffset = maxCOffset
    self.maxIOffset = maxIOffset
  }

  enum CodingKeys: String, CodingKey {
    case name
    case epochPeriod = "epoch_period"
    case maxCOffset = "max_coffset"
    case maxIOffset = "max_ioffset"
  }
}

/// A root key's name and numbers, for the options: its octets stay with the pool.
package struct ConnectionRootKey: Codable, Equatable, Sendable {
  package var level: String
  /// Hex.
  package var id: String
  package var current: UInt64
  package var next: UInt64?

  package init(level: String, id: String, current: UInt64, next: UInt64?) {
    self.level = level
    self.id = id
    self.current = current
    self.next = next
  }
}

/// One data key, as a JWK with members of its own.
package struct DataKeyObject: Codable, Equatable, Sendable {
  package enum Direction: Int, Codable, Sendable, CaseIterable { case toPool = 0, fromPool = 1 }

  package static let algorithms = ["A256GCM", "A128GCM"]

  package var kty: String
  /// `A256GCM` or `A128GCM`, which uses the first 16 octets.
  package var alg: String
  /// How `k` is encrypted: always `A256KW`.
  package var enc: String
  package var k: String
  package var direction: Direction
  /// Not reduced.
  package var epoch: UInt64
  /// Of each root key.
  package var generations: [UInt64]
  /// The master key options that name them, in hex.
  package var options: String
  /// Unix seconds.
  package var nbf, exp: Int64

  package init(
    alg: String, wrapped: String, direction: Direction, epoch: UInt64, generations: [UInt64], options: String,
    notBefore: Int64, expires: Int64
  ) {
    kty = "oct"
    enc = "A256KW"
    self.alg = alg
    k = wrapped
    self.direction = direction
    self.epoch = epoch
    self.generations = generations
    self.options = options
    nbf = notBefore
    exp = expires
  }
}
