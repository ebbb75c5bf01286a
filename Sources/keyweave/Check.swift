import ArgumentParser
import Control

/// `keyweave check`: what is wrong with a configuration and its keys file, all of it, or what they would do.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a configuration and its keys file; change nothing.",
    discussion: """
      Prints every mistake with its place, what was found, what was expected and what to do; then warnings, and when
      nothing is wrong a summary of what a gateway would do with it.

      EXAMPLES
        keyweave check --config gateway-a.yaml
        keyweave check --config gateway-a.yaml --json | jq '.mistakes[].path'

      \(ExitCodes.help)
      """)

  @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Flag(name: .long, help: "Print one JSON object: ok, mistakes, warnings, summary.")
  var json = false

  func run() throws {
    let report = CheckReport(path: config)
    print(json ? report.json : report.description)
    if !report.ok { throw ExitCodes.failure.exit }
  }
}
