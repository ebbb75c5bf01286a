import Control
import DataPlane
import Foundation
import Glibc
import KeyAgent
import Keys

/// One gateway of the lab: its configuration file, its process, its control socket.
final class LabGateway {
  let side: Lab.Side
  private let other: Lab.Side
  private var process: Child?

  init(side: Lab.Side, other: Lab.Side) {
    self.side = side
    self.other = other
  }

  /// How one run is set up.
  struct Plan {
    var sizes: Lab.Sizes
    /// The port it captures and the file's name; nil captures nothing.
    var capture: (port: String, file: String)?
    /// The capture stops growing here, so that a demo's disk use is bounded.
    var captureLimit = 160 << 20
    /// The outer family of the tunnel.
    var outerIPv6 = false
    var carriage = "udp"
    /// Its keys come from `LabControllers`, not from a file.
    var hasKeyAgent = false
  }

  var configuration: String { "\(Lab.directory)/\(side.gateway).yaml" }
  var socket: String { "\(Lab.directory)/\(side.gateway).sock" }
  var log: String { (process?.outputText ?? "") + (process?.errorText ?? "") }
  var isRunning: Bool { process?.isRunning ?? false }
  var pid: pid_t { process?.pid ?? 0 }

  /// Writes the configuration file that a person would write.
  func configure(_ plan: Plan) throws(LabError) {
    let keys =
      plan.hasKeyAgent
      ? LabControllers.keyAgent(of: side)
      : "identity: { device_id: 0000000\(side.letter), member: 0, record: \(side.gateway).record }\nkeys: keys.yaml"
    var text = """
      name: \(side.gateway)
      \(keys)
      control_socket: \(socket)
      ports:
        - name: clear
          device: clear
          role: clear
          mtu: \(plan.sizes.host)
          addresses: [\(side.gatewayIPv4)/24, "\(side.gatewayIPv6)/64"]
        - name: fabric
          device: fabric
          role: protected
          mtu: \(plan.sizes.fabric)
          addresses: [\(side.fabricIPv4)/24, "\(side.fabricIPv6)/64"]
          default_group: demo
      peers:
        - { name: \(other.gateway), address: "\(plan.outerIPv6 ? other.fabricIPv6 : other.fabricIPv4)", \
      carriage: \(plan.carriage) }
      routes:
        - { to: \(other.prefixIPv4), peers: [\(other.gateway)], group: demo }
        - { to: "\(other.prefixIPv6)", peers: [\(other.gateway)], group: demo }
      groups:
        - { name: demo, may_speak: [\(other.prefixIPv4), "\(other.prefixIPv6)"], forms: [tunnel] }

      """
    if let capture = plan.capture {
      text += "capture: { port: \(capture.port), file: \(capture.file), max_octets: \(plan.captureLimit) }\n"
    }
    try Lab.write(text, to: configuration)
  }

  /// Starts `keyweave run`.
  func start(in lab: inout Lab) throws(LabError) {
    process = try lab.start(
      in: side.gateway, [Sandbox.program, "run", "--config", configuration],
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
    throw .failed("\(side.gateway) does not answer on \(socket); its last lines:\n\(lastLines)")
  }

  /// What the gateway says of itself over its control socket.
  func status() throws -> GatewayStatus {
    try GatewayStatus.ask(at: [socket], timeout: 3)
  }

  /// The generation of a root key that its lcores seal with.
  func generation(of rootKey: String) -> UInt64? {
    let status = try? ServiceStatus.ask(at: [socket], timeout: 3)
    return status?.keyAgent?.controllers.flatMap(\.rootKeys).first { $0.name == rootKey }?.current
  }

  /// SIGTERM: it drains, closes its capture and ends.
  @discardableResult
  func stop() -> Child.Ending? { process?.stop(grace: 8) }

  var lastLines: String {
    log.split(separator: "\n").suffix(12).map { "  \($0)" }.joined(separator: "\n")
  }
}

extension Lab {
  /// Writes a file that only we can read.
  static func write(_ text: String, to path: String) throws(LabError) {
    let made = FileManager.default.createFile(
      atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
    guard made else { throw .failed("cannot write \(path): \(String(cString: strerror(errno)))") }
  }

  /// Root keys for both gateways, fresh for each lab: what `keyweave keys new --group demo` makes.
  static func makeKeys(at path: String) throws(LabError) {
    let template = KeysFile.Template(groups: ["demo"], levels: [.trustRegion], epochPeriod: 600, generations: 2)
    do {
      try KeysFile.create(path, template, at: UInt64(Date().timeIntervalSince1970))
    } catch { throw .failed("\(error)") }
  }
}
