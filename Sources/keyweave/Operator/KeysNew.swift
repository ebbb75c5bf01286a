import ArgumentParser
import Control
import Foundation
import Keys

/// `keyweave keys`: what has to do with root keys.
struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Look at root keys, rotate and revoke them; make keys files and wrapping keys.",
    subcommands: [
      KeysStatus.self, KeysRotate.self, KeysStage.self, KeysPromote.self, KeysRevoke.self, KeysNew.self,
      KeysWrappingKey.self,
    ])
}

/// `keyweave keys new`: random root keys in a new keys file.
struct KeysNew: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make random root keys and a keys file that only you can read.",
    discussion: """
      Every group gets its own root key for each level. The first group is the default group: it is used for packets
      without master key options. The file is written with mode 600 and never replaces another.

      EXAMPLES
        keyweave keys new --out keys.yaml
        keyweave keys new --group train --group storage --levels trust-region,task-group --out keys.yaml
        keyweave keys new --epoch-period 10m --generations 3 --out keys.yaml

      \(ExitCodes.help)
      """)

  @Option(name: .long, help: ArgumentHelp("A trust group's name; may be given several times.", valueName: "name"))
  var group: [String] = ["default"]

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Levels of root keys, between commas: trust-region, user-group, task-group.", valueName: "levels"))
  var levels = "trust-region"

  @Option(name: .long, help: ArgumentHelp("Length of an epoch, from 60s to 1800s.", valueName: "time"))
  var epochPeriod = "600s"

  @Option(name: .long, help: "1: current. 2: current and next. 3: previous, current and next.")
  var generations = 2

  @Option(name: .long, help: "The file to make.", completion: .file(extensions: ["yaml", "yml"]))
  var out: String

  func validate() throws {
    _ = try template()
  }

  func run() throws {
    do {
      try KeysFile.create(out, template(), at: UInt64(Date().timeIntervalSince1970))
    } catch let mistake as Mistake {
      FileHandle.standardError.write(Data("\(mistake)\n".utf8))
      throw ExitCodes.failure.exit
    }
    print("\(out): \(group.count) group\(group.count == 1 ? "" : "s"), mode 600. Give the same file to every gateway.")
  }

  private func template() throws -> KeysFile.Template {
    let levels = try levels.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let level = RootKeyLevel(name) else {
        throw ValidationError("found the level \"\(name)\", expected trust-region, user-group or task-group")
      }
      return level
    }
    guard let period = KeysFile.Template.period(epochPeriod) else {
      throw ValidationError("found the epoch period \"\(epochPeriod)\", expected a time from 60s to 1800s")
    }
    let template = KeysFile.Template(groups: group, levels: levels, epochPeriod: period, generations: generations)
    if let mistake = template.mistake { throw ValidationError(mistake) }
    return template
  }
}
