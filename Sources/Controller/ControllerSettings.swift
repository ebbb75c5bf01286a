package import Identity
package import Keys
package import Vault

/// What one controller is: one authority over its root keys.
package struct ControllerSettings: Sendable, Equatable {
  package var name: String
  /// Where it listens; port 0: any free one.
  package var host: String
  package var port: Int
  package var tls: TLSFiles
  package var store: StoreSettings
  package var wrappingKey: WrappingKeySource
  package var administrators: [Administrator]
  package var rootKeys: [RootKeySettings]
  /// Whether it assigns device IDs and member numbers: exactly one controller of a trust group does.
  package var isIdentityAuthority: Bool
  package var firstDeviceID: UInt32
  /// Seconds that a member's lease lasts.
  package var leaseSeconds: Int
  package var limits: ControllerLimits
  /// A second copy of the audit log, one JSON object per line, only ever appended to.
  package var auditFile: String?

  package init(
    name: String, host: String, port: Int, tls: TLSFiles, store: StoreSettings, wrappingKey: WrappingKeySource,
    administrators: [Administrator], rootKeys: [RootKeySettings], isIdentityAuthority: Bool = false,
    firstDeviceID: UInt32 = 1, leaseSeconds: Int = 30, limits: ControllerLimits = ControllerLimits(),
    auditFile: String? = nil
  ) {
    self.name = name
    self.host = host
    self.port = port
    self.tls = tls
    self.store = store
    self.wrappingKey = wrappingKey
    self.administrators = administrators
    self.rootKeys = rootKeys
    self.isIdentityAuthority = isIdentityAuthority
    self.firstDeviceID = firstDeviceID
    self.leaseSeconds = leaseSeconds
    self.limits = limits
    self.auditFile = auditFile
  }
}

package enum StoreSettings: Sendable, Equatable {
  /// One SQLite file.
  case file(String)
  case etcd(EtcdSettings)
}

/// Who may change things: the name and one of the keys must both be right, so that the holder of a shared authority's key
/// cannot make an administrator.
package struct Administrator: Sendable, Equatable {
  package var id: SPIFFEID
  package var pins: [PublicKeyPin]

  package init(id: SPIFFEID, pins: [PublicKeyPin]) {
    self.id = id
    self.pins = pins
  }
}

package struct RootKeySettings: Sendable, Equatable {
  package var name: String
  package var level: RootKeyLevel
  /// Seconds, 60 to 1800: of the trust groups that use it (wire format, section 4).
  package var epochPeriod: Int
  /// Seconds from a generation's creation to its latest use: less than 2^15 epoch periods.
  package var lifetime: Int
  /// Seconds between rotations; nil: on demand only.
  package var rotateEvery: Int?
  /// Percent of all members that must hold a generation before it becomes current.
  package var share: Int
  /// Outside clients get keys made from it: a generation is staged for an epoch period at least.
  package var servesClients: Bool

  package init(
    name: String, level: RootKeyLevel, epochPeriod: Int = 600, lifetime: Int = 7 * 86400, rotateEvery: Int? = nil,
    share: Int = 50, servesClients: Bool = false
  ) {
    self.name = name
    self.level = level
    self.epochPeriod = epochPeriod
    self.lifetime = lifetime
    self.rotateEvery = rotateEvery
    self.share = share
    self.servesClients = servesClients
  }
}

/// What one peer, and all together, may ask of a controller.
package struct ControllerLimits: Sendable, Equatable {
  package var connections = 16384
  /// Octets of a request's body.
  package var body = 65536
  /// Requests of one member per second, and at once after a pause.
  package var requestsPerSecond = 50
  package var requestBurst = 100
  /// Long polls of one member at a time; a newer one ends the oldest.
  package var longPolls = 2
  /// New connections per second, all together, and at once after a pause.
  package var connectionsPerSecond = 2000
  package var connectionBurst = 20000
  /// Requests per second of peers that are neither member nor administrator, all together.
  package var strangersPerSecond = 100
  /// Seconds for a TLS handshake, for a request from its head to its end, and for taking an answer.
  package var handshakeSeconds = 10
  package var requestSeconds = 10
  package var answerSeconds = 30
  /// Seconds between requests, and for a request's head.
  package var idleSeconds = 60

  package init() {}
}
