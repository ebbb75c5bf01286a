import ArgumentParser
import Control
import Foundation

/// `keyweave reload`: a running gateway reads its configuration again.
struct Reload: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload",
    abstract: "Tells a running gateway to read its configuration and keys again.",
    discussion: """
      Applies the new files without losing a packet, or refuses them whole and says why; a gateway that refuses goes on
      as before.

      EXAMPLES
        keyweave reload --config gateway.yaml
        keyweave reload --socket /run/keyweave/gateway-a.sock --json

      \(ExitCodes.help)
      """)

  @OptionGroup var gateway: GatewayOptions

  @Flag(help: "Print the gateway's answer as JSON.")
  var json = false

  /// The gateway's answer.
  private struct Answer: Decodable {
    var ok: Bool?
    /// Why it refused.
    var error: String?
    var mistakes: [String]?
    /// Fields that changed and that only a restart applies.
    var restart: [String]?
    var warnings: [String]?
  }

  func run() throws {
    try gateway.ask("reload") { sockets in
      let data = try ControlSocket.ask(.reload, at: sockets)
      let answer = try JSONDecoder().decode(Answer.self, from: data)
      if json {
        FileHandle.standardOutput.write(data + Data("\n".utf8))
      } else {
        for line in Self.lines(answer) { print(line) }
      }
      if answer.ok != true { throw ExitCodes.failure.exit }
    }
  }

  private static func lines(_ answer: Answer) -> [String] {
    let warnings = (answer.warnings ?? []).map { "warning: \($0)" }
    if answer.ok == true { return warnings + ["The new configuration is in use."] }
    var lines = ["Refused; the gateway goes on as before."]
    if let error = answer.error { lines.append(error) }
    lines += answer.mistakes ?? []
    if let fields = answer.restart, !fields.isEmpty {
      lines.append("These need a restart: \(fields.joined(separator: ", "))")
    }
    return lines
  }
}
