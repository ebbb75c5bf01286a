import Control
import Foundation
import Testing
import Wire

/// The section `bfd` and shared addresses.
@Suite struct BFDConfigurationTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  private static var tree: Tree {
    Tree.gateway.setting(
      "bfd",
      to: [
        "sessions": [
          ["neighbour": "192.0.2.254"],
          ["neighbour": "192.0.2.11", "port": "fabric", "interval": "1s", "multiplier": 2] as [String: Any],
          ["neighbour": "fe80::1", "port": "fabric"],
        ]
      ]
    )
    .setting("bfd.drain", to: "3s")
    .setting("ports[1].shared", to: [["address": "192.0.2.100", "after": ["192.0.2.11"]]])
  }

  @Test func everythingIsReadAndResolved() throws {
    let file = try workspace.load(Self.tree.text)
    let bfd = try #require(file.configuration.bfd)
    #expect(bfd.sessions.map(\.port) == ["fabric", "fabric", "fabric"])
    #expect(bfd.sessions.map(\.interval) == [100, 1000, 100] && bfd.sessions.map(\.multiplier) == [3, 2, 3])
    #expect(bfd.drain == 3000 && bfd.track == ["clear"])
    let shared = try #require(file.configuration.ports[1].shared.first)
    #expect(shared.address == IPAddress("192.0.2.100") && shared.after == [IPAddress("192.0.2.11")])
    #expect(file.warnings.allSatisfy { !$0.path.hasPrefix("bfd") })
    #expect(
      CheckReport(path: workspace.path("gateway.yaml")).description.contains("192.0.2.11 by fabric, 2 times 1000 ms"))
    let defaults = try #require(workspace.load(Self.tree.setting("bfd.drain", to: nil).text).configuration.bfd)
    #expect(defaults.drain == 500)
    #expect(try workspace.load(Tree.gateway.text).configuration.bfd == nil)
    #expect(try workspace.load(Self.tree.setting("bfd.track", to: [String]()).text).configuration.bfd?.track == [])
  }

  @Test(
    arguments: [
      ("bfd.sessions", [String](), "bfd.sessions"),
      ("bfd.sessions[0].neighbour", "192.0.2.1", "bfd.sessions[0].neighbour"),
      ("bfd.sessions[0].neighbour", "192.0.2.100", "bfd.sessions[0].neighbour"),
      ("bfd.sessions[0].neighbour", "10.1.0.9", "bfd.sessions[0].neighbour"),
      ("bfd.sessions[0].neighbour", "198.51.100.9", "bfd.sessions[0].neighbour"),
      ("bfd.sessions[0].neighbour", "192.0.2.11", "bfd.sessions[1].neighbour"),
      ("bfd.sessions[0].neighbour", "224.0.0.1", "bfd.sessions[0].neighbour"),
      ("bfd.sessions[2].port", "clear", "bfd.sessions[2].port"),
      ("bfd.sessions[0].interval", "50", "bfd.sessions[0].interval"),
      ("bfd.sessions[0].interval", "9ms", "bfd.sessions[0].interval"),
      ("bfd.interval", "61s", "bfd.interval"),
      ("bfd.multiplier", 0, "bfd.multiplier"),
      ("bfd.drain", "601s", "bfd.drain"),
      ("bfd.track", ["fabric"], "bfd.track[0]"),
      ("bfd.track", ["nowhere"], "bfd.track[0]"),
      ("bfd.track", ["clear", "clear"], "bfd.track[1]"),
      ("ports[1].udp_port", 3784, "bfd.sessions[0].neighbour"),
      ("ports[1].shared[0].address", "192.0.2.1", "ports[1].shared[0].address"),
      ("ports[1].shared[0].address", "203.0.113.7", "ports[1].shared[0].address"),
      ("ports[1].shared[0].after", ["192.0.2.12"], "ports[1].shared[0].after[0]"),
      ("peers[0].address", "192.0.2.100", "peers[0].address"),
    ] as [(String, any Sendable, String)])
  func oneMistakeIsNamed(_ path: String, _ value: any Sendable, _ expected: String) throws {
    let mistakes = try workspace.mistakes(in: Self.tree.setting(path, to: value).text)
    #expect(mistakes.first?.path == expected, "\(mistakes)")
    #expect(Set(mistakes.map(\.path)).count == mistakes.count || path == "ports[1].udp_port")
  }

  @Test func sharedNeedsNoBFDWhereItComesFirst() throws {
    let tree = Tree.gateway.setting("ports[1].shared", to: [["address": "192.0.2.100"]])
    #expect(try workspace.mistakes(in: tree.text) == [])
    let second = tree.setting("ports[1].shared[0].after", to: ["192.0.2.11"])
    #expect(try workspace.mistakes(in: second.text).map(\.path) == ["ports[1].shared[0].after[0]"])
    let twice = tree.setting("ports[1].shared", to: [["address": "192.0.2.100"], ["address": "192.0.2.100"]])
    #expect(try workspace.mistakes(in: twice.text).map(\.path) == ["ports[1].shared[1].address"])
  }

  @Test func thereAreAtMost128Sessions() throws {
    func mistakes(_ count: Int) throws -> [String] {
      let sessions = (0..<count).map { ["neighbour": "192.0.2.\($0 + 20)"] }
      return try workspace.mistakes(in: Tree.gateway.setting("bfd", to: ["sessions": sessions]).text).map(\.path)
    }
    #expect(try mistakes(128) == [])
    #expect(try mistakes(129) == ["bfd.sessions"])
  }

  @Test func aDrainThatIsTooShortIsWarnedAbout() throws {
    let file = try workspace.load(Self.tree.setting("bfd.drain", to: "1s").text)
    #expect(file.warnings.map(\.path).contains("bfd.drain"))
  }

  /// All of it may change while the gateway runs.
  @Test func aReloadChangesEverything() throws {
    let running = try workspace.load(Tree.gateway.text).configuration
    #expect(try workspace.load(Self.tree.text).configuration.restartFields(comparedTo: running) == [])
  }
}
