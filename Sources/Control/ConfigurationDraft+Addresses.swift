internal import Wire

// Addresses: used once, networks apart, next hops on-link.
extension ConfigurationDraft {
  /// Every own address with its place.
  private var ownAddresses: [(port: Configuration.Port, address: Placed<IPPrefix>)] {
    ports.flatMap { port in
      port.value.addresses.enumerated().map { index, address in
        (port.value, Placed(path: "\(port.path).addresses[\(index)]", value: address))
      }
    }
  }

  /// This gateway's, alone or with its pool.
  func isOwn(_ address: IPAddress) -> Bool {
    isOwnAlone(address) || ports.contains { $0.value.shared.contains { $0.address == address } }
  }

  func isOwnAlone(_ address: IPAddress) -> Bool { ownAddresses.contains { $0.address.value.address == address } }

  func checkAddresses() {
    let own = ownAddresses
    reportRepeats(own.map { Placed(path: $0.address.path, value: $0.address.value.address) }, findings, "address")
    for (index, item) in own.enumerated() {
      // A network on two ports leaves open where its hosts are.
      let clash = own[..<index].first { other in
        other.port.name != item.port.name
          && (other.address.value.contains(item.address.value) || item.address.value.contains(other.address.value))
      }
      guard let clash, clash.address.value.address != item.address.value.address else { continue }
      findings.mistake(
        item.address.path,
        found:
          "\(item.address.value.network), which overlaps \(clash.address.value.network) of port \"\(clash.port.name)\"",
        expected: "a network of its own for each port", fix: "change one of the two, or its prefix length")
    }
    for port in ports { checkNeighbours(port) }
    for peer in peers where isOwn(peer.value.address) {
      findings.mistake(
        "\(peer.path).address", found: "\(peer.value.address), an address of this gateway",
        expected: "the peer's address", fix: "correct it here or in `ports`")
    }
    // Two names for one peer would make a route's set of peers smaller than it looks.
    var first: [PeerKey: String] = [:]
    for peer in peers {
      let key = PeerKey(address: peer.value.address, carriage: peer.value.carriage)
      if let earlier = first.updateValue(peer.value.name, forKey: key) {
        findings.mistake(
          "\(peer.path).address", found: "\(peer.value.address), the address of peer \"\(earlier)\"",
          expected: "an address of its own for each peer", fix: "correct one of them, or use one name")
      }
    }
  }

  private struct PeerKey: Hashable {
    var address: IPAddress
    var carriage: Configuration.Carriage
  }

  private func checkNeighbours(_ port: Placed<Configuration.Port>) {
    var seen: Set<IPAddress> = []
    for (index, neighbour) in port.value.neighbours.enumerated() {
      let path = "\(port.path).neighbours[\(index)].address"
      if !seen.insert(neighbour.address).inserted {
        findings.mistake(
          path, found: "\(neighbour.address) twice", expected: "each neighbour once", fix: "remove one of them")
      } else if isOwn(neighbour.address) {
        findings.mistake(
          path, found: "\(neighbour.address), an address of this gateway", expected: "the address of a neighbour",
          fix: "remove it")
      } else if !isOnLink(neighbour.address, port.value), !port.value.addresses.isEmpty {
        findings.mistake(
          path, found: "\(neighbour.address)",
          expected: "an address on one of the port's networks (\(networks(port.value)))",
          fix: "move it to the port that reaches it, or correct the address")
      }
    }
  }

  func isOnLink(_ address: IPAddress, _ port: Configuration.Port) -> Bool {
    if !address.isIPv4 && address.isLinkLocal { return port.addresses.contains { !$0.address.isIPv4 } }
    return port.addresses.contains { $0.contains(address) }
  }

  func networks(_ port: Configuration.Port) -> String {
    port.addresses.map { $0.network.description }.joined(separator: ", ")
  }

  /// The port of a role on whose network a next hop lies; nil, and reported at `path`, when there is none.
  func egress(
    to nextHop: IPAddress, at path: String, role: Configuration.Role, portName: String?, portPath: String, fix: String
  ) -> String? {
    if let portName {
      guard let port = port(named: portName, at: portPath) else { return nil }
      guard port.role == role else {
        findings.mistake(
          portPath, found: "the \(port.role.rawValue) port \"\(portName)\"", expected: "a \(role.rawValue) port",
          fix: "name a \(role.rawValue) port or leave the field out")
        return nil
      }
      if isOnLink(nextHop, port) { return portName }
      findings.mistake(
        path, found: "\(nextHop), which is not on port \"\(portName)\"",
        expected: "an address on one of its networks (\(networks(port)))", fix: fix)
      return nil
    }
    if !nextHop.isIPv4 && nextHop.isLinkLocal {
      findings.mistake(
        path, found: "the link-local address \(nextHop) without a port", expected: "the port whose link is meant",
        fix: "add `port: NAME`")
      return nil
    }
    let candidates = ports.map(\.value).filter { $0.role == role }
    if let port = candidates.first(where: { isOnLink(nextHop, $0) }) { return port.name }
    if knowsPorts(role) {
      let all = candidates.filter { !$0.addresses.isEmpty }.map(networks).joined(separator: ", ")
      findings.mistake(
        path, found: "\(nextHop), which is on no \(role.rawValue) port's network",
        expected: all.isEmpty ? "an address on a \(role.rawValue) port's network" : "an address on one of \(all)",
        fix: fix)
    }
    return nil
  }
}
