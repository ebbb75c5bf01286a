import DataPlane
import Foundation
import Glibc

/// Three domains that share no key, joined by two proxies.
struct ProxyScenario: DemoScenario {
  static let drawing = """
                domain 1                        global domain                       domain 2
       ┌────────┐  ┌───────────┐ site-1 ┌─────────┐ world ┌─────────┐ site-2 ┌───────────┐  ┌────────┐
       │ host 1 ├──┤ gateway 1 ╞════════╡ proxy 1 ╞═══╦═══╡ proxy 2 ╞════════╡ gateway 2 ├──┤ host 2 │
       └────────┘  └───────────┘  IPv4  └─────────┘   ║   └─────────┘  IPv4  └───────────┘  └────────┘
        10.1.0.2                                IPv6  ║                                     10.2.0.2
                                                ┌─────╨─────┐  ┌────────┐
           ═══ encrypted, by the keys of        │ gateway g ├──┤ host g │ 10.3.0.2
                                                └───────────┘  └────────┘
    """
  static let making = "making three hosts, three gateways, two proxies and a router in namespaces"

  private static let controllers = ["site-1", "world", "site-2"].map { name in
    LabControllers.Controller(
      name: name, rootKey: name + "-key", level: "trust-region", firstDeviceID: "00000001")
  }
  private static let downloadRate = 11_000_000

  let options: Demo
  let bench: DemoBench
  let controllers: LabControllers
  let gateways = ProxyLab.sites.map { LabGateway($0.gateway) } + ProxyLab.proxies.map { LabGateway($0.name) }

  init(_ options: Demo, _ narrator: Narrator) throws(LabError) {
    self.options = options
    let lab = try Lab(ProxyLab.topology, sizes: .roomy)
    bench = DemoBench(lab: lab, narrator: narrator, client: ProxyLab.one.host)
    let servers = [ProxyLab.two.host, ProxyLab.global.host]
    try bench.serve(on: servers)
    try bench.reflect(on: servers)
    narrator.say("a controller for each domain; a proxy is a member of two")
    controllers = try LabControllers(Self.controllers, gateways: gateways.map(\.name), in: lab)
  }

  mutating func play(_ report: inout DemoReport) throws(LabError) {
    for site in ProxyLab.sites { try controllers.enrol(site.gateway, at: [site.group]) }
    for proxy in ProxyLab.proxies { try controllers.enrol(proxy.name, at: [proxy.site.group, "world"]) }
    try configure()
    try bench.start(gateways)
    for gateway in gateways { try gateway.awaitKeys() }
    bench.narrator.say("gateways and proxies are up; first packets find their neighbours")
    for site in [ProxyLab.two, ProxyLab.global] {
      try bench.awaitPath(to: site.hostAddress, through: gateways, tries: 10)
    }
    var run = DemoRun(title: "Through three domains, host 1 asks", sizes: .roomy)
    try cross(&run)
    report.runs.append(run)
    report.runs.append(try rotationRun())
    if let file = options.capture { try bench.keep(capture(of: "proxy-1"), as: file) }
  }

  mutating func stayUp() throws(LabError) -> [String] {
    try controllers.start()
    try bench.start(gateways)
    return [
      "ip netns exec host-1 ping 10.2.0.2",
      "ip netns exec host-1 curl -o /dev/null http://10.3.0.2/\(DemoFile.name)",
      "\(Sandbox.program) status --socket \(Lab.directory)/proxy-1.sock",
      "\(Sandbox.program) keys status --config \(LabControllers.administrator)",
      "cat \(Lab.directory)/proxy-1.yaml",
    ]
  }

  private func capture(of gateway: String) -> String { "\(Lab.directory)/\(gateway).pcapng" }

  /// Each domain's fabric is captured by one of its gateways, the clear side by gateway 2.
  private func configure() throws(LabError) {
    func keys(_ name: String, _ groups: [String]) -> String {
      controllers.keyAgent(
        of: name,
        groups: groups.enumerated().map { .init(name: $1, controllers: [$1], isDefault: $0 == 0) })
    }
    let captured = ["gateway-1": "fabric", "proxy-1": "global", "proxy-2": "local", "gateway-2": "clear"]
    var texts: [(String, LabGateway.Text)] = [
      (ProxyLab.global.gateway, ProxyLab.globalText(keys: keys(ProxyLab.global.gateway, ["world"])))
    ]
    for proxy in ProxyLab.proxies {
      let group = proxy.site.group
      texts.append((proxy.site.gateway, ProxyLab.text(of: proxy, keys: keys(proxy.site.gateway, [group]))))
      texts.append((proxy.name, ProxyLab.text(of: proxy, proxyKeys: keys(proxy.name, [group, "world"]))))
    }
    for (name, text) in texts {
      var text = text
      text.capture = captured[name].map { ($0, capture(of: name)) }
      text.captureLimit = 60 << 20
      try gateways.first { $0.name == name }?.configure(text, in: bench.lab)
    }
  }

