/// What a lab is made of: namespaces and the wires between them, described, not yet made.
struct Topology {
  struct Node {
    enum Kind {
      /// An ordinary Linux machine.
      case host
      /// An ordinary Linux router: where a route has several next hops, addresses and ports of the packet choose one (ECMP).
      case router
      /// A gateway's machine: its kernel keeps out of every port, so that only the gateway answers there.
      case gateway
    }
    let name: String
    let kind: Kind
    /// An address of no wire, with its length.
    var loopback: String?
  }

  /// Where a wire ends. A gateway's addresses are its own, not its kernel's, except on a wire for management.
  struct End {
    let node: String
    let device: String
    /// With their lengths.
    var addresses: [String] = []
  }

  /// A veth pair.
  struct Wire {
    enum Use: String {
      case clear, protected, management
    }
    let use: Use
    let ends: [End]

    init(_ use: Use, _ one: End, _ other: End) {
      self.use = use
      ends = [one, other]
    }
  }

  /// A kernel's route, as `ip route add` takes it.
  struct Route {
    let node: String
    let text: String

    init(_ node: String, _ text: String) {
      self.node = node
      self.text = text
    }
  }

  var nodes: [Node] = []
  var wires: [Wire] = []
  var routes: [Route] = []

  static func + (one: Topology, other: Topology) -> Topology {
    Topology(nodes: one.nodes + other.nodes, wires: one.wires + other.wires, routes: one.routes + other.routes)
  }

  var gateways: Set<String> { Set(nodes.filter { $0.kind == .gateway }.map(\.name)) }

  /// A gateway's ports in the order of the wires: what its configuration says of them.
  func ports(of gateway: String) -> [(use: Wire.Use, end: End)] {
    wires.filter { $0.use != .management }.flatMap { wire in
      wire.ends.filter { $0.node == gateway }.map { (wire.use, $0) }
    }
  }
}

/// Sizes of one run: what the hosts see and what the fabric carries.
struct LabSizes: Equatable {
  let host: Int
  let fabric: Int
  static let usual = LabSizes(host: 1500, fabric: 1500)
  /// 9216 leaves room for the outer headers, so that hosts use 9000 end to end.
  static let jumbo = LabSizes(host: 9000, fabric: 9216)
  /// The same for hosts that use 1500.
  static let roomy = LabSizes(host: 1500, fabric: 1700)

  func mtu(_ use: Topology.Wire.Use) -> Int {
    switch use {
    case .clear: host
    case .protected: fabric
    case .management: 1500
    }
  }
}
