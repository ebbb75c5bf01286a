import DataPlane
import Foundation
import Glibc

/// The demo's course inside the sandbox: make the lab, run the programs, stop, search, report.
struct DemoScript {
  var lab: Lab
  let gateways = [LabGateway(side: Lab.a, other: Lab.b), LabGateway(side: Lab.b, other: Lab.a)]
  var servers: [Child] = []
  let narrator: Narrator

  static let fabricCapture = "\(Lab.directory)/fabric.pcapng"
  static let clearCapture = "\(Lab.directory)/clear.pcapng"

  /// Runs the demo that the options ask for; true when everything passed.
  static func perform(_ options: Demo, door: Int32) throws(LabError) -> Bool {
    // Programs of the lab have no use for it.
    _ = fcntl(door, F_SETFD, FD_CLOEXEC)
    let paint = Paint(enabled: !options.json && isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil)
    let narrator = Narrator(toErrors: options.json, paint: paint)
    if !options.json { narrator.plain("\n\(DemoReport.topology)\n") }
    narrator.say("making two hosts, two gateways and a fabric in namespaces of their own")
    var script = DemoScript(lab: try Lab(sizes: .usual), narrator: narrator)
    try script.prepare()

    var report = DemoReport()
    report.runs.append(try script.usualRun())
    try script.explainPacket(&report)
    if let file = options.capture { try Self.keep(fabricCapture, as: file) }
    if !options.quick { report.runs.append(try script.jumboRun()) }
    report.runs.append(try script.rotationRun())
    report.seconds = narrator.elapsed
    report.verdict = report.passed ? "PASS" : "FAIL"

    if options.json {
      FileHandle.standardOutput.write(Data((try json(report) + "\n").utf8))
    } else {
      narrator.plain(report.lines(paint).joined(separator: "\n"))
    }
    if options.keep {
      try script.stayUp(pid: Sandbox.outerPID(door: door), quietly: options.json)
    }
    return report.passed
  }

