import ArgumentParser
import Control
import Foundation
import KeyAgent
import Rotation

/// What an administrator does to root keys; all four are alike but for their words.
protocol RotationSubcommand: ParsableCommand, Sendable {
  static var action: String { get }
  var administrator: AdministratorOptions { get }
  var name: String? { get }
  var force: Bool { get }
  var waiting: WaitOptions { get }
}

struct WaitOptions: ParsableArguments {
  @Flag(name: .long, help: "Wait until it is done and every connected member is in step.")
  var wait = false

  @Option(name: .long, help: ArgumentHelp("How long to wait.", valueName: "time"))
  var timeout = "60s"

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws { _ = try seconds() }

  func seconds() throws -> Int {
    guard let seconds = AdministratorFile.seconds(timeout, in: 1...86400) else {
      throw ValidationError("found the time \"\(timeout)\", expected 1s to 86400s, such as 60s or 10m")
    }
    return seconds
  }
}

extension RotationSubcommand {
  func run() throws {
    try administrator.run("keys \(Self.action)") {
      var reports: [ControllerReport] = []
      var missing = name != nil
      let clients = try administrator.clients()
      for client in clients {
        let keys: [RootKeyReport] = try await client.get("/v1/root-keys")
        let names = keys.map(\.name).filter { name == nil || $0 == name }
        guard !names.isEmpty else { continue }
        missing = false
        for name in names {
          let path = "/v1/root-keys/\(name)/\(Self.action)"
          let _: RootKeyReport = try await client.post(path, RotationCommand(force: force))
        }
        reports.append(try await report(client, names, before: keys))
        await client.shutdown()
      }
      if missing, let name {
        throw AdministrationError(
          "found no root key \(name) at \(clients.map(\.endpoint.name).joined(separator: ", ")); `keyweave keys status` "
            + "lists them")
      }
      if waiting.json {
        try Output.json(reports)
      } else {
        for report in reports { for line in report.lines(allMembers: false) { print(line) } }
      }
    }
  }

  private func report(
    _ client: AdministratorClient, _ names: [String], before: [RootKeyReport]
  ) async throws -> ControllerReport {
    let only = names.count == 1 ? names[0] : nil
    var report = try await ControllerReport(client, name: only)
    guard waiting.wait else { return report }
    let end = Date().addingTimeInterval(Double(try waiting.seconds()))
    while !isDone(report, before) {
      guard Date() < end else {
        let missing = Set(report.rootKeys.flatMap(\.missing)).sorted()
        let obstacles = report.rootKeys.flatMap { key in key.obstacles.map { "\(key.name): \($0)" } }
        throw AdministrationError(
          "\(client.endpoint.name): not done within \(waiting.timeout)"
            + (obstacles.isEmpty ? "" : "; " + obstacles.joined(separator: "; "))
            + (missing.isEmpty ? "" : "; missing: " + missing.joined(separator: ", "))
            + "; it goes on without this command: `keyweave keys status` shows how far it is")
      }
      try await Task.sleep(for: .milliseconds(200))
      report = try await ControllerReport(client, name: only)
    }
    return report
  }

  /// The action has had its effect, and every connected member acknowledged it.
  private func isDone(_ report: ControllerReport, _ before: [RootKeyReport]) -> Bool {
    guard report.isConverged else { return false }
    guard Self.action == "rotate" else { return true }
    return report.rootKeys.allSatisfy { key in
      let old = before.first { $0.name == key.name }?.generation(.current) ?? 0
      return key.generation(.next) == nil && (key.generation(.current) ?? 0) > old
    }
  }
}

/// `keyweave keys rotate`.
struct KeysRotate: RotationSubcommand {
  static let action = "rotate"
  static let configuration = CommandConfiguration(
    commandName: action,
    abstract: "Stage a new generation and make it current as soon as every connected member has it.",
    discussion: """
      No packet is lost: members open the new generation before anybody seals with it. A generation that is staged already
      is used. --force passes over members that do not answer; they lose their traffic until they do.

      EXAMPLES
        keyweave keys rotate --wait
        keyweave keys rotate region1 --controller region --wait --timeout 5m

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @Argument(help: "The root key; without it, every root key of the controllers asked.")
  var name: String?
  @Flag(help: "Pass over what is missing; the audit log says so.")
  var force = false
  @OptionGroup var waiting: WaitOptions
}

/// `keyweave keys stage`.
struct KeysStage: RotationSubcommand {
  static let action = "stage"
  static let configuration = CommandConfiguration(
    commandName: action, abstract: "Make the next generation and offer it; nobody seals with it yet.",
    discussion: """
      EXAMPLES
        keyweave keys stage region1 --wait

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @Argument(help: "The root key; without it, every root key of the controllers asked.")
  var name: String?
  @OptionGroup var waiting: WaitOptions
  var force: Bool { false }
}

/// `keyweave keys promote`.
struct KeysPromote: RotationSubcommand {
  static let action = "promote"
  static let configuration = CommandConfiguration(
    commandName: action, abstract: "Make the staged generation current now, if every connected member has it.",
    discussion: """
      It is refused, with the list of who is missing, while a connected member has not acknowledged it, while too few of
      all members have it, and for a second after the last acknowledgement.

      EXAMPLES
        keyweave keys promote region1
        keyweave keys promote region1 --force

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @Argument(help: "The root key; without it, every root key of the controllers asked.")
  var name: String?
  @Flag(help: "Pass over what is missing; the audit log says so.")
  var force = false
  @OptionGroup var waiting: WaitOptions
}

/// `keyweave keys revoke`.
struct KeysRevoke: RotationSubcommand {
  static let action = "revoke"
  static let configuration = CommandConfiguration(
    commandName: action, abstract: "End the current generation at once, because somebody has it who should not.",
    discussion: """
      The staged generation takes over at once, and packets under way are lost. With nothing staged members stop sending
      until the next rotation: `keyweave keys rotate NAME`. Members out of contact go on until the generation ends.

      EXAMPLES
        keyweave keys stage region1 --wait && keyweave keys revoke region1 --wait

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @Argument(help: ArgumentHelp("The root key.", valueName: "name"))
  var rootKey: String
  @OptionGroup var waiting: WaitOptions
  var name: String? { rootKey }
  var force: Bool { false }
}
