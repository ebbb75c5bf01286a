import ArgumentParser
import Foundation
import KeyAgent
import Rotation

/// `keyweave keys status`: who has which generation.
struct KeysStatus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show root keys, their generations, and who has them.",
    discussion: """
      A member is in step when it holds every generation that it was offered, and seals with the current one. Of many
      members only those that are not in step, or not connected, are listed; --members lists all.

      EXAMPLES
        keyweave keys status --config administrator.yaml
        keyweave keys status --controller region --json | jq '.[].root_keys[].missing'
        keyweave keys status region1

      \(ExitCodes.help)
      """)

  @OptionGroup var administrator: AdministratorOptions

  @Argument(help: "Only this root key.")
  var name: String?

  @Flag(help: "List every member.")
  var members = false

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try administrator.run("keys status") {
      var reports: [ControllerReport] = []
      var failures: [String] = []
      for client in try administrator.clients() {
        do {
          reports.append(try await ControllerReport(client, name: name))
        } catch {
          // The other controllers' answers are worth showing.
          failures.append("\(error)")
        }
        await client.shutdown()
      }
      if json {
        try Output.json(reports)
      } else {
        for report in reports { for line in report.lines(allMembers: members) { print(line) } }
      }
      if !failures.isEmpty { throw AdministrationError(failures.joined(separator: "\n")) }
      if let name, reports.allSatisfy(\.rootKeys.isEmpty) {
        throw AdministrationError("found no root key \(name) at \(reports.map(\.controller).joined(separator: ", "))")
      }
    }
  }
}

/// What one controller says of its root keys and members.
struct ControllerReport: Encodable {
  let controller: String
  let url: String
  let rootKeys: [RootKeyReport]
  let members: [MemberReport]

  enum CodingKeys: String, CodingKey {
    case controller, url, members
    case rootKeys = "root_keys"
  }

  /// Above so many, members that are in step are only counted.
  private static let shortList = 24

  init(_ client: AdministratorClient, name: String?) async throws {
    let keys: [RootKeyReport] = try await client.get("/v1/root-keys")
    let all: [MemberReport] = try await client.get("/v1/members")
    controller = client.endpoint.name
    url = client.endpoint.url
    rootKeys = keys.filter { name == nil || $0.name == name }
    let names = Set(rootKeys.map(\.name))
    members = all.filter { !names.isDisjoint(with: $0.rootKeys) }.sorted { $0.id < $1.id }
  }

  /// Members that may have the key, with what they acknowledged of it.
  func holders(of key: RootKeyReport) -> [(member: MemberReport, acknowledgement: Acknowledgement, isInStep: Bool)] {
    let held = key.generation(.next) ?? key.generation(.current) ?? 0
    let current = key.generation(.current) ?? 0
    return members.filter { $0.rootKeys.contains(key.name) }.map { member in
      let found = member.acknowledgements.first { $0.id == key.id }
      let acknowledgement = found ?? Acknowledgement(id: key.id, staged: 0, promoted: 0)
      return (member, acknowledgement, acknowledgement.staged >= held && acknowledgement.promoted >= current)
    }
  }

  /// Whether every connected member is in step with everything.
  var isConverged: Bool {
    rootKeys.allSatisfy { key in holders(of: key).allSatisfy { $0.isInStep || !$0.member.connected } }
  }

  func lines(allMembers: Bool) -> [String] {
    let paint = Paint.terminal
    var lines = ["", paint.strong(controller) + (url == controller ? "" : paint.faint("  \(url)")), ""]
    lines += keyTable.lines
    for key in rootKeys where !key.obstacles.isEmpty {
      lines += ["", "  " + paint.doubtful("\(key.name): generation \(key.generation(.next) ?? 0) is not current yet")]
      lines += key.obstacles.map { "    \($0)" }
    }
    let (table, hidden) = memberTable(allMembers: allMembers, paint)
    if !table.isEmpty { lines += [""] + table.lines }
    if hidden > 0 { lines += ["  and \(Figures.count(hidden)) that are connected and in step (--members lists them)"] }
    if members.isEmpty { lines += ["", "  no members; enrol them with: keyweave members enrol"] }
    for member in members {
      if let problem = member.problem { lines.append("  " + paint.bad("\(member.id): \(problem)")) }
    }
    return lines + [""]
  }

  private var keyTable: TextTable {
    var table = TextTable(
      ["root key", "level", "generation", "state", "age", "ends in", "in step", "connected", "next rotation"],
      right: [2, 6, 7])
    let now = Output.now
    for key in rootKeys {
      let counts = ["\(key.converged)/\(key.members)", "\(key.connected)/\(key.members)"]
      let next = key.nextRotation.map { $0 <= now ? "due" : "in " + Output.span(now, $0) } ?? "on demand"
      guard !key.generations.isEmpty else {
        table.add([key.name, key.level, "none", "revoked: members do not send", "", ""] + counts + [next])
        continue
      }
      for (row, generation) in key.generations.enumerated() {
        let first = row == 0
        table.add(
          [
            first ? key.name : "", first ? key.level : "", "\(generation.index)", generation.state.rawValue,
            Output.span(generation.created, now), Output.span(now, generation.expires),
          ] + (first ? counts + [next] : []))
      }
    }
    return table
  }

  private func memberTable(allMembers: Bool, _ paint: Paint) -> (TextTable, hidden: Int) {
    var table = TextTable(["member", "root key", "holds", "seals with", "state", "last seen"], right: [2, 3])
    var hidden = 0
    let rows = rootKeys.flatMap { key in holders(of: key).map { (key, $0) } }
    let isShort = allMembers || rows.count <= Self.shortList
    for (key, row) in rows {
      guard isShort || !row.isInStep || !row.member.connected else {
        hidden += 1
        continue
      }
      let state =
        !row.member.connected
        ? paint.bad("not connected") : row.isInStep ? paint.good("in step") : paint.doubtful("behind")
      table.add([
        row.member.id, key.name, row.acknowledgement.staged == 0 ? "-" : "\(row.acknowledgement.staged)",
        row.acknowledgement.promoted == 0 ? "-" : "\(row.acknowledgement.promoted)", state,
        row.member.lastSeen.map { Figures.time(Double(max(0, Output.now - $0))) + " ago" } ?? "never",
      ])
    }
    return (table, hidden)
  }
}

extension RootKeyReport {
  func generation(_ role: GenerationRole) -> UInt64? { generations.first { $0.state == role }?.index }
}
