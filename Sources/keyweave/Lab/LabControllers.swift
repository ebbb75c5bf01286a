import Foundation
import Identity
import Vault

/// Three controllers for the lab's gateways: certificates by an authority of the lab's own, stores in its folder, in a
/// namespace that both gateways reach by links beside the fabric.
struct LabControllers {
  struct Controller {
    let name: String
    let rootKey: String
    let level: String
    let port: Int
  }

  static let all = [
    Controller(name: "region", rootKey: "region1", level: "trust-region", port: 8441),
    Controller(name: "users", rootKey: "hpc", level: "user-group", port: 8442),
    Controller(name: "tasks", rootKey: "train", level: "task-group", port: 8443),
  ]
  static let namespace = "controllers"
  private static let address = "10.9.0.1"
  private static let domain = "lab.example"
  static let administrator = "\(Lab.directory)/administrator.yaml"

  private var processes: [Child] = []

  /// Makes certificates and configurations, starts all three and enrols the gateways.
  init(in lab: inout Lab) throws(LabError) {
    try lab.shell(Self.wires)
    try Self.makeFiles()
    for controller in Self.all {
      let command = [
        Sandbox.program, "controller", "--config", "\(Lab.directory)/\(controller.name).yaml", "--create-wrapping-key",
      ]
      processes.append(try lab.start(in: Self.namespace, command))
    }
    for (controller, process) in zip(Self.all, processes) {
      let start = Clock.seconds
      while !process.outputText.contains("ready on https://") {
        guard process.isRunning, Clock.seconds - start < 15 else {
          throw .failed("the controller \(controller.name) does not start:\n\(process.outputText)\(process.errorText)")
        }
        usleep(10_000)
      }
    }
    for controller in Self.all {
      for side in Lab.sides {
        let enrolled = try Self.run(
          in: &lab,
          [
            "members", "enrol", "--controller", controller.name, "--certificate",
            "\(Lab.directory)/\(side.gateway).pem",
            "--root-key", controller.rootKey,
          ])
        guard enrolled.succeeded else { throw .failed("\(side.gateway) cannot be enrolled:\n\(enrolled.account)") }
      }
    }
  }

  /// One of the administrator's commands.
  static func run(in lab: inout Lab, _ command: [String]) throws(LabError) -> Finished {
    try lab.run(in: namespace, [Sandbox.program] + command + ["--config", administrator])
  }

  func stop() { for process in processes { process.stop() } }

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

  private static func makeFiles() throws(LabError) {
    do {
      let authority = "\(Lab.directory)/ca"
      try CertificateAuthority.create(directory: authority, trustDomain: domain, days: 1)
      let ca = try CertificateAuthority(directory: authority)
      func issue(_ path: String, _ name: String) throws -> PublicKeyPin {
        guard let id = SPIFFEID("spiffe://\(domain)/\(path)") else { throw LabError.failed("no name: \(path)") }
        return try ca.issue(id: id, out: "\(Lab.directory)/\(name)", days: 1)
      }
      let pin = try issue("admin/demo", "administrator")
      for side in Lab.sides { _ = try issue("dpu/\(side.gateway)", side.gateway) }
      for controller in all {
        _ = try issue("controller/\(controller.name)", controller.name)
        try Lab.write(configuration(of: controller, pin: pin), to: "\(Lab.directory)/\(controller.name).yaml")
      }
      try Lab.write(
        """
        certificate: administrator.pem
        key: administrator.key
        authority: ca/ca.pem
        controllers:
        \(members(indent: "  "))

        """, to: administrator)
      for side in Lab.sides { try WrappingKeySource.file("\(Lab.directory)/\(side.gateway).kek").create() }
    } catch let error as LabError {
      throw error
    } catch { throw .failed("\(error)") }
  }

  private static func configuration(of controller: Controller, pin: PublicKeyPin) -> String {
    """
    name: \(controller.name)
    listen: "\(address):\(controller.port)"
    certificate: \(controller.name).pem
    key: \(controller.name).key
    authority: ca/ca.pem
    wrapping_key: { file: \(controller.name).kek }
    store: { file: \(controller.name).db }
    audit_file: \(controller.name).audit.jsonl
    \(controller.name == "region" ? "identity_authority: { first_device_id: \"00000001\" }" : "")
    administrators:
      - { id: "spiffe://\(domain)/admin/demo", public_keys: ["\(pin)"] }
    root_keys:
      - { name: \(controller.rootKey), level: \(controller.level), epoch_period: 600s, lifetime: 24h }

    """
  }

  private static func members(indent: String) -> String {
    all.map { controller in
      "\(indent)- { name: \(controller.name), url: \"https://\(address):\(controller.port)\", "
        + "id: \"spiffe://\(domain)/controller/\(controller.name)\" }"
    }.joined(separator: "\n")
  }

  /// What a gateway's configuration says instead of a keys file.
  static func keyAgent(of side: Lab.Side) -> String {
    """
    identity: { controller: region, record: \(side.gateway).agent.record }
    key_agent:
      certificate: \(side.gateway).pem
      key: \(side.gateway).key
      authority: ca/ca.pem
      state: \(side.gateway).state
      wrapping_key: { file: \(side.gateway).kek }
      controllers:
    \(members(indent: "    "))
      trust_groups:
        - name: demo
          default: true
          epoch_period: 600s
          root_keys: [\(all.map { "\($0.name)/\($0.rootKey)" }.joined(separator: ", "))]
    """
  }

  /// A link to each gateway; the controllers' address is none of them.
  private static var wires: String {
    let links = Lab.sides.map { side in
      """
      ip link add name to-\(side.letter) netns \(namespace) type veth peer name control netns \(side.gateway)
      ip -n \(namespace) address add 10.9.\(side.number).1/24 dev to-\(side.letter)
      ip -n \(namespace) link set to-\(side.letter) up
      ip -n \(side.gateway) address add 10.9.\(side.number).2/24 dev control
      ip -n \(side.gateway) link set control up
      ip -n \(side.gateway) route add \(address)/32 via 10.9.\(side.number).1
      """
    }
    return """
      ip netns add \(namespace)
      ip -n \(namespace) link set lo up
      ip -n \(namespace) address add \(address)/32 dev lo
      \(links.joined(separator: "\n"))
      """
  }
}
