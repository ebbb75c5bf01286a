internal import CDPDK
internal import Keys
internal import Wire

/// What a running gateway tells about itself: plain values, no key octets.
package struct GatewayStatus: Sendable, Codable {
  package struct Port: Sendable, Codable {
    package var name, device, role, mode, driver, mac: String
    package var mtu: Int
    package var link: Bool
    package var received, sent, missed, errors: UInt64
  }
  package struct Lcore: Sendable, Codable {
    package var lcore: Int
    package var received, sent, sealed, opened, dropped: UInt64
    /// Share of rounds that found nothing, 0 to 1.
    package var idle: Double
  }
  package struct Totals: Sendable, Codable {
    /// in = out + drops whenever nothing is under way; what the gateway makes itself is counted apart.
    package var `in`, out, drops: UInt64
    package var generated, generatedOut, generatedDrops: UInt64
    package var sealed, opened: UInt64

    enum CodingKeys: String, CodingKey {
      case `in`, out, drops, generated, sealed, opened
      case generatedOut = "generated_out"
      case generatedDrops = "generated_drops"
    }
  }
  package struct Peer: Sendable, Codable {
    package var name, address, port, carriage: String
    package var resolved: Bool
    package var mac: String?
    package var sealed: UInt64
  }
  package struct RootKey: Sendable, Codable {
    package var level, id: String
    package var previous: UInt64?
    package var current: UInt64
    package var next: UInt64?
  }
  package struct Group: Sendable, Codable {
    package var name: String
    package var `default`: Bool
    /// Seconds.
    package var epochPeriod: Int
    /// Packets that replay protection looks back; 0 is without.
    package var replayWindow: Int
    /// Not reduced; nothing while none may be used.
    package var sealEpoch, openEpoch: UInt64?
    package var opened: UInt64
    package var rootKeys: [RootKey]

    enum CodingKeys: String, CodingKey {
      case name, `default`, opened
      case epochPeriod = "epoch_period"
      case replayWindow = "replay_window"
      case sealEpoch = "seal_epoch"
      case openEpoch = "open_epoch"
      case rootKeys = "root_keys"
    }
  }
  /// A policy of the proxy.
  package struct Proxy: Sendable, Codable {
    package var from, to: String
    /// Inner prefixes; empty: any.
    package var sources, destinations: [String]
    /// Packets that it let through.
    package var packets: UInt64
  }
  package struct Neighbour: Sendable, Codable {
    package var port, address: String
    package var mac: String?
    package var state: String
    /// Seconds.
    package var age: UInt64
  }
  package struct BFD: Sendable, Codable {
    package struct Session: Sendable, Codable {
      package var port, neighbour, local: String
      package var state, diagnostic: String
      /// Nothing while the neighbour is not heard.
      package var remoteState: String?
      package var localDiscriminator, remoteDiscriminator: UInt32
      /// Milliseconds.
      package var interval: Double
      package var detection: Double?
      package var multiplier: UInt8
      /// Seconds in this state.
      package var age: UInt64
      package var flaps: UInt64
      package var lastFailure: String?
      package var received, sent: UInt64

      enum CodingKeys: String, CodingKey {
        case port, neighbour, local, state, diagnostic, interval, detection, multiplier, age, flaps, received, sent
        case remoteState = "remote_state"
        case localDiscriminator = "local_discriminator"
        case remoteDiscriminator = "remote_discriminator"
        case lastFailure = "last_failure"
      }
    }
    /// Why neighbours are told to send elsewhere.
    package var hold: String?
    package var sessions: [Session]
  }
  /// An address that a pool's members share.
  package struct Shared: Sendable, Codable {
    package var port, address: String
    package var active: Bool
  }
  package struct Counter: Sendable, Codable {
    package var sealing: Bool
    package var start: String?
    package var reason: String?
  }
  package struct Capture: Sendable, Codable {
    package var file: String
    package var packets, dropped: Int
  }
  package struct Cache: Sendable, Codable {
    package var entries, capacity, hits, misses: UInt64
  }

  /// Of a gateway that was started with replay windows.
  package struct Replay: Sendable, Codable {
    /// Windows that are in use and that there are.
    package var windows, capacity: Int
    /// Packets that a group's window can look back; octets of the whole table.
    package var largestWindow, octets: Int
    /// Packets that were opened without a window: the table was full, or a client had four of its connection.
    package var untracked, untrackedClient: UInt64

    enum CodingKeys: String, CodingKey {
      case windows, capacity, octets, untracked
      case largestWindow = "largest_window"
      case untrackedClient = "untracked_client"
    }
  }

  package var name: String
  package var version = GatewayVersion.text
  package var uptime: UInt64
  package var engine: String
  package var ports: [Port]
  package var lcores: [Lcore]
  package var totals: Totals
  /// By reason; those that never happened are left out.
  package var drops: [String: UInt64]
  package var peers: [Peer]
  package var groups: [Group]
  package var proxies: [Proxy]
  package var neighbours: [Neighbour]
  package var bfd: BFD?
  package var shared: [Shared]?
  package var counter: Counter
  package var capture: Capture?
  package var cache: Cache
  package var replay: Replay?
  package var warnings: [String]
}

