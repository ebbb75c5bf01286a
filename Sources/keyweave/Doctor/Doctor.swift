import ArgumentParser
import Foundation
import Glibc

/// `keyweave doctor`: what this machine has, what it lacks, and the command that mends it.
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Looks at CPU, memory, permissions, interfaces and clock; says what to mend and how.",
    discussion: """
      Examples:
        keyweave doctor                          the machine
        keyweave doctor --config gateway.yaml    the machine and the ports of this configuration
        keyweave doctor --json                   one object per finding, for machines

      Exit codes: 0 nothing fails (warnings may), 1 something fails, 65 the configuration cannot be read.
      """)

  @Option(help: ArgumentHelp("The configuration of the gateway that is to run here.", valueName: "file"))
  var config: String?

  @Flag(help: "Print a JSON array of findings.")
  var json = false

  func run() throws {
    let ports = try config.map { try DoctorPorts(file: $0) }
    var findings = DoctorMachine.findings() + DoctorLimits.findings(ports)
    if let ports { findings += ports.findings() }
    findings += DoctorClock.findings()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      FileHandle.standardOutput.write(try encoder.encode(findings) + Data("\n".utf8))
    } else {
      for line in Self.lines(findings, Paint.terminal) { print(line) }
    }
    throw ExitCode(findings.contains { $0.state == .fail } ? 1 : 0)
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
      for (index, text) in wrapped(finding.found, to: 98 - indent.count).enumerated() {
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

  /// Breaks at spaces; a word that is longer than a line stands alone.
  private static func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return lines + [line]
  }
}

extension Paint {
  /// Colour on standard output when a person looks at it.
  static var terminal: Paint { Paint(enabled: isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil) }
}
