/// `POST /v1/keys`: a member asks for everything that is its, and says what it has. Answered at once when the
/// controller's version is another than `version`, else when it changes or `wait` seconds have passed (204).
package struct KeyPoll: Codable, Equatable, Sendable {
  /// The version of the last answer that was taken over; 0: none.
  package var version: UInt64
  /// Seconds, 0 to 60.
  package var wait: Int
  /// The instance lease's token (see `LeaseRequest`).
  package var token: String
  /// To whom the keys of the answer are wrapped: made anew for each poll.
  package var recipient: PublicKeyJWK
  package var acknowledgements: [Acknowledgement]

  package init(
    version: UInt64, wait: Int, token: String, recipient: PublicKeyJWK, acknowledgements: [Acknowledgement]
  ) {
    self.version = version
    self.wait = wait
    self.token = token
    self.recipient = recipient
    self.acknowledgements = acknowledgements
  }
}

/// What a member holds of one root key, in its sealed file and on every lcore; repeated in every poll.
package struct Acknowledgement: Codable, Equatable, Sendable {
  /// The root key's ID, in hex.
  package var id: String
  /// Every generation up to this one that was offered is held; 0: none.
  package var staged: UInt64
  /// No lcore seals with an older generation than this; 0: none.
  package var promoted: UInt64

  package init(id: String, staged: UInt64, promoted: UInt64) {
    self.id = id
    self.staged = staged
    self.promoted = promoted
  }
}

/// An X25519 public key (RFC 8037).
package struct PublicKeyJWK: Codable, Equatable, Sendable {
  package var kty: String
  package var crv: String
  /// 32 octets in base64url.
  package var x: String

  package init(x: String) {
    kty = "OKP"
    crv = "X25519"
    self.x = x
  }
}

/// The answer to a poll: everything of the member's, as it is now.
package struct KeySet: Codable, Equatable, Sendable {
  package static let algorithm = "ECDH-ES+A256KW"

  /// Rises with every change of what any member is given.
  package var version: UInt64
  /// How `k` is wrapped (RFC 7518, section 4.6): under the agreement of `epk` with the poll's recipient.
  package var alg: String
  package var epk: PublicKeyJWK
  package var rootKeys: [KeySeries]
  /// What the member is called, where this controller is the identity authority of its group.
  package var assignment: Assignment?
  /// Outside clients that the member's pool may serve.
  package var clients: [ClientRecord]

  package init(
    version: UInt64, epk: PublicKeyJWK, rootKeys: [KeySeries], assignment: Assignment?, clients: [ClientRecord]
  ) {
    self.version = version
    alg = Self.algorithm
    self.epk = epk
    self.rootKeys = rootKeys
    self.assignment = assignment
    self.clients = clients
  }

  enum CodingKeys: String, CodingKey {
    case version, alg, epk, assignment, clients
    case rootKeys = "root_keys"
  }
}

/// One root key with its generations.
package struct KeySeries: Codable, Equatable, Sendable {
  /// The controller's name for it, unique there.
  package var name: String
  /// 16 to 32 octets in hex.
  package var id: String
  /// `trust-region`, `user-group` or `task-group`.
  package var level: String
  /// The lowest generation that may still be held.
  package var floor: UInt64
  /// Oldest first; empty after a revocation with nothing staged.
  package var keys: [KeyObject]

  package init(name: String, id: String, level: String, floor: UInt64, keys: [KeyObject]) {
    self.name = name
    self.id = id
    self.level = level
    self.floor = floor
    self.keys = keys
  }
}

/// One generation, as a JWK (RFC 7517) with members of its own.
package struct KeyObject: Codable, Equatable, Sendable {
  package var kty: String
  /// The root key's ID and the generation: `HEX.NUMBER`.
  package var kid: String
  /// How `k` is encrypted: always `A256KW`, no root key ever travels bare.
  package var enc: String
  /// The wrapped octets in base64url.
  package var k: String
  /// Unix seconds: not before, and the latest use.
  package var nbf: Int64
  package var exp: Int64
  package var level: String
  /// Counted in 64 bits; packets carry the low 8.
  package var index: UInt64
  package var state: GenerationRole
  /// SHA-256 of the key's octets.
  package var fingerprint: Fingerprint

  package init(
    id: String, level: String, index: UInt64, state: GenerationRole, wrapped: String, notBefore: Int64, expires: Int64,
    fingerprint: Fingerprint
  ) {
    kty = "oct"
    kid = "\(id).\(index)"
    enc = "A256KW"
    k = wrapped
    nbf = notBefore
    exp = expires
    self.level = level
    self.index = index
    self.state = state
    self.fingerprint = fingerprint
  }
}
