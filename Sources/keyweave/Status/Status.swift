import ArgumentParser
import Control
import DataPlane
import Foundation
import Glibc

/// Where a command finds the gateway it talks to.
struct GatewayOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The gateway's configuration; its control socket is used.", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("The gateway's control socket.", valueName: "path"))
  var socket: String?

  func validate() throws {
    guard (config == nil) != (socket == nil) else {
      throw ValidationError("say which gateway: either --config FILE or --socket PATH")
    }
  }

  /// The sockets to try, in turn. A configuration with mistakes still names its gateway only when it loads, so it must.
  func sockets() throws -> [String] {
    if let socket { return [socket] }
    let configuration = try ConfigurationFile.load(config ?? "").configuration
    return configuration.controlSocket.map { [$0] } ?? ControlSocket.defaultPaths(name: configuration.name)
  }

  /// Runs what asks the gateway; a refusal becomes a sentence and the exit code of a failure.
  func ask(_ command: String, _ body: ([String]) throws -> Void) throws {
    do {
      try body(sockets())
    } catch let error where error is ControlError || error is Mistakes || error is DecodingError {
      FileHandle.standardError.write(Data("keyweave \(command): \(error)\n".utf8))
      throw ExitCodes.failure.exit
    }
  }
}

/// `keyweave status`: what a running gateway says of itself.
struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Asks a running gateway for its ports, lcores, peers, groups, counters and drops.",
    discussion: """
      EXAMPLES
        keyweave status --config gateway.yaml
        keyweave status --socket /run/keyweave/gateway-a.sock --watch
        keyweave status --config gateway.yaml --json | jq .drops

      \(ExitCodes.help)
      """)

  @OptionGroup var gateway: GatewayOptions

  @Flag(help: "Print the gateway's answer as JSON.")
  var json = false

  @Flag(help: "Ask again every second until Ctrl-C, with rates.")
  var watch = false

  func run() throws {
    try gateway.ask("status") { sockets in
      guard watch else { return try show(sockets) }
      try follow(sockets)
    }
  }

  private func show(_ sockets: [String]) throws {
    if json {
      FileHandle.standardOutput.write(try ControlSocket.ask(.status, at: sockets) + Data("\n".utf8))
    } else {
      let status = try ServiceStatus.ask(at: sockets)
      for line in StatusReport(status, before: nil, Paint.terminal).lines { print(line) }
    }
  }

  /// With `--json`, one answer per second, one after the other; otherwise the screen is drawn anew.
  private func follow(_ sockets: [String]) throws {
    var before: ServiceStatus?
    while true {
      if json {
        try show(sockets)
      } else {
        let status = try ServiceStatus.ask(at: sockets)
        let lines = StatusReport(status, before: before, Paint.terminal).lines
        // Home, then erase what is left of the last drawing: no flicker.
        let clear = isatty(STDOUT_FILENO) == 1 ? "\u{1B}[H\u{1B}[J" : ""
        FileHandle.standardOutput.write(Data((clear + lines.joined(separator: "\n") + "\n").utf8))
        before = status
      }
      sleep(1)
    }
  }
}
