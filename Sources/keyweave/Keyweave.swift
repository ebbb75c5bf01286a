import ArgumentParser

@main
struct Keyweave: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keyweave", abstract: "Stateless encryption for clusters, computed instead of stored.",
    subcommands: [Demo.self, DemoNames.self, Doctor.self, Inspect.self, Status.self])
}
