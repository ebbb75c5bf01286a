import Foundation
import Glibc

/// Root keys of three levels from three controllers, all rotated while a file is downloaded.
extension DemoScript {
  /// The download is slowed down to this, so that it lasts as long as the rotations.
  private static let downloadRate = 11_000_000
  private static let datagramSeconds = 9

  mutating func rotationRun() throws(LabError) -> DemoRun {
    var run = DemoRun(title: "Root keys from three controllers, rotated under way", hostMTU: 1500, fabricMTU: 1500)
    narrator.say("three controllers, a certificate authority, and a key agent in each gateway")
    if lab.sizes.host != Lab.Sizes.usual.host { try lab.resize(.usual) }
    let controllers = try LabControllers(in: &lab)
    defer { controllers.stop() }
    var plan = LabGateway.Plan(sizes: .usual)
    plan.hasKeyAgent = true
    try startGateways(plan, capturing: false)

    narrator.say("download at \(Figures.rate(Double(Self.downloadRate * 8))) and datagrams, while every level rotates")
    let file = "\(Lab.directory)/downloaded"
    let download = try lab.start(
      in: "host-a",
      [
        "curl", "-sS", "--fail", "--max-time", "30", "--limit-rate", "\(Self.downloadRate)", "-o", file,
        "http://\(Lab.b.hostIPv4)/\(DemoFile.name)",
      ])
    let datagrams = try lab.start(
      in: "host-a",
      [
        "iperf3", "-J", "-u", "-c", Lab.b.hostIPv4, "-b", "10000000", "-l", "512", "-t", "\(Self.datagramSeconds)",
        "--connect-timeout", "3000",
      ])
    let before = try overflows(in: "host-b")
    for controller in LabControllers.all { run.checks.append(try rotate(controller)) }
    let underWay = download.isRunning
    run.checks.append(try finishDownload(download, file, underWay: underWay))
    run.checks.append(try finishDatagrams(datagrams, overflowsBefore: before))
    try finish(&run, searching: false)
    run.checks.append(refusals(run))
    return run
  }

  /// One rotation: from the controller's PROMOTE until both gateways' lcores seal with the new generation.
  private mutating func rotate(_ controller: LabControllers.Controller) throws(LabError) -> DemoCheck {
    let name = "rotate \(controller.rootKey), \(controller.level)"
    let old = gateways.map { $0.generation(of: controller.rootKey) }
    let asked = try LabControllers.run(
      in: &lab, ["keys", "rotate", controller.rootKey, "--controller", controller.name])
    let start = Clock.seconds
    var new = old
    while asked.succeeded, Clock.seconds - start < 10 {
      new = gateways.map { $0.generation(of: controller.rootKey) }
      if zip(old, new).allSatisfy({ before, now in now.map { $0 > before ?? 0 } ?? false }) { break }
      usleep(2000)
    }
    let now = Date().timeIntervalSince1970 * 1000
    let moved = zip(old, new).count { before, now in now.map { $0 > before ?? 0 } ?? false }
    let late = LabControllers.promotion(by: controller).map { max(0, now - $0) }
    let numbers = [old.first, new.first].map { $0.flatMap { $0 }.map { "\($0)" } ?? "none" }
    narrator.say("\(name): generation \(numbers[0]) to \(numbers[1])")
    return check(
      name, sent: "generation \(numbers[0]) to \(numbers[1])", arrived: "\(moved) of \(gateways.count) gateways",
      rate: late.map { "\(Figures.fixed($0, 0)) ms" } ?? "",
      passed: moved == gateways.count && old.allSatisfy { $0 != nil }, asked)
  }

  private mutating func finishDownload(_ child: Child, _ file: String, underWay: Bool) throws(LabError) -> DemoCheck {
    let ending = child.wait(deadline: 30)
    let finished = Finished(
      command: child.command, ending: ending, output: child.outputText, errors: child.errorText)
    let sums = try lab.run(in: "host-a", ["sha256sum", DemoFile.served, file])
    let digests = sums.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    let equal = digests.count == 2 && digests[0] == digests[1]
    let size = (try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int) ?? 0
    unlink(file)
    return check(
      "download meanwhile, IPv4", sent: "\(Figures.size(DemoFile.size)) by httpd",
      arrived: Figures.size(size) + (equal ? ", same SHA-256" : ", other SHA-256")
        + (underWay ? "" : ", ended before the rotations"), rate: Figures.rate(Double(Self.downloadRate * 8)),
      passed: finished.succeeded && equal && underWay, finished)
  }

  /// Not one may be lost on the way.
  private mutating func finishDatagrams(_ child: Child, overflowsBefore: Int) throws(LabError) -> DemoCheck {
    let ending = child.wait(deadline: Double(Self.datagramSeconds) + 10)
    let finished = Finished(
      command: child.command, ending: ending, output: child.outputText, errors: child.errorText)
    let overflows = try overflows(in: "host-b") - overflowsBefore
    let sum = IperfReport(finished.output)?.datagrams
    let packets = Int(sum?.packets ?? 0)
    let lost = Int(sum?.lostPackets ?? 0)
    let onTheWay = max(0, lost - overflows)
    return check(
      "datagrams meanwhile, 512 octets", sent: "\(Figures.count(packets)) datagrams",
      arrived: "\(Figures.count(max(0, packets - lost))), \(Figures.count(onTheWay)) lost",
      rate: Figures.rate(sum?.bitsPerSecond ?? 0), passed: finished.succeeded && packets > 0 && onTheWay == 0, finished)
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
