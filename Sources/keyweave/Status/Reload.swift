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

  /// The gateway's answer: what it did, or why it refused.
  private struct Answer: Decodable {
    var result: String?
    var error: String?
  }

  func run() throws {
    try gateway.ask("reload") { sockets in
      let data = try ControlSocket.ask(.reload, at: sockets)
      let answer = try JSONDecoder().decode(Answer.self, from: data)
      if json {
        FileHandle.standardOutput.write(data + Data("\n".utf8))
      } else {
        print(answer.result ?? "Refused; the gateway goes on as before.\n\(answer.error ?? "")")
      }
      if answer.result == nil { throw ExitCodes.failure.exit }
    }
  }
}
