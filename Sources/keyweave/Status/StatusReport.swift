import DataPlane
import KeyAgent
import Wire

/// A gateway's status as tables for people; with an earlier one, rates too.
struct StatusReport {
  private let status: GatewayStatus
  private let keyAgent: KeyAgentStatus?
  private let connection: ConnectionStatus?
  private let before: GatewayStatus?
  private let paint: Paint

  init(_ status: ServiceStatus, before: ServiceStatus?, _ paint: Paint) {
    self.status = status.gateway
    keyAgent = status.keyAgent
    connection = status.connection
    self.before = before?.gateway
    self.paint = paint
  }

  var lines: [String] {
    [head, ports, lcores, totals, drops, peers, groups, proxies, keys, connectionLines, neighbours, bfd, shared, foot]
      .filter { !$0.isEmpty }
      .flatMap { [""] + $0 }
  }

  private var head: [String] {
    let title = paint.strong(status.name)
    let text =
      "  \(title)  keyweave \(status.version), engine \(status.engine), up \(Figures.time(Double(status.uptime)))"
    return [text] + status.warnings.map { "  \(paint.doubtful("warning"))  \($0)" }
  }

  private var ports: [String] {
    var table = TextTable(
      ["port", "device", "role", "MTU", "link", "received", "sent", "missed", "errors", rateTitle],
      right: [3, 5, 6, 7, 8, 9])
    for port in status.ports {
      let old = before?.ports.first { $0.name == port.name }
      let rate = old.map { perSecond(port.received &+ port.sent, $0.received &+ $0.sent) } ?? ""
      table.add([
        port.name, port.device, port.role, "\(port.mtu)", port.link ? paint.good("up") : paint.bad("down"),
        Figures.count(port.received), Figures.count(port.sent), Figures.count(port.missed), Figures.count(port.errors),
        rate,
      ])
    }
    return table.lines
  }

  private var lcores: [String] {
    var table = TextTable(
      ["lcore", "received", "sent", "sealed", "opened", "dropped", "idle"], right: [0, 1, 2, 3, 4, 5, 6])
    for lcore in status.lcores {
      table.add([
        "\(lcore.lcore)", Figures.count(lcore.received), Figures.count(lcore.sent), Figures.count(lcore.sealed),
        Figures.count(lcore.opened), Figures.count(lcore.dropped),
        Figures.fixed(lcore.idle * 100, 0) + " %",
      ])
    }
    return table.lines
  }

  private var totals: [String] {
    let totals = status.totals
    let sum = "\(Figures.count(totals.in)) in, \(Figures.count(totals.out)) out, \(Figures.count(totals.drops)) dropped"
    // Between two reads of its counters a busy gateway has packets under way.
    let balance = totals.balances ? "all accounted for" : "some under way"
    var text = "  packets  \(sum) (\(balance))"
    if totals.generated > 0 { text += "; \(Figures.count(totals.generated)) made by the gateway" }
    return [text]
  }

  private var drops: [String] {
    var table = TextTable(["dropped", "reason", "what it means"], right: [0], wrapAt: 100)
    for drop in status.drops.filter({ $0.value > 0 }).sorted(by: { ($0.value, $1.key) > ($1.value, $0.key) }) {
      let reason = DropReason.allCases.first { $0.name == drop.key }
      table.add([Figures.count(drop.value), drop.key, reason?.explanation ?? ""])
    }
    return table.isEmpty ? [] : table.lines
  }

  private var peers: [String] {
    var table = TextTable(["peer", "address", "port", "carriage", "next hop", "sealed"], right: [5])
    for peer in status.peers {
      table.add([
        peer.name, peer.address, peer.port, peer.carriage,
        peer.resolved ? peer.mac ?? "resolved" : paint.doubtful("unresolved"), Figures.count(peer.sealed),
      ])
    }
    return table.isEmpty ? [] : table.lines
  }

  private var groups: [String] {
    var table = TextTable(
      ["trust group", "root key", "id", "previous", "current", "next", "epoch", "period"], right: [3, 4, 5, 6, 7])
    for group in status.groups {
      for (index, key) in group.rootKeys.enumerated() {
        table.add([
          index == 0 ? group.name + (group.default ? " (default)" : "") : "", key.level,
          String(key.id.prefix(12)) + (key.id.count > 12 ? "…" : ""), key.previous.map { "\($0)" } ?? "",
          "\(key.current)", key.next.map { "\($0)" } ?? "",
          index == 0 ? (group.sealEpoch ?? group.openEpoch).map { "\($0)" } ?? "" : "",
          index == 0 ? "\(group.epochPeriod) s" : "",
        ])
      }
    }
    return table.isEmpty ? [] : table.lines
  }

