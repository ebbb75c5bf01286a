import Control
import Foundation
import Keys
import Testing
import Wire

/// Policies of the proxy, and an identity for each trust group.
@Suite struct ProxyConfigurationTests {
  let workspace: Workspace

  init() throws {
    workspace = try Workspace()
    try KeysFile.create(
      workspace.path("proxy-keys.yaml"),
      KeysFile.Template(groups: ["local", "global"], levels: [.trustRegion], epochPeriod: 600, generations: 2),
      at: UInt64(Date().timeIntervalSince1970))
  }

  private static var example: String {
    get throws { try String(contentsOf: repository.appending(path: "config/gateway-proxy.yaml"), encoding: .utf8) }
  }

  private func load(_ text: String) throws -> ConfigurationFile {
    try ConfigurationFile.load(workspace.write("proxy.yaml", text))
  }

  private func mistakes(_ text: String) throws -> [Mistake] {
    let file = try workspace.write("proxy.yaml", text)
    do throws(Mistakes) {
      _ = try ConfigurationFile.load(file)
      return []
    } catch {
      return error.all
    }
  }

  @Test func theExampleLoads() throws {
    let file = try load(Self.example)
    #expect(file.warnings == [])
    let configuration = file.configuration
    #expect(configuration.ports.allSatisfy { $0.role == .protected })
    #expect(configuration.proxies.count == 2)
    #expect(configuration.proxies[0].from == "local" && configuration.proxies[0].to == "global")
    #expect(configuration.proxies[0].sources == [IPPrefix("10.1.0.0/16")])
    #expect(configuration.proxies[0].destinations == [IPPrefix("10.2.0.0/16")])
    #expect(!configuration.proxies[0].clients)
    #expect(configuration.identity.numbers(towards: "local").deviceID == 0x2a)
    #expect(configuration.identity.numbers(towards: "local").member == 3)
    #expect(configuration.identity.numbers(towards: "global").deviceID == 0x107)
    #expect(configuration.identity.numbers(towards: "global").member == 0)
    let summary = CheckReport(path: workspace.path("proxy.yaml")).description
    #expect(summary.contains("from local into global, of 10.1.0.0/16, to 10.2.0.0/16"))
    #expect(summary.contains("as device 00000107, member 0"))
  }

  @Test func mistakesAtTheirPlaces() throws {
    let policy = "  - { from: local, to: global, sources: [10.1.0.0/16], destinations: [10.2.0.0/16] }"
    for (written, path) in [
      ("  - { from: local, to: local, sources: [10.1.0.0/16] }", "proxies[0].to"),
      ("  - { from: local, to: nowhere, sources: [10.1.0.0/16] }", "proxies[0].to"),
      ("  - { from: nowhere, to: global, sources: [10.1.0.0/16] }", "proxies[0].from"),
      ("  - { from: local, to: global }", "proxies[0].destinations"),
      ("  - { from: local, to: global, sources: [] }", "proxies[0].destinations"),
      ("  - { from: local, to: global, sources: [10.1.0.1/16] }", "proxies[0].sources[0]"),
      ("  - { from: local, to: global, sources: [10.1.0.0/16, 10.1.0.0/16] }", "proxies[0].sources[1]"),
      ("  - { from: local, to: global, sources: [10.1.0.0/16], clients: maybe }", "proxies[0].clients"),
      ("  - { to: global, sources: [10.1.0.0/16] }", "proxies[0].from"),
    ] {
      let text = try Self.example.replacing(policy, with: written)
      #expect(try mistakes(text).map(\.path) == [path], "\(written)")
    }
    // Without a policy the gateway is no proxy, and one without hosts is of no use.
    let lines = try Self.example.split(separator: "\n", omittingEmptySubsequences: false)
    let without = lines.filter { !$0.contains("proxies:") && !$0.contains("from: ") }.joined(separator: "\n")
    #expect(Set(try mistakes(without).map(\.path)) == ["ports", "routes[0].mode", "routes[1].mode"])
  }