  private static func json(_ report: DemoReport) throws(LabError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(report), as: UTF8.self)
    } catch { throw .failed("the report cannot be encoded: \(error)") }
  }

  private static func keep(_ capture: String, as file: String) throws(LabError) {
    do {
      if FileManager.default.fileExists(atPath: file) { try FileManager.default.removeItem(atPath: file) }
      try FileManager.default.copyItem(atPath: capture, toPath: file)
    } catch { throw .failed("cannot keep the capture as \(file): \(error.localizedDescription)") }
  }

  /// Keys, the file to download, and host B's servers.
  private mutating func prepare() throws(LabError) {
    try Lab.makeKeys(at: "\(Lab.directory)/keys.yaml")
    narrator.say("writing a file of \(Figures.size(DemoFile.size)) for the web server")
    try DemoFile.write(to: DemoFile.served)
    servers = [
      try lab.start(in: "host-b", ["busybox", "httpd", "-f", "-p", "80", "-h", "\(Lab.directory)/www"]),
      try lab.start(in: "host-b", ["iperf3", "-s"]),
      try lab.start(in: "host-b", [Sandbox.program, "demo-names"]),
    ]
  }

  /// Starts both gateways and waits until packets pass.
  mutating func startGateways(_ plan: LabGateway.Plan, capturing: Bool = true) throws(LabError) {
    for (gateway, capture) in zip(gateways, [("fabric", Self.fabricCapture), ("clear", Self.clearCapture)]) {
      var own = plan
      own.capture = capturing ? capture : nil
      try gateway.configure(own)
      try gateway.start(in: &lab)
    }
    for gateway in gateways { try gateway.awaitReady() }
    narrator.say("both gateways are up; first packets find their neighbours")
    for address in [Lab.b.hostIPv4, Lab.b.hostIPv6] {
      var ping: Finished
      var tries = 0
      repeat {
        ping = try lab.run(in: "host-a", ["ping", "-n", "-c", "1", "-W", "1", address])
        tries += 1
      } while !ping.succeeded && tries < 5
      guard ping.succeeded else {
        let logs = gateways.map { "\($0.side.gateway):\n\($0.lastLines)" }.joined(separator: "\n")
        throw .failed("host A does not reach host B through the gateways.\n\(ping.account)\n\(logs)")
      }
    }
  }

  /// Takes the gateways' own counts, stops them so that their captures are whole, and searches these.
  mutating func finish(_ run: inout DemoRun, searching: Bool = true) throws(LabError) {
    narrator.say("stopping the gateways, comparing their counts")
    usleep(300_000)
    for gateway in gateways {
      do {
        let status = try gateway.status()
        run.gateways.append(
          DemoGatewayCounts(
            gateway: gateway.side.gateway, totals: status.totals, drops: status.drops, engine: status.engine))
      } catch {
        run.checks.append(
          DemoCheck(
            name: "status of \(gateway.side.gateway)", sent: "", arrived: "no answer", passed: false,
            account: "\(error)"))
      }
      let ending = gateway.stop()
      if ending != .code(0) {
        run.checks.append(
          DemoCheck(
            name: "\(gateway.side.gateway) ends", sent: "SIGTERM", arrived: ending.map { "\($0)" } ?? "-",
            passed: false))
      }
    }
    run.logs = gateways.map { "  last lines of \($0.side.gateway)\n\($0.lastLines)" }.joined(separator: "\n")
    if run.gateways.count == 2 {
      let (first, second) = (run.gateways[0], run.gateways[1])
      run.gateways[0].judge(other: second)
      run.gateways[1].judge(other: first)
    }
    guard searching else { return }
    narrator.say("searching the captures for clear text")
    try DemoSearch.search(&run, fabric: Self.fabricCapture, clear: Self.clearCapture)
  }

  /// MTU 1500 everywhere: what fits through the tunnel is less, and everyone must be told.
  private mutating func usualRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "MTU 1500, IPv4 outside", hostMTU: 1500, fabricMTU: 1500)
    try startGateways(LabGateway.Plan(sizes: .usual))
    run.checks.append(try names(count: 25))
    run.checks.append(try ping("ping, IPv4, 84 octets", Lab.b.hostIPv4, size: 84))
    run.checks.append(try ping("ping, IPv6, 104 octets", Lab.b.hostIPv6, size: 104))
    run.checks.append(try ping("ping, IPv4, 1400 octets, DF", Lab.b.hostIPv4, size: 1400))
    run.checks.append(try ping("ping, IPv6, 1400 octets", Lab.b.hostIPv6, size: 1400))
    run.checks.append(try download("download with curl, IPv4", from: Lab.b.hostIPv4))
    run.checks.append(try stream("iperf3 TCP, IPv4", to: Lab.b.hostIPv4, seconds: 3))
    run.checks.append(try stream("iperf3 TCP, IPv6", to: Lab.b.hostIPv6, seconds: 3))
    run.checks.append(try datagrams("iperf3 UDP, IPv4", to: Lab.b.hostIPv4, size: 512, rate: 10_000_000))
    // After TCP, which must have found the size by MSS clamping alone.
    run.checks.append(try tooBig("ping too big, IPv4, DF", Lab.b.hostIPv4, size: 1500))
    run.checks.append(try tooBig("ping too big, IPv6", Lab.b.hostIPv6, size: 1500))
    try finish(&run)
    return run
  }

  /// Jumbo frames end to end.
  private mutating func jumboRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "MTU 9000, IPv6 outside", hostMTU: 9000, fabricMTU: 9216)
    narrator.say("jumbo frames: MTU 9000 for the hosts, 9216 on the fabric, gateways start again")
    try lab.resize(.jumbo)
    var plan = LabGateway.Plan(sizes: .jumbo)
    plan.outerIPv6 = true
    try startGateways(plan)
    run.checks.append(try names(count: 5))
    run.checks.append(try ping("ping, IPv4, 9000 octets, DF", Lab.b.hostIPv4, size: 9000))
    run.checks.append(try ping("ping, IPv6, 9000 octets", Lab.b.hostIPv6, size: 9000))
    run.checks.append(try download("download with curl, IPv6", from: "[\(Lab.b.hostIPv6)]"))
    run.checks.append(try stream("iperf3 TCP, IPv4", to: Lab.b.hostIPv4, seconds: 3))
    run.checks.append(try datagrams("iperf3 UDP, IPv6", to: Lab.b.hostIPv6, size: 8000, rate: 100_000_000))
    try finish(&run)
    return run
  }

  /// One data packet of the fabric, as `keyweave inspect` explains it: one of the first, when names are asked for.
  private mutating func explainPacket(_ report: inout DemoReport) throws(LabError) {
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
      check(
        "keyweave inspect, packet \(number)", sent: "1 packet, the keys", arrived: isOpen ? "opened" : "not opened",
        passed: finished.succeeded && isOpen, finished))
  }

  private mutating func explain(_ number: Int) throws(LabError) -> Finished {
    try lab.run(
      in: "host-a",
      [
        Sandbox.program, "inspect", "--keys", "\(Lab.directory)/keys.yaml", "--in", Self.fabricCapture, "--packet",
        "\(number)",
      ])
  }

  /// Starts the gateways once more and waits until we are killed.
  private mutating func stayUp(pid: Int32, quietly: Bool) throws(LabError) {
    try startGateways(LabGateway.Plan(sizes: lab.sizes))
    let enter =
      getuid() == 0 && Sandbox.isMapped
      ? "nsenter -t \(pid) -U --preserve-credentials -m -n -p" : "nsenter -t \(pid) -m -n -p"
    let program = Sandbox.program
    narrator.plain(
      """

      The lab stays up until Ctrl-C. To enter it from another terminal:

        \(enter)

      and inside, for example:

        ip netns exec host-a ping 10.2.0.2
        ip netns exec host-a curl -o /dev/null http://10.2.0.2/\(DemoFile.name)
        ip netns exec gateway-a tcpdump -Xni fabric
        \(program) status --watch --socket \(Lab.directory)/gateway-a.sock
        cat \(Lab.directory)/gateway-a.yaml

      """)
    while true { pause() }
  }
}

/// Says what is being done now, with the time since the start.
struct Narrator {
  private let start = Clock.seconds
  private let toErrors: Bool
  private let paint: Paint

  init(toErrors: Bool, paint: Paint) {
    self.toErrors = toErrors
    self.paint = paint
  }

  var elapsed: Double { Clock.seconds - start }

  func say(_ text: String) {
    let time = Figures.fixed(elapsed, 1)
    plain("\(paint.faint(String(repeating: " ", count: max(0, 6 - time.count)) + time + " s"))  \(text)")
  }

  func plain(_ text: String) {
    let handle = toErrors ? FileHandle.standardError : FileHandle.standardOutput
    handle.write(Data((text + "\n").utf8))
  }
}
