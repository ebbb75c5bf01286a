import ArgumentParser

@main
struct Keyweave: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keyweave", abstract: "Stateless encryption for clusters, computed instead of stored.",
    subcommands: [
      Check.self, Demo.self, DemoNames.self, Doctor.self, Inspect.self, KeysCommand.self, Reload.self, Status.self,
    ])
}
