internal import Foundation
package import Keys

/// What a controller does, as read from its configuration file: complete and consistent, or it does not exist. Names of
/// peers and keys are texts here; whoever starts the service makes them what they mean.
package struct ControllerConfiguration: Equatable, Sendable {
  package var name: String
  package var listen: Listen
  /// Absolute paths of PEM files.
  package var certificate, key, authority: String
  package var wrappingKey: WrappingKey
  package var store: Store
  package var auditFile: String?
  /// Seconds.
  package var lease: Int
  /// Where it assigns device IDs and member numbers: the first one; nil: another controller does.
  package var firstDeviceID: UInt32?
  package var administrators: [Administrator]
  package var rootKeys: [RootKey]
  package var limits: Limits

  package enum Field: String, SectionField {
    case name, listen, certificate, key, authority
    case wrappingKey = "wrapping_key"
    case store
    case auditFile = "audit_file"
    case lease
    case identityAuthority = "identity_authority"
    case administrators
    case rootKeys = "root_keys"
    case limits
  }

  /// Values for what a file leaves out; a test compares them with the schema's.
  enum Defaults {
    static let lease: UInt64 = 30
    static let epochPeriod: UInt64 = 600
    static let lifetime: UInt64 = 7 * 86400
    static let share = 50
    static let connections = 16384
    static let body: UInt64 = 65536
    static let requestsPerSecond = 50
    static let longPolls = 2
  }

  package struct Listen: Equatable, Sendable {
    package var host: String
    package var port: Int
  }

  /// The key under which root keys are wrapped in the store.
  package typealias WrappingKey = Configuration.KeyAgent.WrappingKey

  package enum Store: Equatable, Sendable {
    /// Absolute path of the SQLite file.
    case file(String)
    case etcd(Etcd)

    package enum Field: String, SectionField { case file, etcd }
  }

  package struct Etcd: Equatable, Sendable {
    package var endpoints: [String]
    package var prefix, node: String
    package var authority, certificate, key: String?

    package enum Field: String, SectionField { case endpoints, prefix, node, authority, certificate, key }
  }

  package enum AuthorityField: String, SectionField { case firstDeviceID = "first_device_id" }

  package struct Administrator: Equatable, Sendable {
    package var id: String
    package var publicKeys: [String]

    package enum Field: String, SectionField {
      case id
      case publicKeys = "public_keys"
    }
  }

  package struct RootKey: Equatable, Sendable {
    package var name: String
    package var level: RootKeyLevel
    /// Seconds.
    package var epochPeriod, lifetime: Int
    package var rotateEvery: Int?
    /// Percent.
    package var share: Int
    package var servesClients: Bool

    package enum Field: String, SectionField {
      case name, level
      case epochPeriod = "epoch_period"
      case lifetime
      case rotateEvery = "rotate_every"
      case share, clients
    }
  }

  package struct Limits: Equatable, Sendable {
    package var connections = Defaults.connections
    package var body = Int(Defaults.body)
    package var requestsPerSecond = Defaults.requestsPerSecond
    package var longPolls = Defaults.longPolls

    package enum Field: String, SectionField {
      case connections, body
      case requestsPerSecond = "requests_per_second"
      case longPolls = "long_polls"
    }
  }
}
