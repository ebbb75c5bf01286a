import Control
import DataPlane
import Foundation
import Glibc
import KeyAgent
import Keys

/// One gateway of the lab: its configuration file, its process, its control socket.
final class LabGateway {
  let name: String
  private var process: Child?

  init(_ name: String) { self.name = name }

  /// What its configuration says beside its name, control socket and ports; every element is one of YAML's.
  struct Text {
    /// Who it is and where its keys come from.
    var keys: String
    /// The group of packets without options, by protected port, where it is not the default one.
    var defaultGroups: [String: String] = [:]
    var peers: [String] = []
    var routes: [String] = []
    var groups: [String] = []
    var proxies: [String] = []
    /// The port it captures and the file; nil captures nothing.
    var capture: (port: String, file: String)?
    /// The capture stops growing here, so that a demo's disk use is bounded.
    var captureLimit = 160 << 20
  }

  var configuration: String { "\(Lab.directory)/\(name).yaml" }
  var socket: String { "\(Lab.directory)/\(name).sock" }
  var log: String { (process?.outputText ?? "") + (process?.errorText ?? "") }
  var isRunning: Bool { process?.isRunning ?? false }
  var pid: pid_t { process?.pid ?? 0 }

  /// Writes the configuration file that a person would write.
  func configure(_ text: Text, in lab: Lab) throws(LabError) {
    let ports = lab.topology.ports(of: name).map { use, end in
      let addresses = end.addresses.map { "\"\($0)\"" }.joined(separator: ", ")
      let role = use == .clear ? "clear" : "protected"
      let group = text.defaultGroups[end.device].map { ", default_group: \($0)" } ?? ""
      return "{ name: \(end.device), device: \(end.device), role: \(role), mtu: \(lab.sizes.mtu(use)), "
        + "addresses: [\(addresses)]\(group) }"
    }
    let sections = [
      ("ports", ports), ("peers", text.peers), ("routes", text.routes), ("groups", text.groups),
      ("proxies", text.proxies),
    ]
    var lines = ["name: \(name)", text.keys, "control_socket: \(socket)"]
    for (section, elements) in sections where !elements.isEmpty {
      lines.append("\(section):")
      lines += elements.map { "  - \($0)" }
    }
    if let capture = text.capture {
      lines.append("capture: { port: \(capture.port), file: \(capture.file), max_octets: \(text.captureLimit) }")
    }
    try Lab.write(lines.joined(separator: "\n") + "\n", to: configuration)
  }

  /// Starts `keyweave run`.
  func start(in lab: Lab) throws(LabError) {
    process = try lab.start(
      in: name, [Sandbox.program, "run", "--config", configuration],
      environment: ["RUNTIME_DIRECTORY": Lab.directory])
  }

  /// Waits until the gateway answers on its control socket.
  func awaitReady(deadline: Double = 15) throws(LabError) {
    let start = Clock.seconds
    while Clock.seconds - start < deadline {
      guard isRunning else { break }
      if (try? status()) != nil { return }
      usleep(20_000)
    }
    throw .failed("\(name) does not answer on \(socket); its last lines:\n\(lastLines)")
  }

  /// What the gateway says of itself over its control socket.
  func status() throws -> GatewayStatus {
    try GatewayStatus.ask(at: [socket], timeout: 3)
  }

  /// The same, where it must answer.
  func answer() throws(LabError) -> GatewayStatus {
    do {
      return try status()
    } catch { throw .failed("\(name) does not say how it is: \(error); its last lines:\n\(lastLines)") }
  }

  /// Takes a changed configuration up.
  func reload(in lab: Lab) throws(LabError) {
    let reloaded = try lab.run(in: name, [Sandbox.program, "reload", "--socket", socket])
    guard reloaded.succeeded else { throw .failed("\(name) does not reload:\n\(reloaded.account)") }
  }

  /// Waits until it has keys to seal with.
  func awaitKeys(deadline: Double = 15) throws(LabError) {
    let start = Clock.seconds
    while Clock.seconds - start < deadline {
      if let status = try? status(), status.groups.contains(where: { $0.sealEpoch != nil }) { return }
      usleep(20_000)
    }
    throw .failed("\(name) got no keys; its last lines:\n\(lastLines)")
  }

  /// The generation of a root key that its lcores seal with.
  func generation(of rootKey: String) -> UInt64? {
    let status = try? ServiceStatus.ask(at: [socket], timeout: 3)
    return status?.keyAgent?.controllers.flatMap(\.rootKeys).first { $0.name == rootKey }?.current
  }

  /// The connection that it has as an outside client.
  var connection: ConnectionStatus? { (try? ServiceStatus.ask(at: [socket], timeout: 3))?.connection }

  /// SIGTERM, without waiting for its end.
  func askToStop() { if isRunning { Glibc.kill(pid, SIGTERM) } }

  /// SIGTERM: it drains, closes its capture and ends.
  @discardableResult
  func stop() -> Child.Ending? { process?.stop(grace: 8) }

  /// SIGKILL: whatever it held is gone.
  func kill() { process?.stop(signal: SIGKILL) }

  var lastLines: String {
    log.split(separator: "\n").suffix(12).map { "  \($0)" }.joined(separator: "\n")
  }
}

extension Lab {
  /// Root keys for both gateways, fresh for each lab: what `keyweave keys new --group demo` makes.
  static func makeKeys(at path: String) throws(LabError) {
    let template = KeysFile.Template(groups: ["demo"], levels: [.trustRegion], epochPeriod: 600, generations: 2)
    do {
      try KeysFile.create(path, template, at: UInt64(Date().timeIntervalSince1970))
    } catch { throw .failed("\(error)") }
  }
}
