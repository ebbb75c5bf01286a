import ArgumentParser
import Control
import Foundation
import Glibc

/// `keyweave doctor`: what this machine has, what it lacks, and the command that mends it.
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Looks at CPU, memory, permissions, interfaces and clock; says what to mend and how.",
    discussion: """
      EXAMPLES
        keyweave doctor                          the machine
        keyweave doctor --config gateway.yaml    the machine and the ports of this configuration
        keyweave doctor --json                   an array with one object per finding

      EXIT CODES
        0   nothing fails; there may be warnings
        1   something fails
        64  wrong usage
      """)

  @Option(help: ArgumentHelp("The configuration of the gateway that is to run here.", valueName: "file"))
  var config: String?

  @Flag(help: "Print a JSON array of findings.")
  var json = false

  func run() throws {
    var findings: [DoctorFinding] = []
    var configuration: Configuration?
    if let config {
      do throws(Mistakes) {
        configuration = try ConfigurationFile.load(config).configuration
        findings.append(.ok("configuration", "\(config) and its keys file are right"))
      } catch {
        let first = error.all.first.map { ", the first: \($0)" } ?? ""
        findings.append(
          .fail(
            "configuration", "\(error.all.count) mistakes\(first)",
            fix: "keyweave check --config \(config) shows them all; ports are looked at when there are none"))
      }
    }
    let ports = configuration.map(DoctorPorts.init)
    findings += DoctorMachine.findings(configuration?.engine) + DoctorLimits.findings(ports)
    findings += ports?.findings() ?? []
    findings += configuration.map(DoctorAgent.findings) ?? []
    findings += DoctorClock.findings()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      FileHandle.standardOutput.write(try encoder.encode(findings) + Data("\n".utf8))
    } else {
      for line in Self.lines(findings, Paint.terminal) { print(line) }
    }
    if findings.contains(where: { $0.state == .fail }) { throw ExitCodes.failure.exit }
  }

  private static func lines(_ findings: [DoctorFinding], _ paint: Paint) -> [String] {
    let width = findings.map(\.subject.count).max() ?? 0
    var lines: [String] = []
    for finding in findings {
      let mark =
        switch finding.state {
        case .ok: paint.good("ok  ")
        case .warn: paint.doubtful("warn")
        case .fail: paint.bad("FAIL")
        }
      let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
      let indent = String(repeating: " ", count: width + 10)
      for (index, text) in TextTable.wrapped(finding.found, to: 98 - indent.count).enumerated() {
        lines.append(index == 0 ? "  \(mark)  \(subject)  \(text)" : indent + text)
      }
      if let fix = finding.fix { lines.append(indent + paint.strong("mend: ") + fix) }
    }
    let failures = findings.count { $0.state == .fail }
    let warnings = findings.count { $0.state == .warn }
    lines.append("")
    lines.append("  \(findings.count) findings: \(failures) fail, \(warnings) warn")
    return lines
  }
}

extension Paint {
  /// Colour on standard output when a person looks at it.
  static var terminal: Paint { Paint(enabled: isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil) }
}
