import ArgumentParser
import Foundation
import Glibc

/// Where a command finds the gateway it talks to.
struct GatewayOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The gateway's configuration; its control socket is used.", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("The gateway's control socket.", valueName: "path"))
  var socket: String?

  func path() throws -> String {
    if let socket { return socket }
    throw ValidationError("say which gateway: --config FILE or --socket PATH")
  }
}

/// `keyweave status`: what a running gateway says of itself.
struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Asks a running gateway for its ports, lcores, peers, groups, counters and drops.",
    discussion: """
      Examples:
        keyweave status --config gateway.yaml
        keyweave status --socket /run/keyweave/gateway-a.sock --watch
        keyweave status --config gateway.yaml --json | jq .drops

      Exit codes: 0 it answered, 69 no gateway answers there.
      """)

  @OptionGroup var gateway: GatewayOptions

  @Flag(help: "Print the gateway's answer as JSON.")
  var json = false

  @Flag(help: "Ask again every second until Ctrl-C, with rates.")
  var watch = false

  func run() throws {
    let socket = try gateway.path()
    do {
      guard watch else { return try show(socket) }
      try follow(socket)
    } catch let failure as ControlClient.Failure {
      FileHandle.standardError.write(Data("\(failure)\n".utf8))
      throw ExitCode(69)
    }
  }

  private func show(_ socket: String) throws {
    if json {
      var answer = try ControlClient.ask("status", socket: socket)
      if answer.last != 10 { answer.append(10) }
      FileHandle.standardOutput.write(answer)
    } else {
      let status = try GatewayStatus.ask(socket: socket)
      for line in StatusReport(status, before: nil, Paint.terminal).lines { print(line) }
    }
  }

  /// With `--json`, one answer per second, one after the other; otherwise the screen is drawn anew.
  private func follow(_ socket: String) throws {
    var before: GatewayStatus?
    while true {
      if json {
        try show(socket)
      } else {
        let status = try GatewayStatus.ask(socket: socket)
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