extension Gateway {
  var status: GatewayStatus {
    let (plan, snapshot) = snapshotForStatus
    let all = lcoreCounters + [slowPathCounters]
    func sum(_ kind: Counters.Kind) -> UInt64 { all.reduce(0) { $0 + $1.value(kind) } }
    var drops: [String: UInt64] = [:]
    var dropped: UInt64 = 0
    for reason in DropReason.allCases {
      let count = all.reduce(0) { $0 + $1.value(reason) }
      dropped += count
      if count > 0 { drops[reason.name] = count }
    }
    let entries = slowPath.entries()
    var warnings: [String] = []
    if let problem = keeper?.problem { warnings.append(problem.description) }
    let health = slowPath.health()
    for lcore in health.stalled { warnings.append("lcore \(lcore) makes no rounds: it forwards nothing") }
    return GatewayStatus(
      name: plan.name, uptime: NodeSystem.clock() - startedAt, engine: Engine.name, ports: portStatus(plan),
      lcores: lcoreCounters.enumerated().map { number, counters in
        let busy = counters.value(.busy)
        let idle = counters.value(.idle)
        return GatewayStatus.Lcore(
          lcore: number, received: counters.value(.received), sent: counters.value(.sent),
          sealed: counters.value(.sealed),
          opened: counters.value(.opened), dropped: DropReason.allCases.reduce(0) { $0 + counters.value($1) },
          idle: idle + busy == 0 ? 1 : Double(idle) / Double(idle + busy))
      },
      totals: GatewayStatus.Totals(
        in: sum(.received), out: sum(.sent), drops: dropped, generated: sum(.generated),
        generatedOut: sum(.generatedSent), generatedDrops: sum(.generatedDropped), sealed: sum(.sealed),
        opened: sum(.opened)),
      drops: drops, peers: peerStatus(plan, entries), groups: groupStatus(plan, snapshot),
      proxies: proxyStatus(plan, snapshot),
      neighbours: entries.map { entry in
        GatewayStatus.Neighbour(
          port: plan.ports[Int(entry.key.port)].name, address: "\(entry.key.address)", mac: entry.mac.map { "\($0)" },
          state: "\(entry.state)", age: entry.age / 1_000_000_000)
      },
      bfd: health.sessions.isEmpty ? nil : bfdStatus(plan, health),
      shared: health.shared.isEmpty
        ? nil
        : health.shared.map {
          GatewayStatus.Shared(
            port: plan.ports[Int($0.key.port)].name, address: "\($0.key.address)", active: $0.isActive)
        },
      counter: GatewayStatus.Counter(
        sealing: keeper.map { $0.problem == nil && $0.clockProblem() == nil } ?? false,
        start: settings.time.isConnection ? nil : keeper?.start.description,
        reason: keeper?.problem?.description ?? keeper?.clockProblem()?.description),
      capture: capture.map { GatewayStatus.Capture(file: $0.path, packets: $0.packetCount, dropped: $0.missedCount) },
      cache: GatewayStatus.Cache(
        entries: sum(.cacheEntries), capacity: sum(.cacheCapacity), hits: sum(.cacheHits), misses: sum(.cacheMisses)),
      replay: replayStatus(snapshot, untracked: sum(.replayTableFull), client: sum(.replayConnectionFull)),
      warnings: warnings)
  }

  private func replayStatus(_ snapshot: Snapshot, untracked: UInt64, client: UInt64) -> GatewayStatus.Replay? {
    guard let table = replayTable else { return nil }
    // For the group with the longest period, whose senders can take the fewest places over.
    let period = UInt32(snapshot.keys.groups.map(\.epochPeriod).max() ?? 600)
    let epoch = keeper?.board.openEpoch(period: period) ?? Epoch.number(at: NodeSystem.clock(), period: period)
    return GatewayStatus.Replay(
      windows: table.count(inUseAt: (max(epoch, 1) - 1) * UInt64(period)), capacity: table.shape.capacity,
      largestWindow: table.shape.largestWindow, octets: table.shape.octets, untracked: untracked,
      untrackedClient: client)
  }

