/// The lab of `keyweave lab` and of the basic demo: host A - gateway A === fabric === gateway B - host B.
enum Pair {
  /// One side of the fabric.
  struct Side {
    let letter: String
    let number: Int
    var host: String { "host-\(letter)" }
    var gateway: String { "gateway-\(letter)" }
    var hostIPv4: String { "10.\(number).0.2" }
    var hostIPv6: String { "2001:db8:\(number)::2" }
    var gatewayIPv4: String { "10.\(number).0.1" }
    var gatewayIPv6: String { "2001:db8:\(number)::1" }
    var fabricIPv4: String { "192.0.2.\(number)" }
    var fabricIPv6: String { "2001:db8:f::\(number)" }
    var prefixIPv4: String { "10.\(number).0.0/24" }
    var prefixIPv6: String { "2001:db8:\(number)::/64" }
  }

  static let a = Side(letter: "a", number: 1)
  static let b = Side(letter: "b", number: 2)
  static let sides = [a, b]

  static var topology: Topology {
    var topology = Topology()
    for side in sides {
      topology.nodes += [.init(name: side.host, kind: .host), .init(name: side.gateway, kind: .gateway)]
      topology.wires.append(
        .init(
          .clear, .init(node: side.host, device: "eth0", addresses: ["\(side.hostIPv4)/24", "\(side.hostIPv6)/64"]),
          .init(node: side.gateway, device: "clear", addresses: ["\(side.gatewayIPv4)/24", "\(side.gatewayIPv6)/64"])))
      topology.routes += [
        .init(side.host, "default via \(side.gatewayIPv4)"), .init(side.host, "default via \(side.gatewayIPv6)"),
      ]
    }
    let ends = sides.map {
      Topology.End(node: $0.gateway, device: "fabric", addresses: ["\($0.fabricIPv4)/24", "\($0.fabricIPv6)/64"])
    }
    topology.wires.append(.init(.protected, ends[0], ends[1]))
    return topology
  }

  /// What both gateways' configurations say. Without `keys`, root keys come from a file.
  static func text(of side: Side, outerIPv6: Bool = false, keys: String? = nil) -> LabGateway.Text {
    let other = side.letter == a.letter ? b : a
    return LabGateway.Text(
      keys: keys
        ?? "identity: { device_id: 0000000\(side.letter), member: 0, record: \(side.gateway).record }\nkeys: keys.yaml",
      peers: ["{ name: \(other.gateway), address: \"\(outerIPv6 ? other.fabricIPv6 : other.fabricIPv4)\" }"],
      routes: [
        "{ to: \(other.prefixIPv4), peers: [\(other.gateway)], group: demo }",
        "{ to: \"\(other.prefixIPv6)\", peers: [\(other.gateway)], group: demo }",
      ],
      groups: ["{ name: demo, may_speak: [\(other.prefixIPv4), \"\(other.prefixIPv6)\"], forms: [tunnel] }"])
  }
}
