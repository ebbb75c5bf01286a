import Control
import DataPlane
import Keys
import Rotation
import Wire

extension Configuration {
  /// The data plane's form of this configuration, with the groups that are in force now. A route whose group is not
  /// (its keys have expired) drops what it matches: nothing ever leaves in clear for want of a key.
  ///
  /// - Parameter assignments: who the node is in a group, by its name, where this configuration does not say it.
  func plan(groups: [TrustGroup], assignments: [String: Assignment] = [:]) -> GatewayPlan {
    var plan = GatewayPlan(name: name, deviceID: identity.numbers.deviceID)
    plan.wideID = identity.numbers.isWide
    plan.member = identity.numbers.member
    for (index, group) in groups.enumerated() {
      plan.identities[index] = identity.numbers(towards: group.name).planned(assignments[group.name])
    }
    plan.bypassUnmatched = unmatched == .bypass
    plan.mssClamp = clampsMSS
    plan.icmpRate = icmpRate
    let portIndex = Dictionary(ports.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    let peerIndex = Dictionary(peers.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    let groupIndex = Dictionary(groups.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    let defaultGroup = groups.firstIndex(where: \.isDefault)

    plan.ports = ports.map { $0.planned(portIndex, groupIndex, defaultGroup) }
    for port in ports {
      // Both ends of a bump know each other.
      if let pair = port.pair, let one = portIndex[port.name], let other = portIndex[pair] {
        plan.ports[other].pair = one
      }
    }
    plan.peers = peers.compactMap { peer in
      guard let port = portIndex[peer.port], let source = ports[port].source(for: peer.nextHop, family: peer.address)
      else {
        return nil
      }
      var planned = GatewayPlan.Peer(
        name: peer.name, address: peer.address, source: source, port: port, nextHop: peer.nextHop)
      switch peer.carriage {
      case .udp(let number): (planned.carriage, planned.udpPort) = (.udp, number)
      case .ip: planned.carriage = .ip
      }
      return planned
    }
    for route in routes {
      let action = route.action.planned(portIndex, peerIndex, groupIndex)
      switch route.match {
      case .destination(let prefix): plan.routes.append(GatewayPlan.Route(prefix: prefix, action: action))
      case .port(let name):
        if let port = portIndex[name], case .seal(let sealing) = action { plan.frames[port] = sealing }
      }
    }
    if let bfd {
      plan.bfd.sessions = bfd.sessions.compactMap { session in
        portIndex[session.port].map {
          GatewayPlan.BFD.Session(
            port: $0, neighbour: session.neighbour, interval: session.interval, multiplier: session.multiplier)
        }
      }
      plan.bfd.tracked = bfd.track.compactMap { portIndex[$0] }
    }
    for (index, port) in ports.enumerated() {
      plan.ports[index].shared = port.shared.map { shared in
        GatewayPlan.Shared(
          address: shared.address,
          after: plan.bfd.sessions.indices.filter { shared.after.contains(plan.bfd.sessions[$0].neighbour) })
      }
    }
    plan.policies = self.groups.compactMap { policy in
      guard let group = groupIndex[policy.name] else { return nil }
      var forms: Set<PayloadForm> = []
      for form in policy.forms {
        switch form {
        case .tunnel: forms.formUnion([.ipv4, .ipv6])
        case .transport: forms.insert(.transport)
        case .ethernet: forms.insert(.ethernet)
        }
      }
      return GatewayPlan.GroupPolicy(
        group: group, speaks: policy.maySpeak, forms: forms, replayWindow: policy.replayWindow)
    }
    plan.proxies = proxies.compactMap { policy in
      guard let from = groupIndex[policy.from], let to = groupIndex[policy.to] else { return nil }
      var planned = GatewayPlan.Proxy(from: from, to: to)
      planned.sources = policy.sources
      planned.destinations = policy.destinations
      planned.clients = policy.clients
      return planned
    }
    return plan
  }

  /// What a gateway of this configuration is started with.
  func settings(time: GatewaySettings.Time) -> GatewaySettings {
    var settings = GatewaySettings(time: time)
    switch engine {
    case .auto: settings.engine = .auto
    case .ipsecMB: settings.engine = .ipsecMB
    case .openSSL: settings.engine = .openSSL
    }
    settings.lcores = lcores.count
    settings.isDedicated = lcores.isDedicated
    settings.cores = lcores.cores.map(Int.init)
    settings.replay = replay
    if let capture, let port = ports.firstIndex(where: { $0.name == capture.port }) {
      settings.capture = GatewaySettings.Capture(
        port: port, path: capture.file, limit: Int(clamping: capture.maxOctets))
    }
    return settings
  }
}

extension Configuration.Identity.Numbers {
  fileprivate func planned(_ assignment: Assignment?) -> GatewayPlan.Identity {
    var planned = GatewayPlan.Identity(
      deviceID: assignment.flatMap { UInt64($0.deviceID, radix: 16) } ?? deviceID)
    planned.wideID = isWide
    planned.member = assignment?.member ?? member
    return planned
  }
}

extension Configuration.Port {
  fileprivate func planned(
    _ ports: [String: Int], _ groups: [String: Int], _ defaultGroup: Int?
  ) -> GatewayPlan.Port {
    var port = GatewayPlan.Port(name: name, device: device.description, role: role == .clear ? .clear : .protected)
    port.mtu = mtu
    port.vlan = vlan
    port.mode = mode.planned
    port.pair = pair.flatMap { ports[$0] }
    port.addresses = addresses
    port.neighbours = neighbours.map { GatewayPlan.Neighbour(address: $0.address, mac: $0.hardware) }
    port.udpPort = udpPort
    // A default group that is not in force any more stays away: the file's default does not take its place.
    if role == .protected {
      port.defaultGroup = self.defaultGroup == nil ? defaultGroup : self.defaultGroup.flatMap { groups[$0] }
    }
    return port
  }

  /// The own address that outer packets bear: the one on the next hop's link, else any of the peer's family.
  fileprivate func source(for nextHop: IPAddress, family: IPAddress) -> IPAddress? {
    let own = addresses.filter { $0.address.isIPv4 == family.isIPv4 }
    return (own.first { $0.contains(nextHop) } ?? own.first { !$0.address.isLinkLocal } ?? own.first)?.address
  }
}

extension Configuration.Mode {
  fileprivate var planned: GatewayPlan.Mode {
    switch self {
    case .tunnel: .tunnel
    case .transport: .transport
    case .ethernet: .ethernet
    }
  }
}

extension Configuration.Route.Action {
  fileprivate func planned(
    _ ports: [String: Int], _ peers: [String: Int], _ groups: [String: Int]
  ) -> GatewayPlan.Action {
    switch self {
    case .protect(let protection):
      guard let group = groups[protection.group] else { return .drop }
      var sealing = GatewayPlan.Sealing(group: group)
      sealing.mode = protection.mode.planned
      sealing.peers = protection.peers.compactMap { peers[$0] }
      sealing.spread = protection.spread == .packet ? .packet : .flow
      sealing.suite = protection.suite
      sealing.context = protection.context
      sealing.options = protection.sendsOptions
      sealing.coffset = protection.coffset
      sealing.ioffset = protection.ioffset
      switch protection.dscp {
      case .copy: sealing.dscp = .copy
      case .fixed(let value): sealing.dscp = .fixed(value)
      }
      switch protection.carriage {
      case .udp(let number): (sealing.carriage, sealing.udpPort) = (.udp, number)
      case .ip: sealing.carriage = .ip
      case nil: break
      }
      return .seal(sealing)
    case .forward(let nextHop, let port):
      guard let port = ports[port] else { return .drop }
      return .forward(port: port, via: nextHop)
    case .bypass(let nextHop, let port):
      guard let port = ports[port] else { return .drop }
      return .bypass(port: port, via: nextHop)
    case .drop:
      return .drop
    }
  }
}
