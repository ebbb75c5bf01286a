internal import Wire

// The configuration held against its trust groups.
extension ConfigurationDraft {
  /// - Parameter place: where the groups are defined.
  func check(against shapes: [GroupShape], of place: String) {
    let names = shapes.map(\.name)
    func report(_ name: String, at path: String) {
      findings.mistake(
        path, found: "the group \"\(name)\", which \(place) does not define",
        expected: "one of " + names.joined(separator: ", "), fix: "correct the name or add the group's keys")
    }
    for port in ports {
      if let group = port.value.defaultGroup, !names.contains(group) { report(group, at: "\(port.path).default_group") }
    }
    for group in groups where !names.contains(group.value.name) { report(group.value.name, at: "\(group.path).name") }
    for (index, group) in (identity?.groups ?? []).enumerated() where !names.contains(group.group) {
      report(group.group, at: "identity.groups[\(index)].group")
    }
    for proxy in proxies {
      if !names.contains(proxy.value.from) { report(proxy.value.from, at: "\(proxy.path).from") }
      if !names.contains(proxy.value.to) { report(proxy.value.to, at: "\(proxy.path).to") }
      check(proxy, shapes)
    }
    for route in routes {
      guard let protection = route.value.protection else { continue }
      if let group = shapes.first(where: { $0.name == protection.group }) {
        check(protection, of: group, at: route.path)
      } else {
        report(protection.group, at: "\(route.path).group")
      }
    }
  }

  private func check(_ protection: Configuration.Route.Protection, of group: GroupShape, at path: String) {
    if Int(protection.coffset) > group.maxCOffset {
      findings.mistake(
        "\(path).coffset", found: "\(protection.coffset)",
        expected: "at most \(group.maxCOffset), the group's max_coffset: receivers drop what is above (policy-offset)",
        fix: "lower it, or raise max_coffset in every gateway's keys file")
    }
    if Int(protection.ioffset) > group.maxIOffset {
      findings.mistake(
        "\(path).ioffset", found: "\(protection.ioffset)",
        expected: "at most \(group.maxIOffset), the group's max_ioffset: receivers drop what is above (policy-offset)",
        fix: "lower it")
    }
    let isDefault = group.isDefault || ports.contains { $0.value.defaultGroup == group.name }
    if !protection.sendsOptions, !isDefault {
      findings.mistake(
        "\(path).options", found: "false for a group that is no default group",
        expected: "true: without options a packet belongs to the receiver's default group",
        fix: "set `default: true` for \"\(group.name)\" in every gateway's keys file, or send options")
    }
  }

  /// IPv6 needs 1280 octets on every link (RFC 8200, section 5); an IPv4 host must be able to take 576 (RFC 791). Each
  /// port is reported once, for the route and peer that need most.
  func check(_ mtus: [InnerMTU]) {
    for port in ports {
      let missing = mtus.filter { $0.port == port.value.name }.compactMap { mtu -> (octets: Int, mtu: InnerMTU)? in
        guard case .destination(let prefix) = mtu.route.match else { return nil }
        let octets = (prefix.address.isIPv4 ? 576 : 1280) - mtu.octets
        return octets > 0 ? (octets, mtu) : nil
      }
      guard let worst = missing.max(by: { $0.octets < $1.octets }) else { continue }
      findings.mistake(
        "\(port.path).mtu",
        found: "\(port.value.mtu), which leaves \(worst.mtu.octets) octets for packets to \(worst.mtu.route.match)"
          + (worst.mtu.peer.map { " through \($0)" } ?? ""),
        expected: "at least \(Int(port.value.mtu) + worst.octets)",
        fix:
          "raise the MTU of the port and its network, or send shorter headers (`options: false`, 16-octet root key IDs)"
      )
    }
    for mtu in mtus { warnAboutFrames(mtu) }
  }

  /// Frames are not told to be smaller, as packets are (Packet Too Big).
  private func warnAboutFrames(_ mtu: InnerMTU) {
    guard case .port(let name) = mtu.route.match,
      let route = routes.first(where: { $0.value.match == mtu.route.match }),
      let clear = ports.first(where: { $0.value.name == name }), mtu.octets < Int(clear.value.mtu),
      let port = ports.first(where: { $0.value.name == mtu.port })
    else { return }
    findings.warning(
      "\(route.path).peers",
      "frames of \"\(name)\" carry up to \(clear.value.mtu) octets, but only \(mtu.octets) fit through port "
        + "\"\(mtu.port)\": larger ones are dropped; give it an MTU of at least "
        + "\(Int(clear.value.mtu) - mtu.octets + Int(port.value.mtu))")
  }
}
