import Control
import DataPlane
import Foundation
import Keys

/// A gateway whose ports are capture files: the lcores' own code, without network and without privileges.
struct FileGateway {
  enum Direction { case seal, open }

  let config: String
  let input: String
  let output: String
  let port: String?
  let direction: Direction
  /// Opening: the clock in Unix seconds; nil accepts every epoch.
  var time: UInt64?

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// What happened, for the command to print; whether the input was cut.
  struct Outcome {
    let status: GatewayStatus
    let damage: String?
  }

  func run() throws -> Outcome {
    let file = try ConfigurationFile.load(config)
    guard let keys = file.keys else {
      throw Failure(
        description: "\(config): found `key_agent`, expected `keys`: captures are sealed and opened with a keys file")
    }
    let groups = keys.groups(at: NodeSystem.clock())
    var plan = file.configuration.plan(groups: groups)
    let (source, sink) = try chosen(plan)
    let (count, damage) = try frames(largest: Int(plan.ports[source].mtu))
    for index in plan.ports.indices {
      let reads = index == source && count > 0 ? "rx_pcap=\(input)," : ""
      let writes = "tx_pcap=\(index == sink ? output : "/dev/null")"
      plan.ports[index].device = "net_pcap\(index),\(reads)\(writes)"
      plan.ports[index].isCapture = true
    }
    var settings = file.configuration.settings(
      time: direction == .seal ? .record(path: file.configuration.identity.record) : time.map { .fixed($0) } ?? .any)
    settings.lcores = 1
    settings.isDedicated = false
    settings.capture = nil
    // A capture may hold a packet twice, and is opened as often as one likes.
    settings.replay = nil
    for index in plan.policies.indices { plan.policies[index].replayWindow = 0 }
    let gateway = try settings.start(plan: plan, groups: groups)
    follow(gateway, until: UInt64(count))
    gateway.stop()
    return Outcome(status: gateway.status, damage: damage)
  }

  /// Which port reads the input and which writes the output.
  private func chosen(_ plan: GatewayPlan) throws -> (source: Int, sink: Int) {
    for path in [input, output] where path.contains(",") {
      throw Failure(
        description: "\(path): found a comma in the path, which the capture driver cannot take; rename the file")
    }
    let clear = plan.ports.indices.filter {
      plan.ports[$0].role == .clear && (port == nil || plan.ports[$0].name == port)
    }
    guard let first = clear.first, clear.count == 1 else {
      let names = plan.ports.filter { $0.role == .clear }.map(\.name).joined(separator: ", ")
      throw Failure(
        description:
          "found \(clear.count) clear ports to use, expected one; name it with --port (clear ports: \(names))")
    }
    let wanted = plan.ports[first].pair
    guard
      let protected = plan.ports.indices.first(where: {
        plan.ports[$0].role == .protected && (wanted == nil || wanted == $0)
      })
    else { throw Failure(description: "found no protected port in \(config), expected one") }
    return direction == .seal ? (first, protected) : (protected, first)
  }

  /// Frames in the input, whole ones; a cut file is used up to the cut.
  private func frames(largest: Int) throws -> (count: Int, damage: String?) {
    var reader = try CaptureReader(path: input)
    var count = 0
    do {
      while let record = try reader.next() {
        guard record.linkType == .ethernet else {
          throw Failure(
            description:
              "\(input): packet \(count + 1) is not an Ethernet frame; seal and open take captures of link type Ethernet"
          )
        }
        count += 1
      }
    } catch let damage as CaptureDamage {
      return (count, "\(damage)")
    }
    return (count, nil)
  }

  /// Waits until all frames are through, and says how far it is on a terminal.
  private func follow(_ gateway: any RunningGateway, until count: UInt64) {
    let isTerminal = isatty(STDERR_FILENO) == 1
    var told = Date()
    var last: UInt64 = 0
    var idleSince = Date()
    while true {
      let received = gateway.status.totals.in
      if received >= count { return }
      if received != last { (last, idleSince) = (received, Date()) }
      // The driver may see fewer frames than the reader, such as ones that are longer than any buffer.
      if Date().timeIntervalSince(idleSince) > 2 { return }
      if isTerminal, Date().timeIntervalSince(told) > 0.5 {
        StandardError.write("\r\(received) of \(count) frames")
        told = Date()
      }
      usleep(1000)
    }
  }
}
