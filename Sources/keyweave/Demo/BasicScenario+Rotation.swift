import DataPlane
import Foundation
import Glibc

/// Root keys of three levels from three controllers, all rotated while a file is downloaded.
extension BasicScenario {
  /// The download is slowed down to this, so that it lasts as long as the rotations.
  private static let downloadRate = 11_000_000
  private static let controllers = [
    LabControllers.Controller(name: "region", rootKey: "region1", level: "trust-region", firstDeviceID: "00000001"),
    LabControllers.Controller(name: "users", rootKey: "hpc", level: "user-group"),
    LabControllers.Controller(name: "tasks", rootKey: "train", level: "task-group"),
  ]

  func rotationRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "Root keys from three controllers, rotated under way", sizes: .usual)
    bench.narrator.say("three controllers, a certificate authority, and a key agent in each gateway")
    try bench.lab.resize(.usual)
    let controllers = try LabControllers(Self.controllers, gateways: gateways.map(\.name), in: bench.lab)
    let names = controllers.all.map(\.name)
    for gateway in gateways { try controllers.enrol(gateway.name, at: names) }
    try startGateways(capturing: false) { side in
      controllers.keyAgent(of: side.gateway, groups: [.init(name: "demo", controllers: names)])
    }

    bench.narrator.say(
      "download at \(Figures.rate(Double(Self.downloadRate * 8))) and datagrams, while every level rotates")
    let download = try bench.startDownload(from: Pair.b.hostIPv4, rate: Self.downloadRate)
    let datagrams = try bench.startDatagrams(
      to: Pair.b.hostIPv4, on: Pair.b.host, size: 512, rate: 10_000_000, seconds: 9)
    for controller in controllers.all {
      run.checks.append(try bench.rotate(controller, by: controllers, gateways: gateways))
    }
    let underWay = download.child.isRunning
    run.checks.append(try bench.finishDownload("download meanwhile, IPv4", download, underWay: underWay))
    // Not one may be lost on the way.
    run.checks.append(try bench.finishDatagrams("datagrams meanwhile, 512 octets", datagrams, permille: 0))
    controllers.stop()
    try finish(&run, searching: false)
    run.checks.append(refusals(run))
    return run
  }

  /// What a generation that is not everywhere would cause.
  private func refusals(_ run: DemoRun) -> DemoCheck {
    let reasons = ["authentication", "unknown-key", "epoch"]
    let refused = run.gateways.map { counts in reasons.reduce(0) { $0 + (counts.drops[$1] ?? 0) } }.reduce(0, +)
    let sealed = run.gateways.map(\.totals.sealed).reduce(0, +)
    return DemoCheck(
      name: "packets refused meanwhile", sent: "\(Figures.count(sealed)) sealed", arrived: "\(refused) refused",
      passed: refused == 0 && sealed > 0)
  }
}
