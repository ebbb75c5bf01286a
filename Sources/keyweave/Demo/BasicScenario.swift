import Foundation
import Glibc

/// Two hosts and two gateways: MTU 1500, jumbo frames, and root keys that rotate.
struct BasicScenario: DemoScenario {
  static let drawing = """
          host A                gateway A                       gateway B                host B
      ┌───────────────┐       ┌─────────────┐    fabric     ┌─────────────┐       ┌───────────────┐
      │ 10.1.0.2      ├───────┤ 10.1.0.1    │   encrypted   │    10.2.0.1 ├───────┤ 10.2.0.2      │
      │ 2001:db8:1::2 │ clear │   192.0.2.1 ╞═══════════════╡ 192.0.2.2   │ clear │ 2001:db8:2::2 │
      └───────────────┘       └─────────────┘   UDP 4500    └─────────────┘       └───────────────┘
    """
  static let making = "making two hosts, two gateways and a fabric in namespaces of their own"

  static let fabricCapture = "\(Lab.directory)/fabric.pcapng"
  static let clearCapture = "\(Lab.directory)/clear.pcapng"

  let options: Demo
  let bench: DemoBench
  let gateways = Pair.sides.map { LabGateway($0.gateway) }

  init(_ options: Demo, _ narrator: Narrator) throws(LabError) {
    self.options = options
    bench = DemoBench(lab: try Lab(Pair.topology), narrator: narrator, client: Pair.a.host)
    try Lab.makeKeys(at: "\(Lab.directory)/keys.yaml")
    try bench.serve(on: [Pair.b.host])
  }

  mutating func play(_ report: inout DemoReport) throws(LabError) {
    report.runs.append(try usualRun())
    try explainPacket(&report)
    if let file = options.capture { try bench.keep(Self.fabricCapture, as: file) }
    if !options.quick { report.runs.append(try jumboRun()) }
    report.runs.append(try rotationRun())
  }

  /// Starts both gateways and waits until packets pass.
  func startGateways(
    outerIPv6: Bool = false, capturing: Bool = true, keys: (Pair.Side) -> String? = { _ in nil }
  ) throws(LabError) {
    let captures = [("fabric", Self.fabricCapture), ("clear", Self.clearCapture)]
    for (side, (gateway, capture)) in zip(Pair.sides, zip(gateways, captures)) {
      var text = Pair.text(of: side, outerIPv6: outerIPv6, keys: keys(side))
      text.capture = capturing ? capture : nil
      try gateway.configure(text, in: bench.lab)
    }
    try bench.start(gateways)
    // A key agent's keys come a moment after the gateway: what the other one sealed in between would be refused.
    for gateway in gateways { try gateway.awaitKeys() }
    bench.narrator.say("both gateways are up; first packets find their neighbours")
    for address in [Pair.b.hostIPv4, Pair.b.hostIPv6] { try bench.awaitPath(to: address, through: gateways) }
  }

  /// Takes the gateways' own counts, stops them so that their captures are whole, and searches these.
  func finish(_ run: inout DemoRun, searching: Bool = true) throws(LabError) {
    bench.narrator.say("stopping the gateways, comparing their counts")
    bench.settle(gateways)
    bench.count(gateways, &run)
    bench.stop(gateways, &run)
    run.notes = ["ok: in = out + dropped, nothing refused; lost: sealed by one, not opened by the other"]
    run.clearSide = "clear side of B"
    if run.gateways.count == 2 {
      let (first, second) = (run.gateways[0], run.gateways[1])
      run.gateways[0].judge(other: second)
      run.gateways[1].judge(other: first)
    }
    guard searching else { return }
    try bench.search(
      &run, fabric: [Self.fabricCapture], clear: [Self.clearCapture], from: Pair.a.hostIPv4, to: Pair.b.hostIPv4)
  }

