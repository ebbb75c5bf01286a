import DataPlane
import Foundation
import Glibc

/// What every scenario works with: the lab, the servers, and the programs whose traffic is judged.
final class DemoBench {
  let lab: Lab
  let narrator: Narrator
  /// The host on which programs ask.
  let client: String
  var servers: [Child] = []
  var downloads = 0

  init(lab: Lab, narrator: Narrator, client: String) {
    self.lab = lab
    self.narrator = narrator
    self.client = client
  }

  /// A web server with the file to download, an iperf3 server and a name server on each host.
  func serve(on hosts: [String]) throws(LabError) {
    narrator.say("writing a file of \(Figures.size(DemoFile.size)) for the web server")
    try DemoFile.write(to: DemoFile.served)
    for host in hosts {
      servers += [
        try lab.start(in: host, ["busybox", "httpd", "-f", "-p", "80", "-h", "\(Lab.directory)/www"]),
        try lab.start(in: host, ["iperf3", "-s"]),
        try lab.start(in: host, [Sandbox.program, "demo-names"]),
      ]
    }
  }

  /// Starts gateways that are configured and waits until they answer.
  func start(_ gateways: [LabGateway]) throws(LabError) {
    for gateway in gateways { try gateway.start(in: lab) }
    for gateway in gateways { try gateway.awaitReady() }
  }

  /// Waits until packets pass: first ones find their neighbours, and gateways get their keys.
  func awaitPath(to address: String, through gateways: [LabGateway], tries: Int = 5) throws(LabError) {
    var ping: Finished
    var left = tries
    repeat {
      ping = try lab.run(in: client, ["ping", "-n", "-c", "1", "-W", "1", address])
      left -= 1
    } while !ping.succeeded && left > 0
    guard ping.succeeded else {
      let logs = gateways.map { "\($0.name):\n\($0.lastLines)" }.joined(separator: "\n")
      throw .failed("\(client) does not reach \(address) through the gateways.\n\(ping.account)\n\(logs)")
    }
  }

  /// Takes the gateways' own counts; one that does not answer is a failure.
  func count(_ gateways: [LabGateway], _ run: inout DemoRun) {
    for gateway in gateways {
      do {
        run.gateways.append(DemoGatewayCounts(gateway.name, try gateway.status()))
      } catch {
        run.checks.append(
          DemoCheck(
            name: "status of \(gateway.name)", sent: "", arrived: "no answer", passed: false, account: "\(error)"))
      }
    }
  }

  /// Waits until nothing is under way in any of them.
  func settle(_ gateways: [LabGateway]) {
    for _ in 0..<40 {
      usleep(50_000)
      if gateways.allSatisfy({ (try? $0.status().totals.balances) ?? true }) { return }
    }
  }

  /// Stops gateways, so that their captures are whole.
  func stop(_ gateways: [LabGateway], _ run: inout DemoRun) {
    for gateway in gateways { gateway.askToStop() }
    for gateway in gateways {
      let ending = gateway.stop()
      if ending != .code(0) {
        run.checks.append(
          DemoCheck(
            name: "\(gateway.name) ends", sent: "SIGTERM", arrived: ending.map { "\($0)" } ?? "-", passed: false))
      }
    }
    run.logs = gateways.map { "  last lines of \($0.name)\n\($0.lastLines)" }.joined(separator: "\n")
  }

  func keep(_ capture: String, as file: String) throws(LabError) {
    do {
      if FileManager.default.fileExists(atPath: file) { try FileManager.default.removeItem(atPath: file) }
      try FileManager.default.copyItem(atPath: capture, toPath: file)
    } catch { throw .failed("cannot keep the capture as \(file): \(error.localizedDescription)") }
  }
}
