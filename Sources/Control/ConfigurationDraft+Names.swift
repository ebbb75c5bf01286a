internal import Wire

// Names: given once, and defined where they are used.
extension ConfigurationDraft {
  func checkNames() {
    reportRepeats(ports.map { Placed(path: "\($0.path).name", value: $0.value.name) }, findings, "port name")
    reportRepeats(ports.map { Placed(path: "\($0.path).device", value: $0.value.device) }, findings, "device")
    reportRepeats(peers.map { Placed(path: "\($0.path).name", value: $0.value.name) }, findings, "peer name")
    reportRepeats(groups.map { Placed(path: "\($0.path).name", value: $0.value.name) }, findings, "group")
    for route in routes {
      for (index, peer) in (route.value.protection?.peers ?? []).enumerated() where !peerNames.contains(peer) {
        reportUndefined("peer", peer, among: peerNames, at: "\(route.path).peers[\(index)]")
      }
    }
    if let capture { _ = port(named: capture.value.port, at: "\(capture.path).port") }
  }

  /// The port of that name; an undefined name is reported, a port with mistakes of its own is nil without a word.
  func port(named name: String, at path: String) -> Configuration.Port? {
    if !portNames.contains(name) { reportUndefined("port", name, among: portNames, at: path) }
    return ports.first { $0.value.name == name }?.value
  }

  /// Whether every port of a role could be read, so that what none of them has is really missing.
  func knowsPorts(_ role: Configuration.Role) -> Bool {
    unreadRoles.allSatisfy { $0 != nil && $0 != role }
  }

  private func reportUndefined(_ noun: String, _ name: String, among names: Set<String>, at path: String) {
    findings.mistake(
      path, found: "the undefined \(noun) \"\(name)\"",
      expected: names.isEmpty
        ? "a \(noun), but `\(noun)s` defines none" : "one of " + names.sorted().joined(separator: ", "),
      fix: "define it in `\(noun)s` or correct the name")
  }
}

// Ports: roles, pairs and what each mode needs.
extension ConfigurationDraft {
  func checkPorts() {
    // A gateway between two domains need not have hosts of its own.
    let roles: [Configuration.Role] = isProxy ? [.protected] : [.clear, .protected]
    for role in roles where !ports.isEmpty && knowsPorts(role) {
      guard !ports.contains(where: { $0.value.role == role }) else { continue }
      findings.mistake(
        "ports", found: "no \(role.rawValue) port",
        expected: isProxy ? "at least one protected port" : "at least one clear and one protected port",
        fix: "add a port with `role: \(role.rawValue)`")
    }
    if ports.count > 32 {
      findings.mistake("ports", found: "\(ports.count) ports", expected: "at most 32", fix: "remove some")
    }
    var pairs: [String: String] = [:]
    for placed in ports {
      checkFamilies(placed)
      guard let pair = placed.value.pair else { continue }
      let path = "\(placed.path).pair"
      if let other = port(named: pair, at: path), other.role != .protected {
        findings.mistake(
          path, found: "the clear port \"\(pair)\"", expected: "a protected port",
          fix: "name the port on the other side")
      }
      if let earlier = pairs.updateValue(placed.value.name, forKey: pair) {
        findings.mistake(
          path, found: "\"\(pair)\", which is the pair of port \"\(earlier)\"", expected: "one pair for each port",
          fix: "give each transport port a protected port of its own")
      }
    }
    for placed in ports where placed.value.role == .protected {
      let isPaired = pairs[placed.value.name] != nil
      if isPaired, placed.value.vlan != nil {
        findings.mistake(
          "\(placed.path).vlan", found: "a VLAN on the pair of a transport port",
          expected: "none: frames keep their tags",
          fix: "remove it")
      }
      if !isPaired, placed.value.addresses.isEmpty {
        findings.mistake(
          "\(placed.path).addresses", found: "nothing", expected: "at least one address, the source of sealed packets",
          fix: "add `addresses: [192.0.2.1/24]`")
      }
    }
  }

  private func checkFamilies(_ placed: Placed<Configuration.Port>) {
    // RFC 8200, section 5: every IPv6 link carries 1280 octets.
    guard placed.value.mtu < 1280, placed.value.addresses.contains(where: { !$0.address.isIPv4 }) else { return }
    findings.mistake(
      "\(placed.path).mtu", found: "\(placed.value.mtu)", expected: "at least 1280 on a port with IPv6 addresses",
      fix: "raise the MTU or remove the IPv6 addresses")
  }
}

// Groups: policies that are used, and one port for each group of Ethernet frames.
extension ConfigurationDraft {
  func checkGroups() {
    let used = Set(routes.compactMap { $0.value.protection?.group })
    for placed in routes {
      guard let protection = placed.value.protection else { continue }
      guard let policy = groups.first(where: { $0.value.name == protection.group })?.value else {
        findings.warning(
          "\(placed.path).group",
          "no policy for \"\(protection.group)\" in `groups`: everything received from the group will be dropped "
            + "(policy-inner)"
        )
        continue
      }
      if !policy.forms.contains(protection.mode) {
        findings.warning(
          "\(placed.path).mode",
          "the policy of \"\(policy.name)\" does not accept \(protection.mode.rawValue): answers in it will be dropped "
            + "(policy-inner)"
        )
      }
    }
    var ethernetPorts: [String: String] = [:]
    for placed in routes {
      guard case .port(let name) = placed.value.match, let group = placed.value.protection?.group else { continue }
      if let earlier = ethernetPorts.updateValue(name, forKey: group), earlier != name {
        findings.mistake(
          "\(placed.path).group", found: "\"\(group)\", whose frames belong to port \"\(earlier)\"",
          expected: "one ethernet port for each group", fix: "use a group of its own: opened frames name no port")
      }
    }
    for placed in ports where placed.value.role == .clear && placed.value.mode == .ethernet {
      if !routes.contains(where: { $0.value.match == .port(placed.value.name) }) {
        findings.warning(
          "\(placed.path).mode", "no route has `from: \(placed.value.name)`: nothing that it receives will be sealed")
      }
    }
    for placed in groups where !used.contains(placed.value.name) {
      if placed.value.forms.contains(.ethernet), ethernetPorts[placed.value.name] == nil {
        findings.warning(
          "\(placed.path).forms", "no ethernet port belongs to this group: its frames will be dropped (policy-inner)")
      }
    }
  }
}