  private func portStatus(_ plan: GatewayPlan) -> [GatewayStatus.Port] {
    zip(plan.ports, ports).enumerated().map { index, pair in
      let statistics = pair.1.statistics
      return GatewayStatus.Port(
        name: pair.0.name, device: pair.0.device, role: pair.0.role == .clear ? "clear" : "protected",
        mode: "\(pair.0.mode)", driver: pair.1.driver, mac: "\(pair.1.mac)", mtu: Int(pair.0.mtu),
        link: pair.1.isUp, received: lcoreCounters.reduce(0) { $0 + $1.received(onPort: index) },
        sent: lcoreCounters.reduce(0) { $0 + $1.sent(onPort: index) }, missed: statistics.imissed,
        errors: statistics.ierrors + statistics.oerrors + statistics.rx_nombuf)
    }
  }

  private func peerStatus(_ plan: GatewayPlan, _ entries: [NeighbourStatus]) -> [GatewayStatus.Peer] {
    plan.peers.enumerated().map { index, peer in
      let entry = entries.first { $0.key == NeighbourKey(port: UInt16(peer.port), address: peer.nextHop) }
      return GatewayStatus.Peer(
        name: peer.name, address: "\(peer.address)", port: plan.ports[peer.port].name, carriage: "\(peer.carriage)",
        resolved: entry?.mac != nil, mac: entry?.mac.map { "\($0)" },
        sealed: lcoreCounters.reduce(0) { $0 + $1.sealed(toPeer: index) })
    }
  }

  private func bfdStatus(_ plan: GatewayPlan, _ health: SlowPathThread.Health) -> GatewayStatus.BFD {
    func milliseconds(_ time: UInt64) -> Double { Double(time / 1000) / 1000 }
    return GatewayStatus.BFD(
      hold: health.hold.map { hold in
        switch hold {
        case .leaving: "the gateway is going to stop"
        case .stalled(let lcores): "no rounds of lcore " + lcores.map(String.init).joined(separator: ", ")
        case .noLink(let ports): "no link on " + ports.map { plan.ports[$0].name }.joined(separator: ", ")
        case .noKeys: "no trust group to seal and open in"
        }
      },
      sessions: health.sessions.map { session in
        GatewayStatus.BFD.Session(
          port: plan.ports[Int(session.key.port)].name, neighbour: "\(session.key.address)", local: "\(session.local)",
          state: "\(session.state)", diagnostic: "\(session.diagnostic)",
          remoteState: session.remoteState.map { "\($0)" }, localDiscriminator: session.localDiscriminator,
          remoteDiscriminator: session.remoteDiscriminator, interval: milliseconds(session.transmitInterval),
          detection: session.detectionTime.map(milliseconds), multiplier: session.multiplier,
          age: session.age / 1_000_000_000, flaps: session.flaps, lastFailure: session.lastFailure.map { "\($0)" },
          received: session.received, sent: session.sent)
      })
  }

  private func proxyStatus(_ plan: GatewayPlan, _ snapshot: Snapshot) -> [GatewayStatus.Proxy] {
    let names = snapshot.keys.groups.map(\.name)
    return plan.proxies.enumerated().map { index, policy in
      GatewayStatus.Proxy(
        from: names[policy.from], to: names[policy.to], sources: policy.sources.map(\.description),
        destinations: policy.destinations.map(\.description),
        packets: lcoreCounters.reduce(0) { $0 + $1.proxied(underPolicy: index) })
    }
  }

  private func groupStatus(_ plan: GatewayPlan, _ snapshot: Snapshot) -> [GatewayStatus.Group] {
    snapshot.keys.groups.enumerated().map { index, group in
      GatewayStatus.Group(
        name: group.name, default: group.isDefault, epochPeriod: group.epochPeriod,
        replayWindow: plan.policies.first { $0.group == index }?.replayWindow ?? 0,
        sealEpoch: keeper?.board.sealEpoch(period: UInt32(group.epochPeriod)),
        openEpoch: keeper?.board.openEpoch(period: UInt32(group.epochPeriod)),
        opened: lcoreCounters.reduce(0) { $0 + $1.opened(inGroup: index) },
        rootKeys: group.rootKeys.map {
          GatewayStatus.RootKey(
            level: "\($0.level)", id: $0.id.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(),
            previous: $0.previous?.index, current: $0.current.index, next: $0.next?.index)
        })
    }
  }
}

/// The one place where the version stands.
package enum GatewayVersion {
  package static let text = "0.1.0"
}
