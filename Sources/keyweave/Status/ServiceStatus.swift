import Control
import DataPlane
import Foundation
import KeyAgent

/// What a running `keyweave run` tells: the gateway's status, and its key agent's beside it as `key_agent`.
struct ServiceStatus: Codable, Sendable {
  var gateway: GatewayStatus
  var keyAgent: KeyAgentStatus?

  private enum CodingKeys: String, CodingKey { case keyAgent = "key_agent" }

  init(gateway: GatewayStatus, keyAgent: KeyAgentStatus?) {
    self.gateway = gateway
    self.keyAgent = keyAgent
  }

  init(from decoder: any Decoder) throws {
    gateway = try GatewayStatus(from: decoder)
    keyAgent = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(KeyAgentStatus.self, forKey: .keyAgent)
  }

  func encode(to encoder: any Encoder) throws {
    try gateway.encode(to: encoder)
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encodeIfPresent(keyAgent, forKey: .keyAgent)
  }

  /// Asks the gateway that listens on the first of these Unix sockets that is listened to.
  static func ask(at sockets: [String], timeout: Double = 10) throws -> ServiceStatus {
    try JSONDecoder().decode(Self.self, from: ControlSocket.ask(.status, at: sockets, timeout: timeout))
  }
}
