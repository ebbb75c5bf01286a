internal import Wire

// Where peers and routes leave the gateway.
extension ConfigurationDraft {
  func resolve(_ peer: Placed<Configuration.PeerDraft>) -> Configuration.Peer? {
    let draft = peer.value
    let nextHop = draft.via ?? draft.address
    let path = "\(peer.path).\(draft.via == nil ? "address" : "via")"
    if let via = draft.via {
      guard via.isIPv4 == draft.address.isIPv4 else {
        findings.mistake(
          path, found: "the \(family(via)) next hop \(via) for an \(family(draft.address)) peer",
          expected: "both of one family", fix: "name the \(family(draft.address)) address of the router")
        return nil
      }
      guard !isOwn(via) else {
        findings.mistake(
          path, found: "\(via), an address of this gateway", expected: "the address of a router", fix: "correct it")
        return nil
      }
    }
    let port = egress(
      to: nextHop, at: path, role: .protected, portName: draft.port, portPath: "\(peer.path).port",
      fix: draft.via == nil ? "add `via: ROUTER`, the neighbour that leads there" : "name a router on one of them")
    guard let port else { return nil }
    return Configuration.Peer(
      name: draft.name, address: draft.address, nextHop: nextHop, port: port, carriage: draft.carriage)
  }

  func resolve(_ route: Placed<Configuration.RouteDraft>) -> Configuration.Route? {
    let draft = route.value
    checkMatch(route)
    guard let match = draft.match else { return nil }
    switch draft.action {
    case .protect:
      guard let protection = draft.protection else { return nil }
      return Configuration.Route(match: match, action: .protect(protection))
    case .drop:
      return Configuration.Route(match: match, action: .drop)
    case .forward:
      guard let via = draft.via, let port = forwardPort(route, via, role: .clear) else { return nil }
      return Configuration.Route(match: match, action: .forward(nextHop: via, port: port))
    case .bypass:
      guard let port = bypassPort(route) else { return nil }
      return Configuration.Route(match: match, action: .bypass(nextHop: draft.via, port: port))
    }
  }

  private func forwardPort(
    _ route: Placed<Configuration.RouteDraft>, _ via: IPAddress, role: Configuration.Role
  ) -> String? {
    if case .destination(let prefix) = route.value.match, prefix.address.isIPv4 != via.isIPv4 {
      findings.mistake(
        "\(route.path).via", found: "the \(family(via)) next hop \(via) for an \(family(prefix.address)) prefix",
        expected: "both of one family", fix: "name the router's \(family(prefix.address)) address")
      return nil
    }
    return egress(
      to: via, at: "\(route.path).via", role: role, portName: route.value.port, portPath: "\(route.path).port",
      fix: "name a router on one of them")
  }

  /// A bypass leaves by a protected port: the next hop's, the named one, or the only one.
  private func bypassPort(_ route: Placed<Configuration.RouteDraft>) -> String? {
    if let via = route.value.via { return forwardPort(route, via, role: .protected) }
    if let name = route.value.port {
      let path = "\(route.path).port"
      guard let port = port(named: name, at: path) else { return nil }
      guard port.role == .protected else {
        findings.mistake(
          path, found: "the clear port \"\(name)\"", expected: "a protected port", fix: "name the port it leaves by")
        return nil
      }
      return name
    }
    let candidates = ports.filter { $0.value.role == .protected }
    if let only = candidates.first, candidates.count == 1 { return only.value.name }
    if knowsPorts(.protected) {
      findings.mistake(
        "\(route.path).port", found: "nothing", expected: "the protected port that the traffic leaves by",
        fix: "add `port: NAME`, as there is more than one")
    }
    return nil
  }

  private func checkMatch(_ route: Placed<Configuration.RouteDraft>) {
    guard let match = route.value.match else { return }
    if let earlier = routes.first(where: { $0.value.match == match }), earlier.path != route.path {
      let field = if case .port = match { "from" } else { "to" }
      findings.mistake(
        "\(route.path).\(field)", found: "what \(earlier.path) matches too",
        expected: "one route for each prefix and port",
        fix: "merge the two: `peers` takes a list")
    }
    switch match {
    case .port(let name):
      let path = "\(route.path).from"
      if let port = port(named: name, at: path), port.role != .clear || port.mode != .ethernet {
        findings.mistake(
          path, found: "the \(port.role.rawValue) port \"\(name)\" in mode \(port.mode.rawValue)",
          expected: "a clear port with `mode: ethernet`", fix: "set the port's mode, or match with `to`")
      }
    case .destination(let prefix):
      for port in ports where port.value.addresses.contains(where: { $0.network == prefix }) {
        findings.mistake(
          "\(route.path).to", found: "\(prefix), the network of port \"\(port.value.name)\"",
          expected: "a prefix that no port is on",
          fix: "route a longer or another prefix: on-link hosts are reached directly")
      }
      checkModePorts(route)
    }
  }

  /// A mode needs a clear port that works in it, but for the tunnels of a proxy, whose packets come from other tunnels.
  private func checkModePorts(_ route: Placed<Configuration.RouteDraft>) {
    guard let mode = route.value.protection?.mode, mode != .ethernet, !(isProxy && mode == .tunnel),
      knowsPorts(.clear), !ports.isEmpty,
      !ports.contains(where: { $0.value.role == .clear && $0.value.mode == mode })
    else { return }
    findings.mistake(
      "\(route.path).mode", found: "mode \(mode.rawValue)", expected: "a clear port in that mode, there is none",
      fix: "set `mode: \(mode.rawValue)` on a clear port, or change the route's mode")
  }

  private func family(_ address: IPAddress) -> String { address.isIPv4 ? "IPv4" : "IPv6" }
}
