import DataPlane
import Foundation
import Glibc
import KeyAgent

/// A gateway outside the trust group, with data keys of one connection and no root key, before a pool of three members.
struct ClientScenario: DemoScenario {
  static let drawing = """
                                          router       pool 203.0.113.1       router
          outside          client        upstream       ┌──────────┐           core
      ┌─────────────┐  ┌─────────────┐  ┌─────────┐   ╔═╡ member 1 ├─┐     ┌───────────┐    server 1
      │ has the     │  │ keys of one │  │ spreads │   ║ ├──────────┤ │     │ spreads   │  ┌──────────┐
      │ connection's├──┤ connection, ╞══╡ by UDP  ╞═══╬═╡ member 2 ├─┼─────┤ by flow   ├──┤ 10.2.1.2 │
      │ address     │  │ no root key │  │ source  │   ║ ├──────────┤ │     │           │  └──────────┘
      └─────────────┘  └─────────────┘  │ port    │   ╚═╡ member 3 ├─┘     └───────────┘
                        ═══ encrypted   └─────────┘     └──────────┘
    """
  static let making = "making a client, a server, two routers and four gateways' machines in namespaces"

  private static let controller = LabControllers.Controller(
    name: "region", rootKey: "region1", level: "trust-region", epochPeriod: epochPeriod, firstDeviceID: "00002a00",
    servesClients: true)
  /// The shortest that there is.
  private static let epochPeriod = 60
  private static let prefix = "10.128.0.0/9"
  private static let downloadRate = 16_000_000

  let options: Demo
  let stage: PoolStage
  let controllers: LabControllers
  /// Answers that came before the client had the members' epoch.
  private var early = 0
  private var pool: PoolLab { stage.pool }
  private var bench: DemoBench { stage.bench }

  init(_ options: Demo, _ narrator: Narrator) throws(LabError) {
    self.options = options
    let pool = try PoolLab(members: 3, servers: 1, clients: Self.prefix, inside: (client: nil, gateway: "10.1.0.1/24"))
    stage = try PoolStage(pool, narrator)
    narrator.say("a controller enrols three members of a pool, and lists the client")
    controllers = try LabControllers(
      [Self.controller], gateways: [PoolLab.gateway] + pool.members.map(\.name), in: pool.lab)
    try controllers.issue("client/one", "one")
    for member in pool.members { try controllers.enrol(member.name, at: [Self.controller.name], pool: PoolLab.group) }
    let listed = try controllers.administer([
      "clients", "add", "--certificate", "\(Lab.directory)/one.pem", "--pool", PoolLab.group, "--address",
      PoolLab.gatewayAddress,
    ])
    guard listed.succeeded else { throw .failed("the client cannot be listed:\n\(listed.account)") }
  }

  mutating func play(_ report: inout DemoReport) throws(LabError) {
    for member in pool.members { try configure(member) }
    try stage.gateway.configure(clientText, in: pool.lab)
    try bench.start(stage.members)
    for member in stage.members { try member.awaitKeys() }
    try bench.start([stage.gateway])
    try pool.spread(over: pool.members)
    try takeAddress()
    report.runs.append(try servedRun())
    report.runs.append(try lossRun())
    if let file = options.capture { try bench.keep(pool.capture(of: PoolLab.gateway), as: file) }
  }

  mutating func stayUp() throws(LabError) -> [String] {
    try controllers.start()
    try bench.start(stage.members)
    for member in stage.members { try member.awaitKeys() }
    try bench.start([stage.gateway])
    try pool.spread(over: pool.members)
    try takeAddress()
    return [
      "ip netns exec client ping 10.2.1.2",
      "ip netns exec client curl -o /dev/null http://10.2.1.2/\(DemoFile.name)",
      "\(Sandbox.program) status --socket \(stage.gateway.socket)",
      "\(Sandbox.program) clients list --config \(LabControllers.administrator)",
      "cat \(stage.gateway.configuration) \(stage.members[0].configuration)",
    ]
  }

  private func serviceAddress(_ member: PoolLab.Member) -> String {
    LabControllers.managementAddress(member.number) + ":8450"
  }

  private func configure(_ member: PoolLab.Member) throws(LabError) {
    let keys = controllers.keyAgent(
      of: member.name, groups: [.init(name: PoolLab.group, controllers: [Self.controller.name])])
    let clients = """
        clients:
          listen: "\(serviceAddress(member))"
          trust_group: \(PoolLab.group)
          prefix: \(Self.prefix)
          members: [\(PoolLab.address)]
          via: \(member.upstream)
      """
    var text = pool.text(of: member, keys: keys + "\n" + clients)
    text.groups = ["{ name: \(PoolLab.group), may_speak: [192.0.2.0/24] }"]
    try stage.members[member.number - 1].configure(text, in: pool.lab)
  }