  private func cross(_ run: inout DemoRun) throws(LabError) {
    let (two, global) = (ProxyLab.two.hostAddress, ProxyLab.global.hostAddress)
    run.checks.append(try bench.names(count: 10, from: two))
    run.checks.append(try bench.ping("ping host 2, 84 octets", two, size: 84))
    run.checks.append(try bench.ping("ping host 2, 1500 octets, DF", two, size: 1500))
    run.checks.append(try bench.ping("ping host g, 1500 octets, DF", global, size: 1500))
    run.checks.append(try bench.download("download from host 2", from: two))
    run.checks.append(try bench.download("download from host g", from: global))
    run.checks.append(try bench.stream("iperf3 TCP to host 2", to: two, seconds: 2))
    run.checks.append(try refused())
    run.checks.append(try route())
  }

  /// What no policy lets through ends at the proxy.
  private func refused() throws(LabError) -> DemoCheck {
    let proxy = gateways.first { $0.name == "proxy-1" }
    let before = try proxy?.answer().drops["policy-domain"] ?? 0
    let finished = try bench.lab.run(in: bench.client, ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", "10.2.9.9"])
    let dropped = (try proxy?.answer().drops["policy-domain"] ?? 0) - before
    return DemoCheck(
      "ping 10.2.9.9, in no policy", sent: "3 requests", arrived: "\(dropped) policy-domain at proxy-1",
      passed: dropped == 3 && finished.output.contains(" 0 received"), finished)
  }

  /// Four routers stand in the way, each takes one hop: the answer is four hops short of 64.
  private func route() throws(LabError) -> DemoCheck {
    let finished = try bench.lab.run(
      in: bench.client, ["ping", "-n", "-c", "1", "-W", "2", ProxyLab.two.hostAddress])
    let limit = finished.output.number(after: "ttl=")
    return DemoCheck(
      "hop limit of host 2's answer", sent: "64", arrived: limit.map { "\($0)" } ?? "none", passed: limit == 60,
      finished)
  }

  /// Every domain rotates by itself while a file and datagrams cross all three.
  private func rotationRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "Root keys of each domain, rotated under way", sizes: .roomy)
    let two = ProxyLab.two.hostAddress
    bench.narrator.say(
      "download at \(Figures.rate(Double(Self.downloadRate * 8))) and datagrams, while every domain rotates")
    try bench.limitWindow()
    let queues = try bench.fullQueues(of: gateways)
    let download = try bench.startDownload(from: two, rate: Self.downloadRate)
    let numbers = try bench.startNumbers(to: [two, ProxyLab.global.hostAddress], flows: 4)
    for controller in controllers.all {
      let members = gateways.filter { gateway in
        (try? gateway.status())?.groups.contains { $0.name == controller.name } ?? false
      }
      run.checks.append(try bench.rotate(controller, by: controllers, gateways: members))
    }
    let underWay = download.child.isRunning
    run.checks.append(try bench.finishDownload("download meanwhile", download, underWay: underWay))
    let report = try bench.finishNumbers(numbers)
    let full = try bench.fullQueues(of: gateways) - queues
    let fate = report.lost.isEmpty || full == 0 ? "" : ", queues full"
    run.checks.append(
      DemoCheck(
        name: "datagrams meanwhile", sent: "\(Figures.count(report.sent)) numbered",
        arrived: "\(Figures.count(report.returned)), \(Figures.count(report.lost.count)) lost\(fate)",
        passed: report.returned > 0 && report.lost.count <= full && report.twice == 0))
    bench.narrator.say("stopping the gateways, comparing their counts")
    bench.settle(gateways)
    bench.count(gateways, &run)
    for index in run.gateways.indices { run.gateways[index].judge() }
    let sealed = run.gateways.reduce(0) { $0 + $1.totals.sealed }
    let opened = run.gateways.reduce(0) { $0 + $1.totals.opened }
    run.checks.append(
      DemoCheck(
        name: "all gateways and proxies", sent: "\(Figures.count(sealed)) sealed",
        arrived: "\(Figures.count(opened)) opened", rate: "\(Figures.count(Int64(sealed) - Int64(opened))) lost",
        passed: opened <= sealed && (sealed - opened) * 1000 <= sealed))
    run.notes = ["ok: in = out + dropped, nothing refused; a proxy opens and seals what crosses it"]
    controllers.stop()
    bench.stop(gateways, &run)
    run.clearSide = "clear side of gateway 2"
    run.fabric = "three fabrics"
    try bench.search(
      &run, fabric: ["gateway-1", "proxy-1", "proxy-2"].map(capture), clear: [capture(of: "gateway-2")],
      from: ProxyLab.one.hostAddress, to: two)
    return run
  }
}
