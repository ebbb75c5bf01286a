internal import Keys
internal import Wire

// The configuration held against the keys file.
extension ConfigurationDraft {
  func check(against keys: KeysFile) {
    let names = keys.groups.map(\.name)
    func report(_ name: String, at path: String) {
      findings.mistake(
        path, found: "the group \"\(name)\", which \(keys.path) does not define",
        expected: "one of " + names.joined(separator: ", "), fix: "correct the name or add the group's keys")
    }
    for port in ports {
      if let group = port.value.defaultGroup, !names.contains(group) { report(group, at: "\(port.path).default_group") }
    }
    for group in groups where !names.contains(group.value.name) { report(group.value.name, at: "\(group.path).name") }
    for route in routes {
      guard let protection = route.value.protection else { continue }
      if let group = keys.groups.first(where: { $0.name == protection.group }) {
        check(protection, of: group, at: route.path)
      } else {
        report(protection.group, at: "\(route.path).group")
      }
    }
  }

  private func check(_ protection: Configuration.Route.Protection, of group: TrustGroup, at path: String) {
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

  /// IPv6 needs 1280 octets on every link (RFC 8200, section 5); an IPv4 host must be able to take 576 (RFC 791).
  func check(_ mtus: [InnerMTU]) {
    for mtu in mtus {
      guard let path = routes.first(where: { $0.value.match == mtu.route.match })?.path else { continue }
      switch mtu.route.match {
      case .destination(let prefix):
        let least = prefix.address.isIPv4 ? 576 : 1280
        guard mtu.octets < least, let port = ports.first(where: { $0.value.name == mtu.port }) else { continue }
        findings.mistake(
          "\(port.path).mtu",
          found:
            "\(port.value.mtu), which leaves \(mtu.octets) octets for packets to \(prefix)\(mtu.peer.map { " through \($0)" } ?? "")",
          expected: "at least \(Int(port.value.mtu) + least - mtu.octets)",
          fix:
            "raise the MTU of the port and its network, or send shorter headers (`options: false`, 16-octet root key IDs)"
        )
      case .port(let name):
        guard let port = ports.first(where: { $0.value.name == name }), mtu.octets < Int(port.value.mtu) else {
          continue
        }
        findings.warning(
          "\(path).peers",
          "frames of \"\(name)\" carry up to \(port.value.mtu) octets, but only \(mtu.octets) fit through port \"\(mtu.port)\": "
            + "larger ones are dropped; give \"\(mtu.port)\" an MTU of at least "
            + "\(Int(port.value.mtu) - mtu.octets + (ports.first { $0.value.name == mtu.port }.map { Int($0.value.mtu) } ?? 0))"
        )
      }
    }
  }
}
