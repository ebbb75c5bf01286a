import Foundation
import Glibc
import Identity
import Vault

/// Controllers for the lab's gateways: certificates by an authority of the lab's own, stores in its folder, in a namespace
/// that every gateway reaches by a link beside the fabric.
final class LabControllers {
  /// One authority with one root key.
  struct Controller {
    let name: String
    let rootKey: String
    let level: String
    var epochPeriod = 600
    /// The first number it gives; nil: it is no identity authority.
    var firstDeviceID: String?
    var servesClients = false
  }

  /// A trust group as a member's configuration names it.
  struct Group {
    let name: String
    let controllers: [String]
    var isDefault = true
  }

  static let namespace = "controllers"
  static let domain = "lab.example"
  private static let address = "10.9.0.1"
  static let administrator = "\(Lab.directory)/administrator.yaml"

  let all: [Controller]
  private let lab: Lab
  private let authority: CertificateAuthority
  private var processes: [Child] = []

  /// Makes certificates and configurations, lays a link to each of `gateways` and starts all controllers.
  init(_ all: [Controller], gateways: [String], in lab: Lab) throws(LabError) {
    self.all = all
    self.lab = lab
    try lab.build(Self.network(gateways))
    authority = try Self.attempt {
      try CertificateAuthority.create(directory: "\(Lab.directory)/ca", trustDomain: Self.domain, days: 1)
      return try CertificateAuthority(directory: "\(Lab.directory)/ca")
    }
    try makeFiles()
    for gateway in gateways {
      try issue("dpu/\(gateway)", gateway)
      try Self.attempt { try WrappingKeySource.file("\(Lab.directory)/\(gateway).kek").create() }
    }
    try start()
  }

  /// Starts all of them, also again after `stop`.
  func start() throws(LabError) {
    processes = try all.map { controller throws(LabError) in
      let file = "\(Lab.directory)/\(controller.name)"
      let isNew = access(file + ".kek", F_OK) != 0
      return try lab.start(
        in: Self.namespace,
        [Sandbox.program, "controller", "--config", file + ".yaml"] + (isNew ? ["--create-wrapping-key"] : []))
    }
    for (controller, process) in zip(all, processes) {
      let start = Clock.seconds
      while !process.outputText.contains("ready on https://") {
        guard process.isRunning, Clock.seconds - start < 15 else {
          throw .failed("the controller \(controller.name) does not start:\n\(process.outputText)\(process.errorText)")
        }
        usleep(10_000)
      }
    }
  }

  /// Ends them at once, as a power cut would. Gateways that shall end too do so sooner then: a long poll's connection waits
  /// for the other side's farewell.
  func stop() { for process in processes { process.stop(signal: SIGKILL) } }

  /// Lets a gateway in at these controllers, to have their root keys.
  func enrol(_ gateway: String, at controllers: [String], pool: String? = nil) throws(LabError) {
    for controller in all where controllers.contains(controller.name) {
      let enrolled = try administer(
        [
          "members", "enrol", "--controller", controller.name, "--certificate", "\(Lab.directory)/\(gateway).pem",
          "--root-key", controller.rootKey,
        ] + (pool.map { ["--pool", $0] } ?? []))
      guard enrolled.succeeded else { throw .failed("\(gateway) cannot be enrolled:\n\(enrolled.account)") }
    }
  }

  /// One of the administrator's commands.
  func administer(_ command: [String]) throws(LabError) -> Finished {
    try lab.run(in: Self.namespace, [Sandbox.program] + command + ["--config", Self.administrator])
  }

  /// A certificate in the lab's directory.
  @discardableResult
  func issue(_ path: String, _ name: String) throws(LabError) -> PublicKeyPin {
    try Self.attempt {
      guard let id = SPIFFEID("spiffe://\(Self.domain)/\(path)") else { throw LabError.failed("no name: \(path)") }
      return try authority.issue(id: id, out: "\(Lab.directory)/\(name)", days: 1)
    }
  }

  /// Milliseconds since 1970 at which a controller last promoted a generation, out of its audit log.
  static func promotion(by controller: Controller) -> Double? {
    struct Entry: Decodable {
      var time: Double
      var action: String
    }
    let log = FileManager.default.contents(atPath: "\(Lab.directory)/\(controller.name).audit.jsonl") ?? Data()
    let entries = log.split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONDecoder().decode(Entry.self, from: Data($0))
    }
    return entries.last { $0.action == "promote" }?.time
  }

  private static func attempt<Value>(_ body: () throws -> Value) throws(LabError) -> Value {
    do {
      return try body()
    } catch let error as LabError {
      throw error
    } catch { throw .failed("\(error)") }
  }
}

