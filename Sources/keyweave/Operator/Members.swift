import ArgumentParser
import Foundation
import Identity
import KeyAgent
import Rotation

/// `keyweave members`: who is let in.
struct MembersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "members", abstract: "List, enrol and remove the members of a controller.",
    subcommands: [MembersList.self, MembersEnrol.self, MembersRemove.self, MembersReset.self])
}

/// Whom an enrolment is about: by certificate, or by name and pin.
struct PeerOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The SPIFFE ID.", valueName: "spiffe-id"))
  var id: String?

  @Option(
    help: ArgumentHelp(
      "The pin of its key, as `keyweave ca issue` printed it; several while the key changes.", valueName: "sha256:..."))
  var pin: [String] = []

  @Option(
    help: ArgumentHelp("Its certificate, instead of name and pin.", valueName: "file"), completion: .file())
  var certificate: String?

  func validate() throws {
    if certificate != nil {
      guard id == nil, pin.isEmpty else {
        throw ValidationError("found --certificate beside a name or pin, expected one or the other")
      }
      return
    }
    guard let id, SPIFFEID(id) != nil else {
      throw ValidationError("found the ID \"\(id ?? "")\", expected --certificate FILE or \(SPIFFEID.expected)")
    }
    guard !pin.isEmpty, pin.allSatisfy({ PublicKeyPin($0) != nil }) else {
      throw ValidationError("expected --pin \(PublicKeyPin.expected), as `keyweave ca issue` printed it")
    }
  }

  func resolve() throws -> (id: String, pins: [String]) {
    if let certificate {
      let identity = try PeerIdentity(certificateFile: certificate)
      return (identity.id.description, [identity.pin.description])
    }
    return (id ?? "", pin)
  }
}

/// `keyweave members list`.
struct MembersList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List members, what they are called, and whether they are connected.",
    discussion: """
      EXAMPLES
        keyweave members list --config administrator.yaml
        keyweave members list --controller region --json | jq '.[].id'

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try administrator.run("members list") {
      var all: [String: [MemberReport]] = [:]
      for client in try administrator.clients() {
        let members: [MemberReport] = try await client.get("/v1/members")
        all[client.endpoint.name] = members.sorted { $0.id < $1.id }
        await client.shutdown()
      }
      if json { return try Output.json(all) }
      var table = TextTable(
        ["controller", "member", "pool", "device ID", "number", "root keys", "state", "last seen"], right: [4])
      for (controller, members) in all.sorted(by: { $0.key < $1.key }) {
        for member in members {
          table.add([
            controller, member.id, member.pool ?? "", member.assignment?.deviceID ?? "",
            member.assignment.map { "\($0.member)" } ?? "", member.rootKeys.joined(separator: ", "),
            member.problem ?? (member.connected ? "connected" : "not connected"),
            member.lastSeen.map { Figures.time(Double(max(0, Output.now - $0))) + " ago" } ?? "never",
          ])
        }
      }
      if table.isEmpty {
        print("no members; enrol them with: keyweave members enrol")
      } else {
        for line in table.lines { print(line) }
      }
    }
  }
}

/// `keyweave members enrol`.
struct MembersEnrol: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enrol", abstract: "Let a member in, by its name and its public key.",
    discussion: """
      Each controller keeps a list of its own: enrol a member at every controller whose root keys it shall have. The
      identity authority of a group also gives it a device ID, shared by the members of a pool. Enrolling it again replaces
      its pins and root keys.

      EXAMPLES
        keyweave members enrol --controller region --certificate host42.pem --root-key region1 --pool front
        keyweave members enrol spiffe://region1.example/dpu/host42 --pin sha256:... --root-key hpc --controller users

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions
  @OptionGroup var peer: PeerOptions

  @Option(help: ArgumentHelp("A root key that it may have; may be given several times.", valueName: "name"))
  var rootKey: [String] = []

  @Option(help: ArgumentHelp("The pool whose device ID it shares.", valueName: "name"))
  var pool: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try administrator.run("members enrol") {
      let (id, pins) = try peer.resolve()
      let client = try administrator.client()
      let member: MemberReport = try await client.post(
        "/v1/members", Enrolment(id: id, publicKeys: pins, rootKeys: rootKey, pool: pool))
      await client.shutdown()
      if json { return try Output.json(member) }
      let name = member.assignment.map { ": device ID \($0.deviceID), member \($0.member)" } ?? ""
      print("\(client.endpoint.name): \(member.id) may have \(member.rootKeys.joined(separator: ", "))\(name)")
    }
  }
}

/// `keyweave members remove`.
struct MembersRemove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Take a member off the list, at once.",
    discussion: """
      It gets no key from then on. It still has those it got: to lock it out, rotate every root key that it had, at every
      controller, or revoke them.

      EXAMPLES
        keyweave members remove spiffe://region1.example/dpu/host42 --controller region && keyweave keys rotate --wait

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Argument(help: ArgumentHelp("The SPIFFE ID.", valueName: "spiffe-id"))
  var member: String

  func run() throws {
    try administrator.run("members remove") {
      let client = try administrator.client()
      _ = try await client.ask(.delete, "/v1/members?id=\(AdministratorClient.query(member))")
      await client.shutdown()
      print("\(client.endpoint.name): \(member) removed; it keeps the keys it has until they are rotated")
    }
  }
}

/// `keyweave members reset`.
struct MembersReset: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reset", abstract: "Forget a member's instance token, after a copy of it was found and ended.",
    discussion: """
      A controller that saw a token twice serves neither instance's renewals until somebody has looked. End the copy first.

      EXAMPLES
        keyweave members reset spiffe://region1.example/dpu/host42 --controller region

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Argument(help: ArgumentHelp("The SPIFFE ID.", valueName: "spiffe-id"))
  var member: String

  func run() throws {
    try administrator.run("members reset") {
      let client = try administrator.client()
      _ = try await client.ask(.post, "/v1/members/reset?id=\(AdministratorClient.query(member))")
      await client.shutdown()
      print("\(client.endpoint.name): \(member) may take its lease anew")
    }
  }
}
