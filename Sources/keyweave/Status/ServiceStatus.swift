import Control
import DataPlane
import Foundation
import KeyAgent

/// What a running `keyweave run` tells: the gateway's status, and beside it its key agent's as `key_agent`, or
/// an outside client's as `connection`.
struct ServiceStatus: Codable, Sendable {
  var gateway: GatewayStatus
  var keyAgent: KeyAgentStatus?
  /// Of an outside client.
  var connection: ConnectionStatus?

  private enum CodingKeys: String, CodingKey { case keyAgent = "key_agent", connection }

  init(gateway: GatewayStatus, keyAgent: KeyAgentStatus?, connection: ConnectionStatus? = nil) {
    self.gateway = gateway
    self.keyAgent = keyAgent
    self.connection = connection
  }

  init(from decoder: any Decoder) throws {
    gateway = try GatewayStatus(from: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    keyAgent = try fields.decodeIfPresent(KeyAgentStatus.self, forKey: .keyAgent)
    connection = try fields.decodeIfPresent(ConnectionStatus.self, forKey: .connection)
  }

  func encode(to encoder: any Encoder) throws {
    try gateway.encode(to: encoder)
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encodeIfPresent(keyAgent, forKey: .keyAgent)
    try fields.encodeIfPresent(connection, forKey: .connection)
  }

  /// Asks the gateway that listens on the first of these Unix sockets that is listened to.
  static func ask(at sockets: [String], timeout: Double = 10) throws -> ServiceStatus {
    try JSONDecoder().decode(Self.self, from: ControlSocket.ask(.status, at: sockets, timeout: timeout))
  }
}