/// What they and their members are configured with.
extension LabControllers {
  private func port(of controller: Controller) -> Int {
    8441 + (all.firstIndex { $0.name == controller.name } ?? 0)
  }

  private func makeFiles() throws(LabError) {
    let pin = try issue("admin/demo", "administrator")
    for controller in all {
      try issue("controller/\(controller.name)", controller.name)
      try Lab.write(configuration(of: controller, pin: pin), to: "\(Lab.directory)/\(controller.name).yaml")
    }
    try Lab.write(
      """
      certificate: administrator.pem
      key: administrator.key
      authority: ca/ca.pem
      controllers:
      \(endpoints(all, indent: "  "))

      """, to: Self.administrator)
  }

  private func configuration(of controller: Controller, pin: PublicKeyPin) -> String {
    let period = "epoch_period: \(controller.epochPeriod)s, lifetime: 24h"
    return """
      name: \(controller.name)
      listen: "\(Self.address):\(port(of: controller))"
      certificate: \(controller.name).pem
      key: \(controller.name).key
      authority: ca/ca.pem
      wrapping_key: { file: \(controller.name).kek }
      store: { file: \(controller.name).db }
      audit_file: \(controller.name).audit.jsonl
      \(controller.firstDeviceID.map { "identity_authority: { first_device_id: \"\($0)\" }" } ?? "")
      administrators:
        - { id: "spiffe://\(Self.domain)/admin/demo", public_keys: ["\(pin)"] }
      root_keys:
        - { name: \(controller.rootKey), level: \(controller.level), \(period), clients: \(controller.servesClients) }

      """
  }

  private func endpoints(_ controllers: [Controller], indent: String) -> String {
    controllers.map { controller in
      "\(indent)- { name: \(controller.name), url: \"https://\(Self.address):\(port(of: controller))\", "
        + "id: \"spiffe://\(Self.domain)/controller/\(controller.name)\" }"
    }.joined(separator: "\n")
  }

  /// What a gateway's configuration says instead of a keys file. Each group's identity authority says who the gateway is in
  /// it; the first group's comes first.
  func keyAgent(of gateway: String, groups: [Group]) -> String {
    let mine = all.filter { controller in groups.contains { $0.controllers.contains(controller.name) } }
    func authority(_ group: Group) -> String? {
      mine.first { $0.firstDeviceID != nil && group.controllers.contains($0.name) }?.name
    }
    let first = groups.first.flatMap(authority) ?? ""
    let others = groups.filter { authority($0) != first }.map { group in
      "{ group: \(group.name), controller: \(authority(group) ?? "") }"
    }
    let lines = groups.map { group in
      let controllers = mine.filter { group.controllers.contains($0.name) }
      let keys = controllers.map { "\($0.name)/\($0.rootKey)" }.joined(separator: ", ")
      return "    - { name: \(group.name), default: \(group.isDefault), "
        + "epoch_period: \(controllers.first?.epochPeriod ?? 600)s, root_keys: [\(keys)] }"
    }
    return """
      identity:
        controller: \(first)
        record: \(gateway).agent.record\(others.isEmpty ? "" : "\n  groups: [\(others.joined(separator: ", "))]")
      key_agent:
        certificate: \(gateway).pem
        key: \(gateway).key
        authority: ca/ca.pem
        state: \(gateway).state
        wrapping_key: { file: \(gateway).kek }
        controllers:
      \(endpoints(mine, indent: "    "))
        trust_groups:
      \(lines.joined(separator: "\n"))
      """
  }

  /// The address of a gateway's own end of its link to the controllers, by its place in the list.
  static func managementAddress(_ place: Int) -> String { "10.9.\(place + 1).2" }

  /// A link to each gateway; the controllers' address is none of them, and the links lead to each other too.
  private static func network(_ gateways: [String]) -> Topology {
    var network = Topology(nodes: [.init(name: namespace, kind: .router, loopback: "\(address)/32")])
    for (place, gateway) in gateways.enumerated() {
      let hub = "10.9.\(place + 1).1"
      network.wires.append(
        .init(
          .management, .init(node: namespace, device: "to-\(place + 1)", addresses: ["\(hub)/24"]),
          .init(node: gateway, device: "control", addresses: ["\(managementAddress(place))/24"])))
      network.routes.append(.init(gateway, "10.9.0.0/16 via \(hub)"))
    }
    return network
  }
}
