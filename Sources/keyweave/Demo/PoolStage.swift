import DataPlane
import Foundation
import Glibc

/// What the scenarios with a pool share: who opens how much, and what is lost when a member dies.
final class PoolStage {
  let pool: PoolLab
  let bench: DemoBench
  let gateway = LabGateway(PoolLab.gateway)
  let members: [LabGateway]

  init(_ pool: PoolLab, _ narrator: Narrator) throws(LabError) {
    self.pool = pool
    bench = DemoBench(lab: pool.lab, narrator: narrator, client: PoolLab.client)
    members = pool.members.map { LabGateway($0.name) }
    try bench.serve(on: pool.servers.map(\.name))
    try bench.reflect(on: pool.servers.map(\.name))
  }

  var living: [LabGateway] { [gateway] + members.filter(\.isRunning) }

  /// What each member that lives has opened and sealed so far.
  func work() throws(LabError) -> [(opened: Int, sealed: Int)] {
    try members.filter(\.isRunning).map { member throws(LabError) in
      let totals = try member.answer().totals
      return (Int(totals.opened), Int(totals.sealed))
    }
  }

  /// Datagrams there and back, and how many of them each member did, by `part`. `returning`: all must have come back.
  func share(
    _ name: String, of part: KeyPath<(opened: Int, sealed: Int), Int>, flows: Int = 1, returning: Bool = true,
    _ isRight: ([Int]) -> Bool
  ) throws(LabError) -> DemoCheck {
    bench.narrator.say("\(name): 600 numbered datagrams")
    let before = try work()
    let child = try bench.startNumbers(to: [pool.servers[0].address], flows: flows, rate: 600, count: 600)
    let report = try bench.finishNumbers(child, counting: true)
    let shares = zip(try work(), before).map { $0[keyPath: part] - $1[keyPath: part] }
    let verb = part == \.opened ? "opened" : "sealed"
    return DemoCheck(
      name: name, sent: "\(report.sent) datagrams",
      arrived: "\(returning ? "\(report.returned); " : "")\(verb) by members "
        + shares.map { "\($0)" }.joined(separator: " + "),
      passed: (report.returned == report.sent || !returning) && isRight(shares))
  }

  /// The member that seals most: the one that a download's answers go through.
  func busiest() throws(LabError) -> PoolLab.Member {
    let before = try work()
    usleep(300_000)
    let sealed = zip(try work(), before).map { $0.sealed - $1.sealed }
    let names = members.filter(\.isRunning).map(\.name)
    let name = names[sealed.indices.max { sealed[$0] < sealed[$1] } ?? 0]
    return pool.members.first { $0.name == name } ?? pool.members[0]
  }
}

/// A member dies.
extension PoolStage {
  /// A router that speaks BFD with the members (docs/pool.md: three packets, 100 ms apart) finds one dead after this long. The
  /// lab's routers speak none: the demo waits as long and takes the dead one out.
  static let detection = 0.3

  struct Outage {
    let victim: PoolLab.Member
    let died, withdrawn: Double
    /// What it last told of itself.
    let last: DemoGatewayCounts
    /// What found a queue full before.
    let queues: Int

    var length: String { "\(Figures.fixed((withdrawn - died) * 1000, 0)) ms" }
  }

  /// SIGKILL; after the time of detection both routers spread over `left` alone.
  func kill(_ victim: PoolLab.Member, leaving left: [PoolLab.Member]) throws(LabError) -> Outage {
    let queues = try fullQueues()
    let member = members[victim.number - 1]
    var last = DemoGatewayCounts(victim.name, try member.answer())
    last.wasKilled = true
    let died = Clock.seconds
    member.kill()
    usleep(UInt32(max(0, Self.detection - (Clock.seconds - died)) * 1e6))
    try pool.spread(over: left)
    let outage = Outage(victim: victim, died: died, withdrawn: Clock.seconds, last: last, queues: queues)
    bench.narrator.say("\(victim.name) killed; both routers without it after \(outage.length)")
    return outage
  }

  private func fullQueues() throws(LabError) -> Int { try bench.fullQueues(of: living) }

  /// The checks of a run with an outage, and the gateways' counts: every datagram and every sealed packet that is missing went
  /// to the dead member before the routers knew. `early`: answers before it, for which the gateway had no keys yet.
  func judge(
    _ run: inout DemoRun, _ outage: Outage, _ report: DemoDatagrams.Report, early answers: Int = 0
  ) throws(LabError) {
    bench.narrator.say("stopping the gateways, comparing their counts")
    bench.settle(living)
    bench.count(living, &run)
    let queues = try fullQueues()
    // What was under way to the member when it died was sent a little before.
    let early = report.lost.count { $0.time < outage.died - 0.1 }
    let late = report.lost.count { $0.time > outage.withdrawn + 0.1 }
    let others = early + late > 0 ? ", \(early) before, \(late) after" : ""
    run.checks.append(
      DemoCheck(
        name: "datagrams there and back", sent: "\(Figures.count(report.sent)) numbered",
        arrived: "\(Figures.count(report.returned)), \(Figures.count(report.lost.count)) lost\(others)",
        rate: "in \(outage.length)",
        passed: report.returned > 0 && report.twice == 0 && early + late <= max(0, queues - outage.queues)))

    // The wires still count what came to the dead member and what left it; a neighbour's questions and answers, a few in
    // each direction, are among these frames.
    let frames = try pool.frames(of: outage.victim)
    let far = run.gateways.first { $0.gateway == gateway.name }?.totals
    let near = run.gateways.filter { $0.gateway != gateway.name }.map(\.totals)
    func check(_ name: String, sealed: Int, opened: Int, held: Int, early: Int = 0) -> DemoCheck {
      let lost = max(0, sealed - opened - early)
      return DemoCheck(
        name: name, sent: "\(Figures.count(sealed)) sealed",
        arrived: "\(Figures.count(opened)) opened" + (held > 0 ? ", \(Figures.count(held)) came to the dead" : "")
          + (early > 0 ? ", \(Figures.count(early)) too early" : "") + (lost > held + 16 ? ", queues full" : ""),
        rate: "\(Figures.count(lost)) lost", passed: sealed + 16 >= opened && lost <= held + queues + 16)
    }
    run.checks += [
      check(
        "packets for the pool", sealed: Int(far?.sealed ?? 0),
        opened: near.reduce(frames.clearOut) { $0 + Int($1.opened) }, held: frames.fabricIn - frames.clearOut),
      check(
        "packets from the pool", sealed: near.reduce(frames.fabricOut) { $0 + Int($1.sealed) },
        opened: Int(far?.opened ?? 0), held: 0, early: answers),
    ]
    run.gateways.append(outage.last)
    for index in run.gateways.indices { run.gateways[index].judge() }
    run.notes = [
      "ok: in = out + dropped, nothing refused; of the killed member what it last told; above, its wires are counted",
      "out of both routers: after \(Figures.fixed(Self.detection * 1000, 0)) ms the demo does what BFD would (3 x 100 ms)",
    ]
  }

  /// Stops what still runs and searches its captures.
  func search(_ run: inout DemoRun, from client: String) throws(LabError) {
    bench.stop(living, &run)
    run.clearSide = "members' clear side"
    try bench.search(
      &run, fabric: [pool.capture(of: gateway.name)], clear: members.map { pool.capture(of: $0.name) }, from: client,
      to: pool.servers[0].address)
  }
}
