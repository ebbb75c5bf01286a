import DataPlane
import Foundation
import Glibc

/// A pool: three members and one that joins, two servers, one gateway that spreads packet by packet.
struct PoolScenario: DemoScenario {
  static let drawing = """
                                     router       pool 203.0.113.1       router        ┌──────────┐
         client       gateway       upstream       ┌──────────┐           core       ┌─┤ server 1 │
      ┌──────────┐  ┌──────────┐  ┌───────────┐  ╔═╡ member 1 ├─┐     ┌───────────┐  │ │ 10.2.1.2 │
      │ 10.1.0.2 ├──┤ 10.1.0.1 │  │ spreads   │  ║ ├──────────┤ │     │ spreads   ├──┘ └──────────┘
      └──────────┘  │          ╞══╡ by UDP    ╞══╬═╡ member 2 ├─┼─────┤ by flow   │
                    │ spreads  │  │ source    │  ║ ├──────────┤ │     │           ├──┐ ┌──────────┐
                    │ packets  │  │ port      │  ╠═╡ member 3 ├─┤     └───────────┘  │ │ server 2 │
                    └──────────┘  └───────────┘  ║ ├──────────┤ │                    └─┤ 10.2.2.2 │
                        ═══ encrypted            ╚═╡ member 4 ├─┘ joins later          └──────────┘
                                                   └──────────┘
    """
  static let making = "making a client, two servers, two routers and five gateways' machines in namespaces"

  private static let controller = LabControllers.Controller(
    name: "region", rootKey: "region1", level: "trust-region", firstDeviceID: "00000001")
  private static let downloadRate = 11_000_000

  let options: Demo
  let stage: PoolStage
  let controllers: LabControllers
  private var pool: PoolLab { stage.pool }
  private var bench: DemoBench { stage.bench }

  init(_ options: Demo, _ narrator: Narrator) throws(LabError) {
    self.options = options
    let pool = try PoolLab(
      members: 4, servers: 2, clients: "10.1.0.0/24", inside: (client: "10.1.0.2/24", gateway: "10.1.0.1/24"))
    try pool.lab.shell("ip -n \(PoolLab.client) route add default via 10.1.0.1")
    stage = try PoolStage(pool, narrator)
    narrator.say("a controller enrols the gateway and three members; they share a device ID, not a member number")
    controllers = try LabControllers(
      [Self.controller], gateways: [PoolLab.gateway] + pool.members.map(\.name), in: pool.lab)
  }

  mutating func play(_ report: inout DemoReport) throws(LabError) {
    try controllers.enrol(PoolLab.gateway, at: [Self.controller.name])
    try stage.gateway.configure(gatewayText(spread: "flow"), in: pool.lab)
    let first = Array(pool.members.prefix(3))
    for member in first { try join(member) }
    try bench.start([stage.gateway] + stage.members.prefix(3))
    for gateway in stage.living { try gateway.awaitKeys() }
    try pool.spread(over: first)
    bench.narrator.say("gateway and members are up; first packets find their neighbours")
    for server in pool.servers { try bench.awaitPath(to: server.address, through: stage.living) }
    report.runs.append(try spreadingRun())
    report.runs.append(try lossRun())
    if let file = options.capture { try bench.keep(pool.capture(of: PoolLab.gateway), as: file) }
  }

  mutating func stayUp() throws(LabError) -> [String] {
    try controllers.start()
    try bench.start([stage.gateway] + stage.members)
    try pool.spread(over: pool.members)
    return [
      "ip netns exec client ping 10.2.1.2",
      "ip netns exec client curl -o /dev/null http://10.2.2.2/\(DemoFile.name)",
      "ip -n upstream route; ip -n core route",
      "\(Sandbox.program) status --watch --socket \(stage.members[0].socket)",
      "\(Sandbox.program) members list --config \(LabControllers.administrator)",
      "cat \(stage.gateway.configuration)",
    ]
  }

  private func keys(of name: String) -> String {
    controllers.keyAgent(of: name, groups: [.init(name: PoolLab.group, controllers: [Self.controller.name])])
  }

