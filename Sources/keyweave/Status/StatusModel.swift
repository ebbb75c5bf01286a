import Control
import Foundation

/// What a running gateway says of itself over its control socket. Never key bytes.
struct GatewayStatus: Codable {
  struct Port: Codable {
    var name: String
    var device: String
    var role: String
    var mode: String?
    var driver: String?
    var mac: String?
    var mtu: Int
    var link: Bool
    var received: UInt64
    var sent: UInt64
    var missed: UInt64
    var errors: UInt64
  }

  struct Lcore: Codable {
    var lcore: Int
    var received: UInt64
    var sent: UInt64
    var sealed: UInt64
    var opened: UInt64
    var dropped: UInt64
    /// The share of its time without packets, 0 to 1.
    var idle: Double?
  }

  /// Packets: what came in, what left, what was dropped; and what the gateway made itself (ARP, ICMP), counted apart.
  struct Totals: Codable {
    var `in`: UInt64
    var out: UInt64
    var drops: UInt64
    var generated: UInt64?
    var generatedOut: UInt64?
    var generatedDrops: UInt64?
    var sealed: UInt64
    var opened: UInt64

    enum CodingKeys: String, CodingKey {
      case `in`, out, drops, generated, sealed, opened
      case generatedOut = "generated_out"
      case generatedDrops = "generated_drops"
    }

    /// Every packet that came in was sent or dropped; holds whenever the gateway is idle.
    var balances: Bool { `in` == out &+ drops }
  }

  struct Peer: Codable {
    var name: String
    var address: String
    var port: String?
    var carriage: String
    var resolved: Bool
    var mac: String?
    var sealed: UInt64?
  }

  struct RootKey: Codable {
    var level: String
    var id: String
    var previous: UInt64?
    var current: UInt64?
    var next: UInt64?
  }

  struct Group: Codable {
    var name: String
    var `default`: Bool?
    var epochPeriod: Int
    var sealEpoch: Int?
    var openEpoch: Int?
    var opened: UInt64?
    var rootKeys: [RootKey]

    enum CodingKeys: String, CodingKey {
      case name, `default`, opened
      case epochPeriod = "epoch_period"
      case sealEpoch = "seal_epoch"
      case openEpoch = "open_epoch"
      case rootKeys = "root_keys"
    }
  }

  struct Neighbour: Codable {
    var port: String
    var address: String
    var mac: String?
    var state: String
    var age: Double?
  }

  struct Counter: Codable {
    var sealing: Bool
    var bound: UInt64?
    var reason: String?
  }

  struct Capture: Codable {
    var file: String
    var packets: UInt64
    var dropped: UInt64
  }

  struct Cache: Codable {
    var entries: UInt64
    var capacity: UInt64
    var hits: UInt64
    var misses: UInt64
  }

  var name: String
  var uptime: Double
  var engine: String
  var version: String
  var ports: [Port]
  var lcores: [Lcore]
  var totals: Totals
  var drops: [String: UInt64]
  var peers: [Peer]
  var groups: [Group]
  var neighbours: [Neighbour]?
  var counter: Counter?
  var capture: Capture?
  var cache: Cache?
  var warnings: [String]?
}

extension GatewayStatus {
  /// Asks the gateway that listens on the first of these Unix sockets that is listened to.
  static func ask(at sockets: [String], timeout: Double = 10) throws -> GatewayStatus {
    try JSONDecoder().decode(GatewayStatus.self, from: ControlSocket.ask(.status, at: sockets, timeout: timeout))
  }
}
