import Foundation

/// A pool of gateways that share a device ID, between two ordinary routers that spread packets over them (ECMP), with
/// servers behind and one gateway far from it:
///
///     client - gateway === upstream === members === core - servers
///
/// The members have an address in common besides their own; whoever it reaches opens the packet.
struct PoolLab {
  struct Member {
    let number: Int
    var name: String { "member-\(number)" }
    var fabric: String { "192.0.2.\(16 * number + 2)" }
    var upstream: String { "192.0.2.\(16 * number + 1)" }
    var clear: String { "10.3.\(number).2" }
    var core: String { "10.3.\(number).1" }
  }

  struct Server {
    let number: Int
    var name: String { "server-\(number)" }
    var address: String { "10.2.\(number).2" }
    var core: String { "10.2.\(number).1" }
  }

  static let address = "203.0.113.1"
  static let group = "front"
  static let client = "client"
  static let gateway = "gateway"
  static let gatewayAddress = "198.51.100.2"
  static let upstream = "198.51.100.1"
  static let servers = "10.2.0.0/16"

  let lab: Lab
  let members: [Member]
  let servers: [Server]
  /// Where the members' answers go: the clients' network, as the core router knows it.
  let clients: String

  /// `inside`: the client's address and its gateway's on the link between them.
  init(members: Int, servers: Int, clients: String, inside: (client: String?, gateway: String)) throws(LabError) {
    self.members = (1...members).map(Member.init)
    self.servers = (1...servers).map(Server.init)
    self.clients = clients
    lab = try Lab(Self.topology(self.members, self.servers, inside))
  }

  private static func topology(
    _ members: [Member], _ servers: [Server], _ inside: (client: String?, gateway: String)
  ) -> Topology {
    var topology = Topology(
      nodes: [
        .init(name: client, kind: .host), .init(name: gateway, kind: .gateway),
        .init(name: "upstream", kind: .router), .init(name: "core", kind: .router),
      ] + members.map { .init(name: $0.name, kind: .gateway) } + servers.map { .init(name: $0.name, kind: .host) })
    topology.wires = [
      .init(
        .clear, .init(node: client, device: "eth0", addresses: inside.client.map { [$0] } ?? []),
        .init(node: gateway, device: "clear", addresses: [inside.gateway])),
      .init(
        .protected, .init(node: gateway, device: "fabric", addresses: ["\(gatewayAddress)/24"]),
        .init(node: "upstream", device: "gateway", addresses: ["\(upstream)/24"])),
    ]
    for member in members {
      topology.wires += [
        .init(
          .protected, .init(node: "upstream", device: member.name, addresses: ["\(member.upstream)/28"]),
          .init(node: member.name, device: "fabric", addresses: ["\(member.fabric)/28", "\(address)/32"])),
        .init(
          .clear, .init(node: member.name, device: "clear", addresses: ["\(member.clear)/24"]),
          .init(node: "core", device: member.name, addresses: ["\(member.core)/24"])),
      ]
    }
    for server in servers {
      topology.wires.append(
        .init(
          .clear, .init(node: "core", device: server.name, addresses: ["\(server.core)/24"]),
          .init(node: server.name, device: "eth0", addresses: ["\(server.address)/24"])))
      topology.routes.append(.init(server.name, "default via \(server.core)"))
    }
    return topology
  }

  /// Both routers spread over these members and no others.
  func spread(over members: [Member]) throws(LabError) {
    func hops(_ address: (Member) -> String) -> String {
      members.map { "nexthop via \(address($0))" }.joined(separator: " ")
    }
    try lab.shell(
      """
      ip -n upstream route replace \(Self.address)/32 \(hops(\.fabric))
      ip -n core route replace \(clients) \(hops(\.clear))
      """)
  }

  /// What a member's configuration says besides where its keys come from.
  func text(of member: Member, keys: String) -> LabGateway.Text {
    LabGateway.Text(
      keys: keys, routes: ["{ to: \(Self.servers), via: \(member.core) }"],
      capture: ("clear", capture(of: member.name)), captureLimit: 40 << 20)
  }

  /// What the far gateway's says: everything for the servers goes to the pool's common address.
  func gatewayText(keys: String, spread: String) -> LabGateway.Text {
    LabGateway.Text(
      keys: keys, peers: ["{ name: pool, address: \(Self.address), via: \(Self.upstream) }"],
      routes: ["{ to: \(Self.servers), peers: [pool], group: \(Self.group), spread: \(spread) }"],
      groups: ["{ name: \(Self.group), may_speak: [\(Self.servers)] }"],
      capture: ("fabric", capture(of: Self.gateway)))
  }

  func capture(of gateway: String) -> String { "\(Lab.directory)/\(gateway).pcapng" }

  /// Frames at a member's ports.
  struct Frames {
    let clearIn, fabricIn, clearOut, fabricOut: Int
  }

  /// As the wires count them, also when the member is dead.
  func frames(of member: Member) throws(LabError) -> Frames {
    let files = ["rx_packets", "tx_packets"].flatMap { counter in
      ["clear", "fabric"].map { "/sys/class/net/\($0)/statistics/\(counter)" }
    }
    let counts = try lab.run(in: member.name, ["cat"] + files).output.split(separator: "\n").compactMap { Int($0) }
    guard counts.count == 4 else { throw .failed("\(member.name): the wires' counters cannot be read") }
    return Frames(clearIn: counts[0], fabricIn: counts[1], clearOut: counts[2], fabricOut: counts[3])
  }
}
