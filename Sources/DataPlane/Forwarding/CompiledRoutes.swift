internal import Wire

/// The plan turned into entries, before they go into memory that lcores read.
struct CompiledRoutes {
  private(set) var routes: [RouteEntry] = [RouteEntry(kind: .none, port: -1, sealing: -1, nextHop: .unspecifiedIPv6)]
  private(set) var ports: [PortEntry] = []
  private(set) var peers: [PeerEntry] = []
  /// For each of the plan's client pools, the place in `peers` of each slot's client, or -1.
  private(set) var clientPeers: [[Int32]] = []
  private var sealingPlans: [GatewayPlan.Sealing] = []
  private var peerRanges: [(first: Int, count: Int)] = []
  private var routed: [IPPrefix: UInt16] = [:]
  private let plan: GatewayPlan

  struct Entry {
    var prefix: IPPrefix
    var entry: PrefixEntry
  }

  init(plan: GatewayPlan, ports livePorts: [LivePort]) {
    self.plan = plan
    for (index, port) in plan.ports.enumerated() {
      let live = livePorts[index]
      for address in live.addresses(of: port) {
        // On a clear port the connected network is reached directly; on a protected one nothing is but through a peer.
        if port.role == .clear, !address.address.isLinkLocal {
          add(address.network, RouteEntry(kind: .connected, port: Int16(index), sealing: -1, nextHop: .unspecifiedIPv6))
        }
      }
    }
    for route in plan.routes {
      switch route.action {
      case .seal(let sealing):
        let kind: RouteEntry.Kind = sealing.group == plan.connection?.group ? .connection : .seal
        add(route.prefix.network, RouteEntry(kind: kind, port: -1, sealing: add(sealing), nextHop: .unspecifiedIPv6))
      case .forward(let port, let via):
        add(route.prefix.network, RouteEntry(kind: .via, port: Int16(port), sealing: -1, nextHop: via))
      case .bypass(let port, let via):
        add(
          route.prefix.network,
          RouteEntry(kind: .bypass, port: Int16(port), sealing: -1, nextHop: via ?? .unspecifiedIPv6))
      case .drop:
        add(route.prefix.network, RouteEntry(kind: .deny, port: -1, sealing: -1, nextHop: .unspecifiedIPv6))
      }
    }
    for pool in plan.clientPools {
      var sealing = pool.sealing
      (sealing.group, sealing.context, sealing.peers) = (pool.group, .connection, [])
      add(
        pool.prefix.network,
        RouteEntry(kind: .clients, port: -1, sealing: add(sealing), nextHop: .unspecifiedIPv6))
    }
    for (index, live) in livePorts.enumerated() {
      for address in live.addresses(of: plan.ports[index]) {
        add(
          IPPrefix(host: address.address),
          RouteEntry(kind: .own, port: Int16(index), sealing: -1, nextHop: .unspecifiedIPv6))
      }
      for shared in plan.ports[index].shared {
        add(
          IPPrefix(host: shared.address),
          RouteEntry(kind: .own, port: Int16(index), sealing: -1, nextHop: .unspecifiedIPv6))
      }
    }
    for (index, port) in plan.ports.enumerated() {
      let live = livePorts[index]
      let frames = plan.frames[index]
      ports.append(
        PortEntry(
          dpdkPort: live.dpdkPort, mac: live.mac, mtu: port.mtu, vlan: port.vlan ?? PortEntry.untagged,
          isProtected: port.role == .protected, isCapture: port.isCapture, mode: port.mode,
          pair: Int16(port.pair ?? -1),
          udpPort: port.udpPort, defaultGroup: Int16(port.defaultGroup ?? -1),
          frameSealing: frames.map { add($0) } ?? -1,
          frameGroup: Int16(frames?.group ?? -1), takesBFD: plan.bfd.sessions.contains { $0.port == index }))
    }
    for sealing in sealingPlans {
      peerRanges.append((peers.count, sealing.peers.count))
      for peer in sealing.peers {
        peers.append(Self.entry(plan.peers[peer], place: peer, plan: plan, ports: livePorts))
      }
    }
    for pool in plan.clientPools {
      var places = [Int32](repeating: -1, count: Int(pool.clients.keys.max() ?? 0) + 1)
      for (slot, client) in pool.clients {
        places[Int(slot)] = Int32(peers.count)
        // Clients are not counted one by one.
        peers.append(Self.entry(client, place: Counters.maxPeers, plan: plan, ports: livePorts))
      }
      clientPeers.append(places)
    }
  }

  private mutating func add(_ prefix: IPPrefix, _ route: RouteEntry) {
    routed[prefix] = UInt16(routes.count)
    routes.append(route)
  }

  private mutating func add(_ sealing: GatewayPlan.Sealing) -> Int16 {
    sealingPlans.append(sealing)
    return Int16(sealingPlans.count - 1)
  }