  @Test func identitiesOfGroups() throws {
    let entry = "    - { group: global, device_id: 00000107, member: 0 }"
    for (written, paths) in [
      ("    - { group: nowhere, device_id: 00000107, member: 0 }", ["identity.groups[0].group"]),
      ("    - { group: global, device_id: 00000107 }", ["identity.groups[0].member"]),
      ("    - { group: global, device_id: 00000107, member: 64 }", ["identity.groups[0].member"]),
      ("    - { group: global, device_id: 107, member: 0 }", ["identity.groups[0].device_id"]),
      ("    - { group: global, controller: x }", ["identity.groups[0].controller"]),
      (entry + "\n" + entry, ["identity.groups[1].group"]),
    ] {
      let text = try Self.example.replacing(entry, with: written)
      #expect(try mistakes(text).map(\.path) == paths, "\(written)")
    }
    let wide = try load(Self.example.replacing("device_id: 00000107", with: "device_id: 0000010700000107"))
    #expect(wide.configuration.identity.numbers(towards: "global").isWide)
    #expect(!wide.configuration.identity.numbers(towards: "local").isWide)
    #expect(wide.configuration.restartFields(comparedTo: try load(Self.example).configuration) == ["identity.groups"])
    let other = try load(Self.example.replacing("destinations: [10.2.0.0/16]", with: "destinations: [10.2.4.0/24]"))
    #expect(other.configuration.restartFields(comparedTo: try load(Self.example).configuration) == [])
  }

  /// What can never pass, and what anyone could misuse.
  @Test func warnings() throws {
    for (old, new, path, words) in [
      ("sources: [10.1.0.0/16]", "sources: [10.7.0.0/16]", "proxies[0].sources[0]", "may not speak for"),
      ("destinations: [10.2.0.0/16]", "destinations: [10.7.0.0/16]", "proxies[0].destinations[0]", "nothing passes"),
      ("may_speak: [10.1.0.0/16] }", "may_speak: [10.1.0.0/16], forms: [ethernet] }", "proxies[0].from", "tunnel"),
      ("  - { name: local, may_speak: [10.1.0.0/16] }\n", "", "proxies[0].from", "no policy"),
      (
        "  - { to: 10.1.0.0/16, peers: [gateway-1], group: local }\n", "", "proxies[0].sources[0]",
        "neither answers nor ICMP errors"
      ),
    ] {
      let text = try Self.example.replacing(old, with: new)
      let warnings = try load(text).warnings
      #expect(
        warnings.contains { $0.path == path && $0.description.contains(words) }, "\(new): \(warnings)")
    }
    // A group whose packets show unprotected addresses.
    let keys = workspace.path("proxy-keys.yaml")
    let text = try String(contentsOfFile: keys, encoding: .utf8)
    // The first group's is local's.
    let changed = text.replacing("max_ioffset: 0", with: "max_ioffset: 2", maxReplacements: 1)
    #expect(changed != text)
    try workspace.write("proxy-keys.yaml", changed)
    #expect(try load(Self.example).warnings.contains { $0.description.contains("choose what is sealed for") })
  }

  @Test func eachGroupsAuthority() throws {
    func text(_ identity: String) throws -> String {
      let agent = """
        identity: { controller: site, record: r\(identity) }
        key_agent:
          certificate: a.pem
          key: a.key
          authority: ca.pem
          state: a.state
          wrapping_key: { file: a.kek }
          controllers:
            - { name: site, url: "https://192.0.2.10:8441", id: "spiffe://region1.example/controller/site" }
            - { name: world, url: "https://198.51.100.10:8441", id: "spiffe://region1.example/controller/world" }
          trust_groups:
            - { name: local, root_keys: [site/one] }
            - { name: global, root_keys: [world/all] }

        """
      let example = try Self.example
      guard let start = example.range(of: "identity:"), let end = example.range(of: "ports:") else { return "" }
      return example[..<start.lowerBound] + agent + example[end.lowerBound...]
    }
    let shared = try load(text(""))
    #expect(shared.warnings.contains { $0.description.contains("nonces may be used twice") })
    let apart = try load(text(", groups: [{ group: global, controller: world }]"))
    #expect(apart.warnings == [])
    #expect(apart.configuration.identity.numbers(towards: "global").controller == "world")
    #expect(apart.configuration.identity.numbers(towards: "local").controller == "site")
    #expect(
      try mistakes(text(", groups: [{ group: global, controller: moon }]")).map(\.path) == [
        "identity.groups[0].controller"
      ])
  }
}
