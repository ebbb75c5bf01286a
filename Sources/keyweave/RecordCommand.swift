import ArgumentParser
import Control
import Foundation
import KeyAgent
import Keys

/// `keyweave record`: what has to do with the counter record.
struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "The counter record that keeps nonces from being used twice.",
    subcommands: [RecordReset.self])
}

/// `keyweave record reset`: the way out of a record in the future.
struct RecordReset: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reset", abstract: "Forget the counter record of a stopped gateway, if that is safe.",
    discussion: """
      A record whose time lies in the future keeps a gateway from sealing until that time comes. It may be forgotten only
      when every trust group has a root key with a newer generation than all that this gateway sealed with; the sealed
      state knows. Otherwise this refuses, and says what to rotate.

      EXAMPLES
        keyweave record reset --config gateway-a.yaml

      \(ExitCodes.help)
      """)

  @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  func run() throws {
    do {
      let configuration = try ConfigurationFile.load(config).configuration
      let record = configuration.identity.record
      guard let settings = try configuration.keyAgentSettings() else {
        throw KeyAgentError(
          "\(config): found a keys file, expected `key_agent`: nobody remembers what this gateway sealed with; make new "
            + "keys for every gateway and give this one another device ID and another record")
      }
      guard FileManager.default.fileExists(atPath: record) else {
        throw KeyAgentError("\(record): found no record, so there is nothing to forget")
      }
      // Held to the end: nobody may start to seal between the look and the deed.
      let file = try RecordFile(path: record)
      try RecordResetCheck.run(settings)
      try withExtendedLifetime(file) { try FileManager.default.removeItem(atPath: record) }
      print("\(record): forgotten; the next start begins one epoch ahead, at random counts")
    } catch {
      StandardError.write("keyweave record reset: \(error)\n")
      throw ExitCodes.failure.exit
    }
  }
}