  /// MTU 1500 everywhere: what fits through the tunnel is less, and everyone must be told.
  private func usualRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "MTU 1500, IPv4 outside", sizes: .usual)
    try startGateways()
    run.checks.append(try bench.names(count: 25, from: Pair.b.hostIPv4))
    run.checks.append(try bench.ping("ping, IPv4, 84 octets", Pair.b.hostIPv4, size: 84))
    run.checks.append(try bench.ping("ping, IPv6, 104 octets", Pair.b.hostIPv6, size: 104))
    run.checks.append(try bench.ping("ping, IPv4, 1400 octets, DF", Pair.b.hostIPv4, size: 1400))
    run.checks.append(try bench.ping("ping, IPv6, 1400 octets", Pair.b.hostIPv6, size: 1400))
    run.checks.append(try bench.download("download with curl, IPv4", from: Pair.b.hostIPv4))
    run.checks.append(try bench.stream("iperf3 TCP, IPv4", to: Pair.b.hostIPv4, seconds: 3))
    run.checks.append(try bench.stream("iperf3 TCP, IPv6", to: Pair.b.hostIPv6, seconds: 3))
    run.checks.append(
      try bench.datagrams("iperf3 UDP, IPv4", to: Pair.b.hostIPv4, on: Pair.b.host, size: 512, rate: 10_000_000))
    // After TCP, which must have found the size by MSS clamping alone.
    run.checks.append(try bench.tooBig("ping too big, IPv4, DF", Pair.b.hostIPv4, size: 1500))
    run.checks.append(try bench.tooBig("ping too big, IPv6", Pair.b.hostIPv6, size: 1500))
    try finish(&run)
    return run
  }

  /// Jumbo frames end to end.
  private func jumboRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "MTU 9000, IPv6 outside", sizes: .jumbo)
    bench.narrator.say("jumbo frames: MTU 9000 for the hosts, 9216 on the fabric, gateways start again")
    try bench.lab.resize(.jumbo)
    try startGateways(outerIPv6: true)
    run.checks.append(try bench.names(count: 5, from: Pair.b.hostIPv4))
    run.checks.append(try bench.ping("ping, IPv4, 9000 octets, DF", Pair.b.hostIPv4, size: 9000))
    run.checks.append(try bench.ping("ping, IPv6, 9000 octets", Pair.b.hostIPv6, size: 9000))
    run.checks.append(try bench.download("download with curl, IPv6", from: "[\(Pair.b.hostIPv6)]"))
    run.checks.append(try bench.stream("iperf3 TCP, IPv4", to: Pair.b.hostIPv4, seconds: 3))
    run.checks.append(
      try bench.datagrams("iperf3 UDP, IPv6", to: Pair.b.hostIPv6, on: Pair.b.host, size: 8000, rate: 100_000_000))
    try finish(&run)
    return run
  }

  /// One data packet of the fabric, as `keyweave inspect` explains it: one of the first, when names are asked for.
  private func explainPacket(_ report: inout DemoReport) throws(LabError) {
    // One of the first, but no neighbour's question or answer, which is in between when it likes.
    var number = 20
    var finished = try explain(number)
    while finished.output.contains("other: "), number < 60 {
      number += 1
      finished = try explain(number)
    }
    report.packet = finished.output.split(separator: "\n").map(String.init)
    let isOpen = finished.output.contains("verdict: open")
    report.runs[0].checks.append(
      DemoCheck(
        "keyweave inspect, packet \(number)", sent: "1 packet, the keys", arrived: isOpen ? "opened" : "not opened",
        passed: finished.succeeded && isOpen, finished))
  }

  private func explain(_ number: Int) throws(LabError) -> Finished {
    try bench.lab.run(
      in: Pair.a.host,
      [
        Sandbox.program, "inspect", "--keys", "\(Lab.directory)/keys.yaml", "--in", Self.fabricCapture, "--packet",
        "\(number)",
      ])
  }

  mutating func stayUp() throws(LabError) -> [String] {
    try startGateways(outerIPv6: false)
    return [
      "ip netns exec host-a ping 10.2.0.2",
      "ip netns exec host-a curl -o /dev/null http://10.2.0.2/\(DemoFile.name)",
      "ip netns exec gateway-a tcpdump -Xni fabric",
      "\(Sandbox.program) status --watch --socket \(gateways[0].socket)",
      "cat \(gateways[0].configuration)",
    ]
  }
}
