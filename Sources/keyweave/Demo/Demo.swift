import ArgumentParser
import Foundation
import Glibc

/// `keyweave demo`: two hosts, two gateways, real programs, a verdict.
struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Hosts talk through gateways on this machine; ends with PASS or FAIL.",
    discussion: """
      Makes network namespaces, needs no root and leaves nothing behind, also when it is killed.

      SCENARIOS
        basic    two hosts, two gateways: DNS, ping, curl, iperf3, jumbo frames, rotating keys
        pool     a pool of three members behind a router: one is killed, another joins
        proxy    three domains that share no key, joined by two proxies; each rotates its keys
        client   a gateway outside the trust group, served by any member of a pool; up to a minute

      EXAMPLES
        keyweave demo                      the basic one, under a minute
        keyweave demo --quick              without the jumbo run
        keyweave demo --scenario pool      another scenario
        keyweave demo --keep               leaves the lab up to play with
        keyweave demo --capture f.pcapng   keeps what crossed the fabric

      EXIT CODES
        0    PASS
        1    FAIL, or the lab cannot be made here: the sentence says why
        64   wrong usage
        130  ended with Ctrl-C
      """)

  @Flag(help: "Leave the lab up afterwards, say how to enter it, and wait for Ctrl-C.")
  var keep = false

  @Flag(help: "Print the report as one JSON object; progress goes to standard error.")
  var json = false

  @Flag(help: "Without the jumbo run of the basic scenario.")
  var quick = false

  @Option(help: ArgumentHelp("Keep the capture of the fabric.", valueName: "file"))
  var capture: String?

  @Option(help: "What to show, see above.")
  var scenario = DemoScenarioName.basic

  @Option(help: .hidden)
  var inside: Int32?

  func validate() throws {
    if quick, scenario != .basic {
      throw ValidationError("--quick: only the basic scenario has a jumbo run to leave out")
    }
    guard let capture else { return }
    let directory = URL(fileURLWithPath: capture).deletingLastPathComponent().path
    guard access(directory, W_OK) == 0 else {
      throw ValidationError("--capture \(capture): \(directory) is not a directory that you can write to")
    }
  }

  func run() throws {
    let code: Int32
    do {
      code = try inside.map { try scenario.perform(self, door: $0) ? 0 : 1 } ?? enter()
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      code = ExitCodes.failure.rawValue
    }
    throw ExitCode(code)
  }

  private func enter() throws(LabError) -> Int32 {
    let missing = Child.missing(of: Lab.programs)
    guard missing.isEmpty else {
      throw .failed("missing programs: \(missing.joined(separator: ", ")); sudo apt-get install \(Lab.packages)")
    }
    return try Sandbox.enter { door in arguments + ["--inside", "\(door)"] }
  }

  /// The same command again, for the inside.
  private var arguments: [String] {
    var words = ["demo", "--scenario", scenario.rawValue]
    if keep { words.append("--keep") }
    if json { words.append("--json") }
    if quick { words.append("--quick") }
    if let capture {
      words += ["--capture", URL(fileURLWithPath: capture).path]
    }
    return words
  }
}
