import Control
import DataPlane
import KeyAgent
import Keys
import Rotation
import Wire

/// The pool member's service for outside clients, joined to the gateway's keys.
struct ClientDoor {
  private let service: ClientService
  private let desk: ConnectionDesk

  /// Listens when this returns.
  init(_ clients: Configuration.Clients, identity: Configuration.Identity, agent: KeyAgent) throws {
    let numbers = identity.numbers(towards: clients.group)
    let settings = ClientServiceSettings(
      host: clients.host, port: Int(clients.port), group: clients.group, prefix: clients.prefix,
      members: clients.members.map { clients.carriage.text($0) },
      node: numbers.controller == nil
        ? PoolNode(device: UInt32(truncatingIfNeeded: numbers.deviceID), member: numbers.member) : nil)
    desk = try ConnectionDesk(settings, ledger: agent, keys: ConnectionKeyMaker())
    service = ClientService(settings, desk: desk, identity: agent.identity)
    try service.start()
  }

  /// The node's state was set back.
  func distrust() throws { try desk.distrust() }

  func stop() { service.stop() }
}

extension Configuration.Carriage {
  fileprivate func text(_ address: IPAddress) -> String {
    switch self {
    case .udp(let port): address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    case .ip: "\(address)"
    }
  }
}

extension Configuration {
  /// The clients of this node's pool as their group's identity controller lists them: who may speak, and where packets for it go. A
  /// client that no protected port leads to is left out.
  func clientPools(_ records: [String: [ClientRecord]], groups: [TrustGroup]) -> [GatewayPlan.ClientPool] {
    guard let clients = keyAgent?.clients, let group = groups.firstIndex(where: { $0.name == clients.group }) else {
      return []
    }
    var sealing = GatewayPlan.Sealing(group: group)
    (sealing.suite, sealing.options) = (clients.suite, clients.sendsOptions)
    var peers: [UInt32: GatewayPlan.Peer] = [:]
    for record in records[clients.group] ?? [] {
      guard let slot = record.slot, slot <= ConnectionNumber.lastSlot, let address = IPAddress(record.address) else {
        continue
      }
      peers[slot] = peer(of: clients, to: address, name: record.id)
    }
    return [GatewayPlan.ClientPool(group: group, prefix: clients.prefix, sealing: sealing, clients: peers)]
  }

  private func peer(of clients: Clients, to address: IPAddress, name: String) -> GatewayPlan.Peer? {
    func port(for hop: IPAddress) -> Int? {
      ports.firstIndex { $0.role == .protected && $0.addresses.contains { $0.contains(hop) } }
    }
    let hop = port(for: address) == nil ? clients.via : address
    guard let hop, hop.isIPv4 == address.isIPv4, let port = port(for: hop),
      let source = ports[port].addresses.first(where: { $0.contains(hop) })?.address
    else { return nil }
    var peer = GatewayPlan.Peer(name: name, address: address, source: source, port: port, nextHop: hop)
    switch clients.carriage {
    case .udp(let number): (peer.carriage, peer.udpPort) = (.udp, number)
    case .ip: peer.carriage = .ip
    }
    return peer
  }
}
