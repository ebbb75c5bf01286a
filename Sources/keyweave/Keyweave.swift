import ArgumentParser

@main
struct Keyweave: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keyweave", abstract: "Stateless encryption for clusters, computed instead of stored.",
    subcommands: [
      Run.self, Demo.self, Lab.Command.self, Check.self, Doctor.self, Status.self, Reload.self, Seal.self, Open.self,
      Inspect.self, KeysCommand.self, MembersCommand.self, ClientsCommand.self, ControllerCommand.self, CACommand.self,
      RecordCommand.self, DemoNames.self, DemoDatagrams.self,
    ])
}