  private var proxies: [String] {
    var table = TextTable(["proxied from", "into", "sources", "destinations", "packets", rateTitle], right: [4, 5])
    for (index, policy) in status.proxies.enumerated() {
      let old = before.flatMap { $0.proxies.indices.contains(index) ? $0.proxies[index] : nil }
      table.add([
        policy.from, policy.to, policy.sources.isEmpty ? "any" : policy.sources.joined(separator: ", "),
        policy.destinations.isEmpty ? "any" : policy.destinations.joined(separator: ", "),
        Figures.count(policy.packets), old.map { perSecond(policy.packets, $0.packets) } ?? "",
      ])
    }
    return table.isEmpty ? [] : table.lines
  }

  private var keys: [String] { keyAgent.map { KeyAgentReport(status: $0, paint: paint).lines } ?? [] }

  private var connectionLines: [String] { connection.map { ConnectionReport(status: $0, paint: paint).lines } ?? [] }

  private var neighbours: [String] {
    var table = TextTable(["neighbour", "port", "MAC", "state", "age"], right: [4])
    for neighbour in status.neighbours {
      table.add([
        neighbour.address, neighbour.port, neighbour.mac ?? "", neighbour.state, Figures.time(Double(neighbour.age)),
      ])
    }
    return table.isEmpty ? [] : table.lines
  }

  private var bfd: [String] {
    guard let bfd = status.bfd else { return [] }
    var table = TextTable(
      ["BFD", "port", "state", "remote", "interval", "detection", "since", "flaps", "last failure"],
      right: [4, 5, 6, 7],
      wrapAt: 100)
    for session in bfd.sessions {
      table.add([
        session.neighbour, session.port, session.state == "Up" ? paint.good("Up") : paint.bad(session.state),
        session.remoteState ?? "silent", milliseconds(session.interval), session.detection.map(milliseconds) ?? "",
        Figures.time(Double(session.age)), "\(session.flaps)", session.lastFailure ?? "",
      ])
    }
    return (bfd.hold.map { ["  \(paint.bad("held"))       BFD tells neighbours to send elsewhere: \($0)"] } ?? [])
      + table.lines
  }

  private func milliseconds(_ time: Double) -> String { Figures.fixed(time, time < 10 ? 1 : 0) + " ms" }

  private var shared: [String] {
    (status.shared ?? []).map { address in
      let state = address.active ? paint.good("answered for here") : "left to the members before"
      return "  shared     \(address.address) on \(address.port): \(state)"
    }
  }

  private var foot: [String] {
    var lines: [String] = []
    let counter = status.counter
    let state = counter.sealing ? paint.good("sealing") : paint.bad("not sealing")
    lines.append("  counter    \(([state, counter.reason, counter.start].compactMap { $0 }).joined(separator: "; "))")
    let cache = status.cache
    let all = cache.hits &+ cache.misses
    let share =
      all == 0 ? "" : ", \(Figures.fixed(Double(cache.hits) / Double(all) * 100, 1)) % of packets found theirs"
    lines.append("  data keys  \(Figures.count(cache.entries)) of \(Figures.count(cache.capacity)) cached\(share)")
    if let replay = status.replay {
      let untracked = replay.untracked &+ replay.untrackedClient
      let without = untracked == 0 ? "" : "; \(Figures.count(untracked)) packets had none"
      lines.append(
        "  replay     \(Figures.count(replay.windows)) of \(Figures.count(replay.capacity)) windows in use\(without)")
    }
    if let capture = status.capture {
      let missed = capture.dropped > 0 ? ", \(Figures.count(capture.dropped)) not recorded" : ""
      lines.append("  capture    \(Figures.count(capture.packets)) packets in \(capture.file)\(missed)")
    }
    return lines
  }

  private var rateTitle: String { before == nil ? "" : "packets/s" }

  private func perSecond(_ now: UInt64, _ then: UInt64) -> String {
    let time = Double(status.uptime) - Double(before?.uptime ?? 0)
    guard time > 0, now >= then else { return "-" }
    return Figures.count(Int64(Double(now - then) / time))
  }
}
