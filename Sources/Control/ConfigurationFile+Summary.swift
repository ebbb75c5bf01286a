internal import Foundation
internal import Keys
internal import Wire

extension ConfigurationFile {
  /// What the gateway would do, for `keyweave check`. No key octets, no key IDs.
  package struct Summary: Encodable, Sendable {
    package let name: String
    package let deviceID: String
    package let member: UInt8?
    package let engine: String
    package let lcores: Int
    /// Of a key agent: name and URL of each.
    package let controllers: [String]
    package let ports: [Port]
    package let peers: [Peer]
    package let routes: [Route]
    package let groups: [Group]
    /// BFD sessions.
    package let bfd: [String]
    package let proxies: [Proxy]
    package let unmatched: String
    package let replay: Replay?

    package struct Replay: Encodable, Sendable {
      /// Windows that there are, packets that the largest looks back, octets of all.
      package let capacity, largestWindow, octets: Int
    }

    package struct Port: Encodable, Sendable {
      package let name, device, role: String
      package let mode: String?
      package let mtu: UInt16
      package let addresses: [String]
    }

    package struct Peer: Encodable, Sendable {
      package let name, address, nextHop, port, carriage: String
    }

    package struct Route: Encodable, Sendable {
      package let match, action: String
      /// The largest packet that passes whole, by the narrowest way; nil without protection.
      package let innerMTU: Int?
    }

    package struct Proxy: Encodable, Sendable {
      package let from, to: String
      package let sources, destinations: [String]
      package let clients: Bool
    }

    package struct Group: Encodable, Sendable {
      package let name: String
      package let epochPeriod, replayWindow: Int
      package let rootKeys, maySpeak, forms: [String]
      package let isDefault: Bool
      /// Who the gateway is towards it, where that is not who it is towards the others.
      package let identity: String?
    }
  }

  package var summary: Summary {
    return Summary(
      name: configuration.name,
      deviceID: configuration.identity.numbers.deviceText,
      member: configuration.identity.numbers.controller == nil ? configuration.identity.numbers.member : nil,
      engine: configuration.engine.rawValue, lcores: configuration.lcores.count,
      controllers: (configuration.keyAgent?.controllers ?? []).map { "\($0.name) \($0.url) (\($0.id))" },
      ports: configuration.ports.map { port in
        Summary.Port(
          name: port.name, device: port.device.description, role: port.role.rawValue,
          mode: port.role == .clear ? port.mode.rawValue : nil, mtu: port.mtu,
          addresses: port.addresses.map(\.description))
      },
      peers: configuration.peers.map { peer in
        Summary.Peer(
          name: peer.name, address: peer.address.description, nextHop: peer.nextHop.description, port: peer.port,
          carriage: peer.carriage.description)
      },
      routes: configuration.routes.map { route in
        let mtus = innerMTUs.filter { $0.route == route }.map(\.octets)
        return Summary.Route(
          match: route.match.description, action: route.action.description, innerMTU: mtus.min())
      },
      groups: shapes.map(summary),
      bfd: (configuration.bfd?.sessions ?? []).map { session in
        "\(session.neighbour) by \(session.port), \(session.multiplier) times \(session.interval) ms"
      },
      proxies: configuration.proxies.map { proxy in
        Summary.Proxy(
          from: proxy.from, to: proxy.to, sources: proxy.sources.map(\.description),
          destinations: proxy.destinations.map(\.description), clients: proxy.clients)
      },
      unmatched: configuration.unmatched.rawValue,
      replay: configuration.replay.map {
        Summary.Replay(capacity: $0.capacity, largestWindow: $0.largestWindow, octets: $0.octets)
      })
  }

  private func summary(_ group: GroupShape) -> Summary.Group {
    let policy = configuration.groups.first { $0.name == group.name }
    return Summary.Group(
      name: group.name, epochPeriod: group.epochPeriod, replayWindow: policy?.replayWindow ?? 0,
      rootKeys: group.rootKeys, maySpeak: policy?.maySpeak.map(\.description) ?? [],
      forms: Configuration.Mode.allCases.filter { policy?.forms.contains($0) ?? false }.map(\.rawValue),
      isDefault: group.isDefault,
      identity: configuration.identity.groups.first { $0.group == group.name }.map { $0.numbers.text })
  }
}

