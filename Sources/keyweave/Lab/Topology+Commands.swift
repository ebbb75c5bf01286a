/// The shell commands that make a topology.
extension Topology {
  /// Namespaces first, then wires and addresses, then routes, which need both ends. `gateways` are all of the lab's.
  func commands(_ sizes: LabSizes, gateways: Set<String>) -> String {
    let wires = wires.map { wire in
      let (one, other) = (wire.ends[0], wire.ends[1])
      let mtu = sizes.mtu(wire.use)
      let pair = """
        ip link add name \(one.device) netns \(one.node) mtu \(mtu) type veth peer name \(other.device) \
        netns \(other.node) mtu \(mtu)
        """
      return ([pair] + wire.ends.map { $0.commands(isPort: wire.use != .management && gateways.contains($0.node)) })
        .joined(separator: "\n")
    }
    return (nodes.map(\.commands) + wires + routes.map { "ip -n \($0.node) route add \($0.text)" })
      .joined(separator: "\n")
  }

  /// The MTU of every wire changed; hosts forget what they learned about the old path.
  func resizing(_ sizes: LabSizes) -> String {
    let mtus = wires.filter { $0.use != .management }.flatMap { wire in
      wire.ends.map { "ip -n \($0.node) link set \($0.device) mtu \(sizes.mtu(wire.use))" }
    }
    let caches = nodes.filter { $0.kind != .gateway }.flatMap { node in
      [4, 6].map { "ip -n \(node.name) -\($0) route flush cache" }
    }
    return (mtus + caches).joined(separator: "\n")
  }
}

extension Topology.Node {
  fileprivate var commands: String {
    let inside = "ip netns exec \(name) sh -c"
    var lines = ["ip netns add \(name)", "ip -n \(name) link set lo up"]
    switch kind {
    case .host: break
    case .router:
      lines.append(
        """
        \(inside) 'cd /proc/sys/net; echo 1 > ipv4/ip_forward; echo 1 > ipv6/conf/all/forwarding; \
        echo 1 > ipv4/fib_multipath_hash_policy'
        """)
    case .gateway:
      lines.append("\(inside) 'for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done'")
    }
    if let loopback { lines.append("ip -n \(name) address add \(loopback) dev lo") }
    return lines.joined(separator: "\n")
  }
}

extension Topology.End {
  /// Offloads are off at both ends, since a veth pair passes on packets whose checksums nobody computed and segments of up
  /// to 64 KiB, neither of which a real wire carries. A port has no address, no IPv6 and no ARP of the kernel's.
  fileprivate func commands(isPort: Bool) -> String {
    let inside = "ip netns exec \(node)"
    var lines: [String] = []
    if isPort {
      lines.append("ip -n \(node) link set \(device) arp off up")
    } else {
      lines.append("\(inside) sh -c 'echo 0 > /proc/sys/net/ipv6/conf/\(device)/accept_ra'")
      lines += addresses.map {
        "ip -n \(node) address add \($0) dev \(device)\($0.contains(":") ? " nodad" : "")"
      }
      lines.append("ip -n \(node) link set \(device) up")
    }
    return (lines + ["\(inside) ethtool -K \(device) tx off rx off tso off gso off gro off"]).joined(separator: "\n")
  }
}
