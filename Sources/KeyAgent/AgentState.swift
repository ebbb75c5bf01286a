internal import Foundation
package import Identity
package import Keys
package import Rotation
internal import Vault

/// Everything that the agent must not forget, as it stands in the sealed file. Keys are in locked memory here and wrapped
/// under the file's key there.
package struct AgentState: Codable, Equatable, Sendable {
  /// Whose state it is.
  package var member: SPIFFEID
  package var controllers: [String: HeldController]
  /// The newest generation that may ever have been sealed with under the node's counter record, by the root key's ID.
  package var sealed: [String: UInt64]
  /// The epoch period under which each group sealed last.
  package var periods: [String: SealedPeriod]
  /// What other parts of the agent keep, such as the serials given to clients.
  package var sections: [String: [UInt8]]

  package init(member: SPIFFEID) {
    self.member = member
    controllers = [:]
    sealed = [:]
    periods = [:]
    sections = [:]
  }

  enum CodingKeys: String, CodingKey {
    case member, controllers, sealed, periods, sections
  }
}

/// An epoch period and the generations that it was used with: it changes only with a new one (wire format, section 4).
package struct SealedPeriod: Codable, Equatable, Sendable {
  package var seconds: Int
  /// By the root key's ID.
  package var generations: [String: UInt64]
}

/// What is held of one controller.
package struct HeldController: Codable, Equatable, Sendable {
  package var id: SPIFFEID
  /// Of the newest answer taken over; an older one is refused.
  package var version: UInt64 = 0
  /// The lease's token, and the one that the next swap asks for: written here before it is sent.
  package var token: String?
  package var nextToken: String?
  package var series: [HeldSeries] = []
  /// Who this node is in the groups whose identity controller it is.
  package var assignment: Assignment?
  /// Another one that it gave while this process ran: taken at the next start.
  package var nextAssignment: Assignment?
  package var clients: [ClientRecord] = []

  package init(id: SPIFFEID) { self.id = id }

  enum CodingKeys: String, CodingKey {
    case id, version, token, series, assignment, clients
    case nextToken = "next_token"
    case nextAssignment = "next_assignment"
  }
}

/// What is held of one root key. It outlives the keys, so that no number ever has two.
package struct HeldSeries: Codable, Equatable, Sendable {
  package var name: String
  /// Hex.
  package var id: String
  package var level: String
  package var rotation = MemberRotation()
  package var keys: [UInt64: HeldGeneration] = [:]
  /// The controller's last answer had it.
  package var isOffered = true

  package init(name: String, id: String, level: String) {
    self.name = name
    self.id = id
    self.level = level
  }

  enum CodingKeys: String, CodingKey {
    case name, id, level, rotation, keys
    case isOffered = "offered"
  }

  /// Lets go of everything whose time has come; a generation older than one that ends ends too.
  mutating func expire(at time: Int64) {
    for (number, generation) in keys where generation.expires <= time { rotation.expire(number) }
    keys = keys.filter { rotation.generations.contains($0.key) }
  }

  /// Lets go of all keys, and remembers what they were.
  mutating func end() {
    isOffered = false
    for number in rotation.generations { rotation.expire(number) }
    keys = [:]
  }

  package var acknowledgement: Acknowledgement {
    let (staged, promoted) = rotation.acknowledgement
    return Acknowledgement(id: id, staged: staged, promoted: promoted)
  }

  /// For a key table; nothing without a current generation.
  package var rootKey: RootKey? {
    func generation(_ number: UInt64?) -> Generation? {
      number.flatMap { number in keys[number].map { Generation(index: number, key: $0.key) } }
    }
    guard let level = RootKeyLevel(level), let id = Hex.decode(id), let current = generation(rotation.current) else {
      return nil
    }
    return RootKey(
      level: level, id: id, previous: generation(rotation.previous), current: current, next: generation(rotation.next))
  }
}

/// One generation with its key.
package struct HeldGeneration: Codable, Equatable, Sendable {
  package let key: SecretKey
  /// The root key's ID and the number: the key is bound to them in the sealed file.
  package let kid: String
  /// Unix seconds.
  package var notBefore, expires: Int64

  package init(key: SecretKey, kid: String, notBefore: Int64, expires: Int64) {
    self.key = key
    self.kid = kid
    self.notBefore = notBefore
    self.expires = expires
  }

  enum CodingKeys: String, CodingKey {
    case kid, wrapped
    case notBefore = "nbf"
    case expires = "exp"
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    kid = try fields.decode(String.self, forKey: .kid)
    notBefore = try fields.decode(Int64.self, forKey: .notBefore)
    expires = try fields.decode(Int64.self, forKey: .expires)
    let wrapped = try fields.decode(String.self, forKey: .wrapped)
    guard let file = decoder.userInfo[.sealedFile] as? SealedFile, let octets = Base64URL.decode(wrapped) else {
      throw DecodingError.dataCorruptedError(forKey: .wrapped, in: fields, debugDescription: "expected a wrapped key")
    }
    key = try file.unwrap(octets, context: kid)
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    guard let file = encoder.userInfo[.sealedFile] as? SealedFile else {
      throw EncodingError.invalidValue(
        kid, .init(codingPath: encoder.codingPath, debugDescription: "a key is written to a sealed file only"))
    }
    try fields.encode(kid, forKey: .kid)
    try fields.encode(notBefore, forKey: .notBefore)
    try fields.encode(expires, forKey: .expires)
    try fields.encode(Base64URL.encode(try file.wrap(key, context: kid)), forKey: .wrapped)
  }
}

extension CodingUserInfoKey {
  /// The file under whose key the keys of a document are wrapped.
  fileprivate static let sealedFile = CodingUserInfoKey(rawValue: "sealed file").unsafelyUnwrapped
}

extension AgentState {
  /// The state in a sealed file; nil when there is none.
  ///
  /// - Parameter member: whose it must be.
  static func load(_ file: SealedFile, member: SPIFFEID?) throws -> AgentState? {
    guard let octets = try file.load() else { return nil }
    let decoder = JSONDecoder()
    decoder.userInfo[.sealedFile] = file
    let state: AgentState
    do {
      state = try decoder.decode(AgentState.self, from: Data(octets))
    } catch let error as VaultError {
      throw error
    } catch {
      throw KeyAgentError(
        "\(file.path): found a document that is no agent's state, expected one that `keyweave run` wrote; name another "
          + "file under key_agent.state, or remove it and start as a new machine does")
    }
    if let member, state.member != member {
      throw KeyAgentError(
        "\(file.path): found the state of \(state.member), expected that of \(member), whom the certificate names; give "
          + "each node a state of its own, or remove the file and start as a new machine does")
    }
    return state
  }

  func document(for file: SealedFile) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.userInfo[.sealedFile] = file
    return Array(try encoder.encode(self))
  }

  /// The root key that a group's configuration names; nil as long as nobody gave it, or when it has no current
  /// generation.
  func rootKey(_ reference: RootKeyReference) -> RootKey? { series(reference)?.rootKey }

  func series(_ reference: RootKeyReference) -> HeldSeries? {
    controllers[reference.controller]?.series.first { $0.name == reference.name && $0.isOffered }
  }
}

/// Hexadecimal digits of what is no secret.
enum Hex {
  static func decode(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    let values = digits.compactMap { digit -> UInt8? in
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
      default: nil
      }
    }
    guard values.count == digits.count else { return nil }
    return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
  }

  static func encode(_ octets: some Sequence<UInt8>) -> String {
    octets.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