  /// What the client's gateway is configured with: where the pool serves, and no key.
  private var clientText: LabGateway.Text {
    let members = pool.members.map { member in
      "    - { name: \(member.name), url: \"https://\(serviceAddress(member))\", "
        + "id: \"spiffe://\(LabControllers.domain)/dpu/\(member.name)\" }"
    }
    return pool.gatewayText(
      keys: """
        connection:
          trust_group: \(PoolLab.group)
          certificate: one.pem
          key: one.key
          authority: ca/ca.pem
          port: clear
          pool:
        \(members.joined(separator: "\n"))
        """, spread: "packet")
  }

  /// Waits for the connection and gives the host its inner address.
  private func takeAddress() throws(LabError) {
    let start = Clock.seconds
    while Clock.seconds - start < 20 {
      if let connection = stage.gateway.connection, let id = connection.id, let address = connection.address {
        bench.narrator.say("connection \(id) from \(connection.member ?? "the pool"), inner address \(address)")
        return try pool.lab.shell(
          """
          ip -n \(PoolLab.client) address replace \(address)/32 dev eth0
          ip -n \(PoolLab.client) route replace default via 10.1.0.1 dev eth0 onlink src \(address)
          """)
      }
      usleep(20_000)
    }
    throw .failed("the pool gave the client no connection; its last lines:\n\(stage.gateway.lastLines)")
  }

  private mutating func servedRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "Opened by every member, answered by any", sizes: .usual)
    run.checks.append(try stage.share("one flow to the pool", of: \.opened, returning: false, PoolScenario.isEven))
    let (epoch, second) = Int(Date().timeIntervalSince1970).quotientAndRemainder(dividingBy: Self.epochPeriod)
    let ahead = try stage.members.map { member throws(LabError) in
      Int(try member.answer().groups.first?.sealEpoch ?? 0)
    }
    if ahead.contains(where: { $0 > epoch }), second < Self.epochPeriod * 3 / 4 {
      bench.narrator.say(
        "new members seal one epoch ahead; clients get those keys in an epoch's last quarter, "
          + "in \(Self.epochPeriod * 3 / 4 - second) s")
    }
    try bench.awaitPath(to: pool.servers[0].address, through: stage.living, tries: Self.epochPeriod + 10)
    early = Int(try stage.gateway.answer().drops["unknown-key"] ?? 0)
    run.checks.append(
      // Some flow goes to each: 32 that all miss one of three do not happen.
      try stage.share("32 flows there and back", of: \.sealed, flows: 32) { shares in shares.allSatisfy { $0 > 0 } })
    run.checks.append(try bench.names(count: 10, from: pool.servers[0].address))
    run.checks.append(try bench.ping("ping, 1400 octets, DF", pool.servers[0].address, size: 1400))
    run.checks.append(try bench.download("download with curl", from: pool.servers[0].address))
    return run
  }

  /// The member that gave the keys dies during a download; the connection is renewed at another.
  private func lossRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "The member that gave the keys is killed, during a download", sizes: .usual)
    bench.narrator.say(
      "download at \(Figures.rate(Double(Self.downloadRate * 8))) and 500 numbered datagrams a second, of 8 flows")
    try bench.limitWindow()
    let download = try bench.startDownload(from: pool.servers[0].address, rate: Self.downloadRate)
    let numbers = try bench.startNumbers(to: [pool.servers[0].address], flows: 8)
    usleep(1_500_000)
    let before = stage.gateway.connection
    let victim = pool.members.first { $0.name == before?.member } ?? pool.members[0]
    let outage = try stage.kill(victim, leaving: pool.members.filter { $0.number != victim.number })
    let underWay = download.child.isRunning
    run.checks.append(
      DemoCheck(
        name: "\(victim.name) killed, SIGKILL", sent: "gave the keys", arrived: "out of both routers",
        rate: outage.length, passed: true))
    run.checks.append(try bench.finishDownload("download meanwhile", download, underWay: underWay))
    run.checks.append(try renewal(of: before, since: outage.died))
    try stage.judge(&run, outage, try bench.finishNumbers(numbers), early: early)
    controllers.stop()
    try stage.search(&run, from: before?.address ?? "")
    return run
  }

  /// The same connection with keys from another member, which comes a quarter of an epoch after the last.
  private func renewal(of old: ConnectionStatus?, since start: Double) throws(LabError) -> DemoCheck {
    bench.narrator.say("the client renews its connection every quarter of an epoch, \(Self.epochPeriod / 4) s")
    var new = stage.gateway.connection
    while Clock.seconds - start < Double(Self.epochPeriod / 4 + 10), new?.member == old?.member {
      usleep(50_000)
      new = stage.gateway.connection
    }
    let isSame = old?.id != nil && new?.id == old?.id && new?.address == old?.address
    return DemoCheck(
      name: "connection renewed", sent: "keys from \(old?.member ?? "nobody")",
      arrived: "\(isSame ? "the same" : "another"), from \(new?.member ?? "nobody")",
      rate: "\(Figures.fixed(Clock.seconds - start, 1)) s", passed: isSame && new?.member != old?.member)
  }
}