extension ConfigurationFile.Summary: CustomStringConvertible {
  package var description: String {
    var lines = [
      "\(name): device \(deviceID)\(member.map { ", member \($0)" } ?? ""), engine \(engine), \(lcores) lcore\(lcores == 1 ? "" : "s")",
      "ports:",
    ]
    lines += ports.map { port in
      let facts = [port.role, port.mode, "MTU \(port.mtu)"].compactMap(\.self) + port.addresses
      return "  \(port.name) (\(port.device)): \(facts.joined(separator: ", "))"
    }
    if !controllers.isEmpty { lines += ["controllers:"] + controllers.map { "  \($0)" } }
    if !peers.isEmpty { lines.append("peers:") }
    lines += peers.map { peer in
      let via = peer.nextHop == peer.address ? "" : " via \(peer.nextHop)"
      return "  \(peer.name): \(peer.address) over \(peer.carriage), by \(peer.port)\(via)"
    }
    lines.append("routes:")
    lines += routes.map { route in
      "  \(route.match): \(route.action)\(route.innerMTU.map { ", packets up to \($0) octets" } ?? "")"
    }
    lines.append("  everything else: \(unmatched)")
    if !bfd.isEmpty { lines += ["watched by BFD:"] + bfd.map { "  \($0)" } }
    lines.append("groups:")
    lines += groups.map { group in
      let policy =
        group.forms.isEmpty
        ? "no policy: nothing is accepted"
        : "accepts \(group.forms.joined(separator: ", "))"
          + (group.maySpeak.isEmpty ? "" : " from \(group.maySpeak.joined(separator: ", "))")
      return "  \(group.name)\(group.isDefault ? " (default)" : ""): \(group.rootKeys.joined(separator: "; ")); "
        + "epochs of \(group.epochPeriod) s; \(group.identity.map { "as \($0); " } ?? "")\(policy)"
        + (group.replayWindow > 0 ? "; replay window of \(group.replayWindow) packets" : "")
    }
    if !proxies.isEmpty { lines.append("proxies:") }
    lines += proxies.map { proxy in
      "  from \(proxy.from) into \(proxy.to)"
        + (proxy.sources.isEmpty ? "" : ", of \(proxy.sources.joined(separator: ", "))")
        + (proxy.destinations.isEmpty ? "" : ", to \(proxy.destinations.joined(separator: ", "))")
        + (proxy.clients ? ", clients included" : "")
    }
    if let replay {
      let size = (Double(replay.octets) / 1_048_576 * 10).rounded() / 10
      lines.append("replay: \(replay.capacity) windows of up to \(replay.largestWindow) packets, \(size) MiB")
    }
    return lines.joined(separator: "\n")
  }
}

extension Configuration.Identity.Numbers {
  fileprivate var deviceText: String {
    if let controller { return "as \(controller) assigns it" }
    let id = String(deviceID, radix: 16)
    return String(repeating: "0", count: max(0, (isWide ? 16 : 8) - id.count)) + id
  }

  fileprivate var text: String { "device \(deviceText)" + (controller == nil ? ", member \(member)" : "") }
}

extension Configuration.Carriage: CustomStringConvertible {
  package var description: String {
    switch self {
    case .udp(let port): "UDP port \(port)"
    case .ip: "IP protocol \(IPProtocol.statelessEESP)"
    }
  }
}

extension Configuration.Route.Match: CustomStringConvertible {
  package var description: String {
    switch self {
    case .destination(let prefix): prefix.description
    case .port(let name): "frames from \(name)"
    }
  }
}

extension Configuration.Route.Action: CustomStringConvertible {
  package var description: String {
    switch self {
    case .protect(let protection):
      "protect as \(protection.group)"
        + (protection.peers.isEmpty ? ", " : " to \(protection.peers.joined(separator: " or ")), ")
        + (protection.spread == .packet ? "packet by packet, " : "")
        + "\(protection.mode.rawValue), \(protection.suite == .aes256 ? "AES-256-GCM" : "AES-128-GCM")"
    case .forward(let nextHop, let port): "forward in clear to \(nextHop) by \(port)"
    case .bypass(let nextHop, let port): "BYPASS in clear by \(port)\(nextHop.map { " via \($0)" } ?? "")"
    case .drop: "drop"
    }
  }
}
