import ArgumentParser
import Foundation
import KeyAgent
import Rotation

/// `keyweave clients`: whom a pool serves besides its members.
struct ClientsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clients", abstract: "List, add and remove the outside clients that a pool may serve.",
    subcommands: [ClientsList.self, ClientsAdd.self, ClientsRemove.self])
}

/// `keyweave clients list`.
struct ClientsList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the outside clients.",
    discussion: """
      EXAMPLES
        keyweave clients list --controller region

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try administrator.run("clients list") {
      var all: [String: [ClientRecord]] = [:]
      for client in try administrator.clients() {
        let records: [ClientRecord] = try await client.get("/v1/clients")
        all[client.endpoint.name] = records.sorted { $0.id < $1.id }
        await client.shutdown()
      }
      if json { return try Output.json(all) }
      var table = TextTable(["controller", "client", "pool", "address", "slot"], right: [4])
      for (controller, records) in all.sorted(by: { $0.key < $1.key }) {
        for record in records {
          table.add([controller, record.id, record.pool, record.address, record.slot.map { "\($0)" } ?? ""])
        }
      }
      if table.isEmpty {
        print("no outside clients; add them with: keyweave clients add")
      } else {
        for line in table.lines { print(line) }
      }
    }
  }
}

/// `keyweave clients add`.
struct ClientsAdd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Let a pool serve an outside client, by its name and its public key.",
    discussion: """
      Only at the identity authority of the pool's group. The client asks any member of the pool for its connection's data
      keys; it never gets a root key.

      EXAMPLES
        keyweave clients add --controller region --certificate laptop.pem --pool front --address 198.51.100.7

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @OptionGroup var peer: PeerOptions

  @Option(help: ArgumentHelp("The pool that serves it.", valueName: "name"))
  var pool: String

  @Option(help: ArgumentHelp("The outer address to which the pool's members send.", valueName: "address"))
  var address: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try administrator.run("clients add") {
      let (id, pins) = try peer.resolve()
      let client = try administrator.client()
      let record: ClientRecord = try await client.post(
        "/v1/clients", ClientRecord(id: id, publicKeys: pins, pool: pool, address: address))
      await client.shutdown()
      if json { return try Output.json(record) }
      let slot = record.slot.map { ", slot \($0)" } ?? ""
      print("\(client.endpoint.name): the members of \(record.pool) serve \(record.id) at \(record.address)\(slot)")
    }
  }
}

/// `keyweave clients remove`.
struct ClientsRemove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Stop serving an outside client, at once at every member that is connected.",
    discussion: """
      EXAMPLES
        keyweave clients remove spiffe://region1.example/client/laptop --controller region

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Argument(help: ArgumentHelp("The SPIFFE ID.", valueName: "spiffe-id"))
  var client: String

  func run() throws {
    try administrator.run("clients remove") {
      let connection = try administrator.client()
      _ = try await connection.ask(.delete, "/v1/clients?id=\(AdministratorClient.query(client))")
      await connection.shutdown()
      print("\(connection.endpoint.name): \(client) removed; connected members deny it from now on")
    }
  }
}
