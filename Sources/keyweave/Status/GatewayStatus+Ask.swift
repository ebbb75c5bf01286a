import Control
import DataPlane
import Foundation

extension GatewayStatus {
  /// Asks the gateway that listens on the first of these Unix sockets that is listened to.
  static func ask(at sockets: [String], timeout: Double = 10) throws -> GatewayStatus {
    try JSONDecoder().decode(GatewayStatus.self, from: ControlSocket.ask(.status, at: sockets, timeout: timeout))
  }
}

extension GatewayStatus.Totals {
  /// Every packet that came in was sent or dropped, which holds whenever the gateway is idle.
  var balances: Bool { `in` == out &+ drops }
}