  private func gatewayText(spread: String) -> LabGateway.Text {
    pool.gatewayText(keys: keys(of: PoolLab.gateway), spread: spread)
  }

  /// Enrols and configures a member: any machine could take its place.
  private func join(_ member: PoolLab.Member) throws(LabError) {
    try controllers.enrol(member.name, at: [Self.controller.name], pool: PoolLab.group)
    var text = pool.text(of: member, keys: keys(of: member.name))
    text.peers = ["{ name: gateway, address: \(PoolLab.gatewayAddress), via: \(member.upstream) }"]
    text.routes.append("{ to: 10.1.0.0/24, peers: [gateway], group: \(PoolLab.group) }")
    text.groups = ["{ name: \(PoolLab.group), may_speak: [10.1.0.0/24] }"]
    try stage.members[member.number - 1].configure(text, in: pool.lab)
  }

  private func spreadingRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "Three members open what reaches them", sizes: .usual)
    run.checks.append(
      try stage.share("one flow, spread: flow", of: \.opened) { shares in shares.count { $0 > 0 } == 1 })
    try stage.gateway.configure(gatewayText(spread: "packet"), in: pool.lab)
    try stage.gateway.reload(in: pool.lab)
    run.checks.append(try stage.share("one flow, spread: packet", of: \.opened, Self.isEven))
    run.checks.append(try bench.names(count: 10, from: pool.servers[0].address))
    run.checks.append(try bench.ping("ping, 1400 octets, DF", pool.servers[1].address, size: 1400))
    for server in pool.servers {
      run.checks.append(try bench.download("download from \(server.name)", from: server.address))
    }
    run.checks.append(try bench.stream("iperf3 TCP to server-1", to: pool.servers[0].address, seconds: 2))
    return run
  }

  /// A third of 600 each, and six standard deviations of what the router's hash makes of the ports.
  static func isEven(_ shares: [Int]) -> Bool { shares.count == 3 && shares.allSatisfy { abs($0 - 200) < 70 } }

  /// The member that carries the download dies, another joins; only TCP's own retransmissions mend the download.
  private func lossRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "A member killed and another added, during a download", sizes: .usual)
    let rate = Figures.rate(Double(Self.downloadRate * 8))
    bench.narrator.say("download at \(rate) and 500 numbered datagrams a second, of 8 flows, to both servers")
    try bench.limitWindow()
    let download = try bench.startDownload(from: pool.servers[0].address, rate: Self.downloadRate)
    let numbers = try bench.startNumbers(to: pool.servers.map(\.address), flows: 8)
    usleep(1_500_000)

    let victim = try stage.busiest()
    let left = pool.members.prefix(3).filter { $0.number != victim.number }
    let outage = try stage.kill(victim, leaving: left)
    run.checks.append(
      DemoCheck(
        name: "\(victim.name) killed, SIGKILL", sent: "carried the download", arrived: "out of both routers",
        rate: outage.length, passed: true))
    usleep(1_000_000)

    let asked = Clock.seconds
    let fourth = pool.members[3]
    try join(fourth)
    try bench.start([stage.members[3]])
    try stage.members[3].awaitKeys()
    try pool.spread(over: left + [fourth])
    let joining = "\(Figures.fixed(Clock.seconds - asked, 1)) s"
    bench.narrator.say("\(fourth.name) enrolled, started and in both routers after \(joining)")
    let underWay = download.child.isRunning
    usleep(1_500_000)
    run.checks.append(try bench.finishDownload("download meanwhile", download, underWay: underWay))
    let report = try bench.finishNumbers(numbers)
    let work = try stage.members[3].answer().totals
    run.checks.append(
      DemoCheck(
        name: "\(fourth.name) added", sent: "enrolled, started",
        arrived: "opened \(Figures.count(work.opened)), sealed \(Figures.count(work.sealed))", rate: joining,
        passed: work.opened > 0 && work.sealed > 0))
    try stage.judge(&run, outage, report)
    controllers.stop()
    try stage.search(&run, from: "10.1.0.2")
    return run
  }
}
