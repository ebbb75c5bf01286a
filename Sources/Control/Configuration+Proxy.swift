package import Wire

extension Configuration {
  /// Lets what was opened under one trust group's keys be sealed under another's (docs/proxy.md). What no policy lets through
  /// is dropped as `policy-domain`.
  package struct Proxy: Equatable, Sendable {
    package var from: String
    package var to: String
    /// Of the inner packet; empty: all that `from` may speak for, and all that is routed to `to`.
    package var sources: [IPPrefix]
    package var destinations: [IPPrefix]
    /// Also what outside clients of `from`'s pool send, and what goes to those of `to`'s.
    package var clients: Bool

    package enum Field: String, SectionField { case from, to, sources, destinations, clients }

    static let limit = 64
  }
}

extension Configuration.Proxy {
  init?(_ section: Section<Field>) {
    let from = section.required(.from, .name)
    let to = section.required(.to, .name)
    let sources = section.list(.sources, .network)
    let destinations = section.list(.destinations, .network)
    reportRepeats(sources, section.findings, "prefix")
    reportRepeats(destinations, section.findings, "prefix")
    if section.count(.sources) == 0, section.count(.destinations) == 0 {
      section.missing(
        .destinations, expected: "the inner prefixes that may pass, in `sources`, `destinations` or both",
        fix: "add `destinations: [10.2.0.0/16]`")
    }
    if let from, from == to {
      section.findings.mistake(
        section.path(.to), found: "\"\(from)\", the group that it comes from", expected: "another trust group",
        fix: "name the group that packets go into: within a group its members speak with each other directly")
    }
    let clients = section.value(.clients, .boolean, default: false)
    guard let from, let to else { return nil }
    self.init(
      from: from, to: to, sources: sources.map(\.value), destinations: destinations.map(\.value), clients: clients)
  }
}

// Policies of the proxy held against groups and routes: what can never pass is a warning, as it is dropped.
extension ConfigurationDraft {
  func checkProxies() {
    if proxies.count > Configuration.Proxy.limit {
      findings.mistake(
        "proxies", found: "\(proxies.count) policies", expected: "at most \(Configuration.Proxy.limit)",
        fix: "put the prefixes of a pair of groups into one policy")
    }
    for proxy in proxies {
      checkSources(proxy)
      checkDestinations(proxy)
    }
  }

  private func checkSources(_ proxy: Placed<Configuration.Proxy>) {
    let from = proxy.value.from
    guard let policy = groups.first(where: { $0.value.name == from })?.value else {
      findings.warning(
        "\(proxy.path).from",
        "no policy for \"\(from)\" in `groups`: everything received from it will be dropped (policy-inner)")
      return
    }
    if !policy.forms.contains(.tunnel) {
      findings.warning(
        "\(proxy.path).from", "the policy of \"\(from)\" does not accept tunnel, and nothing else is proxied")
    }
    for (index, prefix) in proxy.value.sources.enumerated() {
      if !policy.maySpeak.contains(where: { $0.overlaps(prefix) }) {
        findings.warning(
          "\(proxy.path).sources[\(index)]",
          "\"\(from)\" may not speak for \(prefix): packets from there will be dropped (policy-inner); add it to the "
            + "group's may_speak")
      }
      if !leads(prefix, into: from, withClients: proxy.value.clients) {
        findings.warning(
          "\(proxy.path).sources[\(index)]",
          "no route seals for \"\(from)\" to \(prefix): neither answers nor ICMP errors find their way back")
      }
    }
  }

  private func checkDestinations(_ proxy: Placed<Configuration.Proxy>) {
    let to = proxy.value.to
    for (index, prefix) in proxy.value.destinations.enumerated()
    where !leads(prefix, into: to, withClients: proxy.value.clients) {
      findings.warning(
        "\(proxy.path).destinations[\(index)]",
        "no route in mode tunnel seals for \"\(to)\" to \(prefix): nothing passes")
    }
    if proxy.value.destinations.isEmpty, !routes.contains(where: { $0.value.protection?.group == to }) {
      findings.warning("\(proxy.path).to", "no route seals for \"\(to)\": nothing passes")
    }
  }

  private func leads(_ prefix: IPPrefix, into group: String, withClients: Bool) -> Bool {
    if withClients, let clients = keyAgent?.clients, clients.group == group, clients.prefix.overlaps(prefix) {
      return true
    }
    return routes.contains { route in
      guard case .destination(let destination) = route.value.match, let protection = route.value.protection else {
        return false
      }
      return protection.group == group && protection.mode == .tunnel && destination.overlaps(prefix)
    }
  }

  /// With the groups' keys at hand.
  func check(_ proxy: Placed<Configuration.Proxy>, _ shapes: [GroupShape]) {
    if let from = shapes.first(where: { $0.name == proxy.value.from }), from.maxIOffset > 0 {
      findings.warning(
        "\(proxy.path).from",
        "\"\(from.name)\" accepts IOffset up to \(from.maxIOffset): anyone on the way can rewrite inner addresses, and so "
          + "choose what is sealed for \"\(proxy.value.to)\"")
    }
    checkAuthority(proxy)
  }

  /// Each group has one controller that says who the node is in it (wire format, section 4).
  private func checkAuthority(_ proxy: Placed<Configuration.Proxy>) {
    guard let keyAgent, let identity else { return }
    for (name, field) in [(proxy.value.from, "from"), (proxy.value.to, "to")] {
      guard let controller = identity.numbers(towards: name).controller,
        let group = keyAgent.groups.first(where: { $0.name == name }),
        !group.rootKeys.contains(where: { $0.controller == controller })
      else { continue }
      findings.warning(
        "\(proxy.path).\(field)",
        "\"\(controller)\" says which device this node is in \"\(name)\" but has none of its root keys: if the group has "
          + "an identity controller of its own, name it in `identity.groups`, else nonces may be used twice")
    }
  }
}

extension IPPrefix {
  /// Whether an address lies in both.
  fileprivate func overlaps(_ other: IPPrefix) -> Bool { contains(other) || other.contains(self) }
}
