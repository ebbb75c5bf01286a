import DataPlane
import Foundation

/// Numbered datagrams, which the servers send back.
extension DemoBench {
  func reflect(on hosts: [String]) throws(LabError) {
    for host in hosts { servers.append(try lab.start(in: host, [Sandbox.program, "demo-datagrams", "--reflect"])) }
  }

  /// What found a queue full, anywhere: sockets of hosts, rings of gateways, the kernel's queues of all wires. On a busy machine
  /// TCP fills them, and nobody else's packets are safe then.
  func fullQueues(of gateways: [LabGateway]) throws(LabError) -> Int {
    var sum = try lab.receiveDrops()
    for node in lab.topology.nodes where node.kind == .host { sum += try overflows(in: node.name) }
    for gateway in gateways { sum += try gateway.answer().ports.reduce(0) { $0 + Int($1.missed) } }
    return sum
  }

  /// From now on TCP uses windows that a gateway's ring has room for: what is lost shall not be lost in its bursts.
  func limitWindow() throws(LabError) {
    try lab.shell("ip netns exec \(client) sh -c 'echo 4096 131072 500000 > /proc/sys/net/ipv4/tcp_rmem'")
  }

  /// Starts a sender; without a count it goes on until `finish`.
  func startNumbers(
    to servers: [String], flows: Int = 1, rate: Int = 500, count: Int? = nil
  ) throws(LabError) -> Child {
    var command = [Sandbox.program, "demo-datagrams", "--flows", "\(flows)", "--rate", "\(rate)"]
    command += servers.flatMap { ["--to", $0] } + (count.map { ["--count", "\($0)"] } ?? [])
    return try lab.start(in: client, command)
  }

  /// Ends a sender, or waits for the end of one that counts, and reads what it found out.
  func finishNumbers(_ child: Child, counting: Bool = false) throws(LabError) -> DemoDatagrams.Report {
    if !counting { child.stop() }
    let finished = child.finish(deadline: 20)
    guard finished.succeeded,
      let report = try? JSONDecoder().decode(DemoDatagrams.Report.self, from: Data(finished.output.utf8))
    else { throw .failed("the numbered datagrams ended badly:\n\(finished.account)") }
    return report
  }
}