  /// In the order of the header lengths that the key side gives (see `Snapshot`).
  var sealingOrder: [GatewayPlan.Sealing] { sealingPlans }

  func sealings(headerLengths: [Int]) -> [SealingEntry] {
    sealingPlans.enumerated().map { index, sealing in
      let dscp: UInt8
      switch sealing.dscp {
      case .copy: dscp = SealingEntry.copyDSCP
      case .fixed(let value): dscp = value & 63
      }
      return SealingEntry(
        group: sealing.group, mode: sealing.mode, carriage: sealing.carriage,
        udpPort: sealing.udpPort, suite: sealing.suite, context: sealing.context,
        coffset: sealing.coffset, ioffset: sealing.ioffset, dscp: dscp, headerLength: headerLengths[index],
        firstPeer: peerRanges[index].first, peerCount: peerRanges[index].count, spread: sealing.spread,
        source: plan.connection?.address ?? .unspecifiedIPv6)
    }
  }

  private static func entry(_ peer: GatewayPlan.Peer, place: Int, plan: GatewayPlan, ports: [LivePort]) -> PeerEntry {
    let port = plan.ports[peer.port]
    let isIPv4 = peer.address.isIPv4
    let nextProtocol = peer.carriage == .udp ? IPProtocol.udp : IPProtocol.statelessEESP
    var bytes: [UInt8] = []
    bytes += MACAddress.zero.octets + ports[peer.port].mac.octets
    if let vlan = port.vlan { bytes += [0x81, 0x00, UInt8(vlan >> 8), UInt8(vlan & 0xFF)] }
    let etherType = isIPv4 ? EtherType.ipv4 : EtherType.ipv6
    bytes += [UInt8(etherType >> 8), UInt8(etherType & 0xFF)]
    let etherLength = bytes.count
    if isIPv4 {
      bytes += [0x45, 0, 0, 0, 0, 0, 0, 0, outerHopLimit, nextProtocol, 0, 0]
      bytes += peer.source.octets[12...] + peer.address.octets[12...]
    } else {
      bytes += [0x60, 0, 0, 0, 0, 0, nextProtocol, outerHopLimit] + peer.source.octets + peer.address.octets
    }
    if peer.carriage == .udp {
      // The UDP checksum stays 0, over IPv6 too (wire format, section 6).
      bytes += [0, 0, UInt8(peer.udpPort >> 8), UInt8(peer.udpPort & 0xFF), 0, 0, 0, 0]
    }
    var template = InlineArray<80, UInt8>(repeating: 0)
    for (index, byte) in bytes.enumerated() { template[index] = byte }
    return PeerEntry(
      template: template, templateLength: bytes.count, port: UInt16(peer.port), isIPv4: isIPv4, carriage: peer.carriage,
      nextHop: peer.nextHop, source: peer.source, etherLength: etherLength, place: place, mtu: Int(port.mtu),
      checksumBase: isIPv4 ? Checksum.sum(bytes[(etherLength + 8)..<(etherLength + 20)].span.bytes) : 0)
  }

  /// Wire format, section 6.
  private static let outerHopLimit: UInt8 = 64

  /// Every prefix of the routes, the permissions and the proxy's policies once, each with the longest route and all that
  /// cover it.
  func merged(groupCount: Int) -> (entries: [Entry], speakers: [UInt64], speakerWords: Int) {
    let permissions = plan.policies.map { ($0.group, $0.speaks) } + plan.proxyPrefixes(groupCount: groupCount)
    let words = max(1, (groupCount + 2 * plan.proxies.count + 63) / 64)
    var permitted: [IPPrefix: [UInt64]] = [:]
    for (bit, prefixes) in permissions {
      for prefix in prefixes {
        permitted[prefix.network, default: Array(repeating: 0, count: words)][bit / 64] |= 1 << UInt64(bit % 64)
      }
    }
    var classes: [[UInt64]: UInt16] = [Array(repeating: 0, count: words): 0]
    var speakers = [UInt64](repeating: 0, count: words)
    var entries: [Entry] = []
    for prefix in Set(routed.keys).union(permitted.keys) {
      var route: UInt16 = 0
      var groups = [UInt64](repeating: 0, count: words)
      for length in (0...prefix.length).reversed() {
        guard let covering = IPPrefix(address: prefix.address, length: length)?.network else { continue }
        if route == 0, let found = routed[covering] { route = found }
        if let found = permitted[covering] { for word in 0..<words { groups[word] |= found[word] } }
      }
      let speakerClass =
        classes[groups]
        ?? {
          let new = UInt16(classes.count)
          classes[groups] = new
          speakers += groups
          return new
        }()
      entries.append(Entry(prefix: prefix, entry: PrefixEntry(route: route, speakers: speakerClass)))
    }
    return (entries, speakers, words)
  }
}

extension MACAddress {
  var octets: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * $0)) } }
}
