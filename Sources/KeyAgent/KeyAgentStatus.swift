internal import Foundation
internal import Identity
internal import Keys
internal import Rotation

/// What the agent tells of itself: no key octets.
package struct KeyAgentStatus: Codable, Sendable, Equatable {
  package struct RootKey: Codable, Sendable, Equatable {
    package var name, id, level: String
    package var previous, current, next: UInt64?
    /// Unix seconds at which the current generation ends.
    package var expires: Int64?
    /// A group of this node uses it.
    package var used: Bool
  }

  package struct Controller: Codable, Sendable, Equatable {
    package var name, url: String
    /// `starting`, `connected`, `unreachable`, `unauthorized`, `refused`, `duplicate instance`.
    package var state: String
    package var version: UInt64
    /// Unix seconds.
    package var lastContact: Int64?
    package var reason: String?
    package var rootKeys: [RootKey]
    /// What it calls this node, where it is the identity controller of a group.
    package var deviceID: String?
    package var memberNumber: UInt8?
    /// The earliest end of a current generation that is used, in Unix seconds.
    package var deadline: Int64?

    enum CodingKeys: String, CodingKey {
      case name, url, state, version, reason, deadline
      case lastContact = "last_contact"
      case rootKeys = "root_keys"
      case deviceID = "device_id"
      case memberNumber = "member_number"
    }
  }

  /// `ok`, or `degraded`.
  package var state: String
  /// Why it is degraded, each in a sentence.
  package var reasons: [String]
  /// When the first key in use ends without a controller's help, in Unix seconds.
  package var deadline: Int64?
  /// SPIFFE ID.
  package var member: String
  /// When its certificate, or the authority's, ends; Unix seconds.
  package var certificateExpires: Int64
  /// As the first group's identity controller calls this node; `controllers` has what each of them does.
  package var deviceID: String?
  package var memberNumber: UInt8?
  package var controllers: [Controller]

  enum CodingKeys: String, CodingKey {
    case state, reasons, deadline, member, controllers
    case certificateExpires = "certificate_expires"
    case deviceID = "device_id"
    case memberNumber = "member_number"
  }
}

extension KeyAgent {
  package var status: KeyAgentStatus {
    let contacts = Dictionary(subscriptions.map { ($0.endpoint.name, $0.status) }) { first, _ in first }
    let used = Set(settings.groups.flatMap(\.rootKeys))
    let (held, problem, ahead, withheld) = keyring.report { ($0, $1, $2, $3) }
    let controllers = settings.controllers.map { endpoint in
      let contact = contacts[endpoint.name] ?? .init()
      let entry = held.controllers[endpoint.name]
      let rootKeys = (entry?.series ?? []).filter(\.isOffered).map { series in
        KeyAgentStatus.RootKey(
          name: series.name, id: series.id, level: series.level, previous: series.rotation.previous,
          current: series.rotation.current, next: series.rotation.next,
          expires: series.rotation.current.flatMap { series.keys[$0]?.expires },
          used: used.contains(RootKeyReference(controller: endpoint.name, name: series.name)))
      }
      return KeyAgentStatus.Controller(
        name: endpoint.name, url: endpoint.url, state: contact.state.rawValue, version: entry?.version ?? 0,
        lastContact: contact.lastContact, reason: contact.reason, rootKeys: rootKeys,
        deviceID: entry?.assignment?.deviceID, memberNumber: entry?.assignment?.member,
        deadline: rootKeys.filter(\.used).compactMap(\.expires).min())
    }
    var reasons: [String] = []
    if let clock = clock.reference()?.problem(clock: NodeSystem.clock(), sinceBoot: NodeSystem.sinceBoot()) {
      reasons.append("clock: \(clock)")
    }
    if let ahead {
      reasons.append(
        "the counter record is \(ahead) s ahead of the controllers' time, and nothing is sealed or opened until then; to "
          + "go on now, rotate a root key of every group, stop this node when it has the new generations and run `keyweave "
          + "record reset`")
    }
    if let problem { reasons.append(problem) }
    reasons += withheld.sorted { $0.key < $1.key }.map { "group \($0.key): \($0.value)" }
    for controller in controllers where controller.state != ControllerSubscription.State.connected.rawValue {
      reasons.append("\(controller.name) \(controller.state)\(controller.reason.map { ": \($0)" } ?? "")")
    }
    for controller in controllers where contacts[controller.name]?.rolledBack == true {
      reasons.append(
        "\(controller.name) remembers a newer state of this node: its files were set back; the counter record was treated "
          + "as rolled back")
    }
    if let problem = identity.problem { reasons.append(problem) }
    let first = settings.groups.first?.identityController.flatMap { held.controllers[$0]?.assignment }
    return KeyAgentStatus(
      state: reasons.isEmpty ? "ok" : "degraded", reasons: reasons, deadline: controllers.compactMap(\.deadline).min(),
      member: identity.identity.id.description, certificateExpires: Int64(identity.expires.timeIntervalSince1970),
      deviceID: first?.deviceID, memberNumber: first?.member, controllers: controllers)
  }
}
