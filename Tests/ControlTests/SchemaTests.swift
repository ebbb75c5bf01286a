import Control
import Foundation
import Testing

/// The JSON Schemas and what reads the files know the same fields, the same values and the same bounds.
@Suite struct SchemaTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  private static func schema(_ name: String) throws -> [String: Any] {
    let data = try Data(contentsOf: repository.appending(path: "config/\(name).schema.json"))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private static func properties(_ schema: [String: Any], _ definition: String?) throws -> [String: [String: Any]] {
    let definitions = schema["$defs"] as? [String: [String: Any]]
    let object = try #require(definition.map { definitions?[$0] } ?? schema)
    #expect(object["additionalProperties"] as? Bool == false)
    let properties = try #require(object["properties"] as? [String: [String: Any]])
    return properties.mapValues { property in
      let target = (property["$ref"] as? String)?.split(separator: "/").last.map(String.init)
      return property.merging(target.flatMap { definitions?[$0] } ?? [:]) { own, _ in own }
    }
  }

  private func compare<Field: SectionField>(_: Field.Type, _ schema: [String: Any], _ definition: String?) throws {
    let names = Set(try Self.properties(schema, definition).keys)
    #expect(names == Set(Field.allCases.map(\.rawValue)), "\(definition ?? "the whole file")")
  }

  @Test func theConfigurationsFieldsAreTheSchemas() throws {
    let schema = try Self.schema("keyweave")
    try compare(Configuration.Field.self, schema, nil)
    try compare(Configuration.Identity.Field.self, schema, "identity")
    try compare(Configuration.LCores.Field.self, schema, "lcores")
    try compare(Configuration.Port.Field.self, schema, "port")
    try compare(Configuration.Neighbour.Field.self, schema, "neighbour")
    try compare(Configuration.Peer.Field.self, schema, "peer")
    try compare(Configuration.Route.Field.self, schema, "route")
    try compare(Configuration.GroupPolicy.Field.self, schema, "group")
    try compare(Configuration.Capture.Field.self, schema, "capture")
    try compare(Configuration.BFD.Field.self, schema, "bfd")
    try compare(Configuration.BFD.Session.Field.self, schema, "bfd_session")
    try compare(Configuration.SharedAddress.Field.self, schema, "shared")
    try compare(Configuration.Proxy.Field.self, schema, "proxy")
    try compare(Configuration.Identity.Group.Field.self, schema, "group_identity")
    try compare(Configuration.KeyAgent.Field.self, schema, "key_agent")
    try compare(Configuration.KeyAgent.WrappingKey.Field.self, schema, "wrapping_key")
    try compare(Configuration.KeyAgent.WrappingKey.TokenField.self, schema, "pkcs11")
    try compare(Configuration.KeyAgent.Controller.Field.self, schema, "agent_controller")
    try compare(Configuration.KeyAgent.Group.Field.self, schema, "agent_group")
    try compare(Configuration.Clients.Field.self, schema, "clients")
    try compare(Configuration.Connection.Field.self, schema, "connection")
  }

  @Test func theKeysFilesFieldsAreTheSchemas() throws {
    let schema = try Self.schema("keys")
    try compare(KeysFile.Field.self, schema, nil)
    try compare(KeysFile.GroupField.self, schema, "trust_group")
    try compare(KeysFile.RootKeyField.self, schema, "root_key")
    try compare(KeysFile.GenerationField.self, schema, "generation")
  }

  /// Where an instance of each definition stands in `Tree.gateway`, changed so that every field has a meaning there.
  private static var places: [(definition: String?, path: String, change: [(String, Any?)])] {
    [
      (nil, "", []), ("identity", "identity", []), ("lcores", "lcores", []),
      ("port", "ports[0]", []), ("port", "ports[1]", []),
      (
        "port", "ports[0]",
        [
          ("ports[0].mode", "transport"), ("ports[0].pair", "fabric"), ("ports[0].addresses", nil),
          ("ports[0].neighbours", nil),
        ]
      ),
      ("neighbour", "ports[0].neighbours[0]", []), ("peer", "peers[0]", []), ("route", "routes[0]", []),
      (
        "route", "routes[0]",
        [
          ("ports[0].mode", "transport"), ("ports[0].pair", "fabric"), ("ports[0].addresses", nil),
          ("ports[0].neighbours", nil), ("routes[0].mode", "transport"), ("routes[0].peers", nil),
        ]
      ),
      ("route", "routes[1]", []), ("route", "routes[2]", []), ("group", "groups[0]", []), ("capture", "capture", []),
      ("bfd", "bfd", bfd), ("bfd_session", "bfd.sessions[0]", bfd), ("shared", "ports[1].shared[0]", bfd),
      (
        "proxy", "proxies[0]",
        [("proxies", [["from": "train", "to": "other", "sources": ["10.2.0.0/24"]] as [String: Any]])]
      ),
      (
        "group_identity", "identity.groups[0]",
        [("identity.groups", [["group": "train", "device_id": "0000002b", "member": 1] as [String: Any]])]
      ),
      ("key_agent", "key_agent", agent), ("wrapping_key", "key_agent.wrapping_key", agent),
      ("agent_controller", "key_agent.controllers[0]", agent), ("agent_group", "key_agent.trust_groups[0]", agent),
      ("identity", "identity", agent),
      (
        "pkcs11", "key_agent.wrapping_key.pkcs11",
        agent + [
          (
            "key_agent.wrapping_key",
            ["pkcs11": ["module": "m.so", "token": "t", "label": "l", "pin_file": "pin"]]
          )
        ]
      ),
    ]
  }

  /// A router and a member that comes first.
  private static var bfd: [(String, Any?)] {
    [
      ("bfd", ["sessions": [["neighbour": "192.0.2.254"], ["neighbour": "192.0.2.11"]]]),
      ("ports[1].shared", [["address": "192.0.2.100", "after": ["192.0.2.11"]]]),
    ]
  }

  /// A key agent in the keys file's place.
  private static var agent: [(String, Any?)] {
    [("keys", nil), ("key_agent", Tree.keyAgent), ("identity", ["controller": "region", "record": "gateway.record"])]
  }

  /// A value of no type that any field has is a mistake at that field: so each one is really read.
  @Test func everyFieldOfTheSchemaIsRead() throws {
    let schema = try Self.schema("keyweave")
    for (definition, path, change) in Self.places {
      for name in try Self.properties(schema, definition).keys {
        let field = path.isEmpty ? name : "\(path).\(name)"
        let tree = change.reduce(Tree.gateway) { $0.setting($1.0, to: $1.1) }.setting(field, to: [["x"]])
        let named = try workspace.mistakes(in: tree.text).map(\.path)
        #expect(named.contains { $0 == field || $0.hasPrefix(field + "[") }, "\(field): \(named)")
      }
    }
  }

  /// Bounds and choices: the last good values pass, the first bad ones are mistakes at the field.
  @Test func boundsAndChoicesAreTheSchemas() throws {
    let schema = try Self.schema("keyweave")
    var bounded: Set<String> = []
    var tried: Set<String> = []
    for (definition, path, change) in Self.places {
      let base = change.reduce(Tree.gateway) { $0.setting($1.0, to: $1.1) }
      for (name, property) in try Self.properties(schema, definition) {
        let field = path.isEmpty ? name : "\(path).\(name)"
        func expected(_ value: Any) throws -> [String] {
          try workspace.mistakes(in: base.setting(field, to: value).text).filter { $0.path == field }.map(\.expected)
        }
        var good: [Any] = property["enum"] as? [String] ?? []
        var bad: [Any] = good.isEmpty ? [] : ["nothing-of-the-kind"]
        if let least = property["minimum"] as? Int, let most = property["maximum"] as? Int {
          good = [least, most]
          bad = [least - 1, most + 1]
        }
        guard let first = good.first else { continue }
        bounded.insert("\(definition ?? "").\(name)")
        // Fields of other roles, modes or actions have their turn in another place.
        guard try !expected(first).contains(where: { $0.hasPrefix("no such field") }) else { continue }
        tried.insert("\(definition ?? "").\(name)")
        for value in good {
          let said = try expected(value)
          #expect(!said.contains { $0.hasPrefix("a number from") || $0.hasPrefix("one of") }, "\(field): \(value)")
        }
        for value in bad {
          let said = try expected(value)
          #expect(said.contains { $0.hasPrefix("a number from") || $0.hasPrefix("one of") }, "\(field): \(value)")
        }
      }
    }
    #expect(tried == bounded)
    #expect(tried.count >= 20)
  }

  @Test func whatTheSchemaRequiresIsRequired() throws {
    let schema = try Self.schema("keyweave")
    let definitions = try #require(schema["$defs"] as? [String: [String: Any]])
    for (definition, path, change) in Self.places {
      let object = definition.flatMap { definitions[$0] } ?? schema
      let tree = change.reduce(Tree.gateway) { $0.setting($1.0, to: $1.1) }
      if path.hasPrefix("key_agent") { #expect(try workspace.mistakes(in: tree.text) == [], "\(path)") }
      for name in object["required"] as? [String] ?? [] {
        let field = path.isEmpty ? name : "\(path).\(name)"
        let named = try workspace.mistakes(in: tree.setting(field, to: nil).text).map(\.path)
        #expect(named.contains(field), "\(field): \(named)")
      }
    }
  }

  /// `oneOf` in the schema: keys or key_agent; device_id and member, or controller.
  @Test func oneSourceOfKeysAndOfNumbers() throws {
    func paths(_ tree: Tree) throws -> [String] { try workspace.mistakes(in: tree.text).map(\.path) }
    let agent = Self.agent.reduce(Tree.gateway) { $0.setting($1.0, to: $1.1) }
    #expect(try paths(Tree.gateway.setting("keys", to: nil)) == ["keys"])
    #expect(try paths(agent.setting("keys", to: "keys.yaml")) == ["keys"])
    #expect(try paths(Tree.gateway.setting("identity.device_id", to: nil)) == ["identity.device_id"])
    #expect(try paths(Tree.gateway.setting("identity.member", to: nil)) == ["identity.member"])
    #expect(try paths(agent.setting("identity.member", to: 3)) == ["identity.member"])
    #expect(try paths(agent.setting("identity.controller", to: "users")) == ["identity.controller"])
    let named = ["device_id": "0000002a", "member": 3, "record": "r"] as [String: Any]
    #expect(try paths(agent.setting("identity", to: named)) == [])
    #expect(
      try paths(Tree.gateway.setting("identity", to: ["controller": "region", "record": "r"])) == [
        "identity.controller"
      ])
  }

  @Test func whatAKeyAgentMayNotSay() throws {
    let agent = Self.agent.reduce(Tree.gateway) { $0.setting($1.0, to: $1.1) }
    for (path, value): (String, Any) in [
      ("key_agent.controllers[0].url", "http://192.0.2.1:8441"), ("key_agent.controllers[0].url", "https://h:1/x"),
      ("key_agent.controllers[0].id", "spiffe://Region1.example/x"), ("key_agent.controllers[0].id", "spiffe://r/../x"),
      ("key_agent.controllers[0].pin", "sha256:00"), ("key_agent.trust_groups[0].root_keys[0]", "region"),
      ("key_agent.trust_groups[0].root_keys[0]", "other/region1"), ("key_agent.trust_groups[0].root_keys", [String]()),
      ("key_agent.trust_groups[0].epoch_period", "59s"), ("key_agent.wrapping_key.credential", "both"),
    ] {
      #expect(
        try workspace.mistakes(in: agent.setting(path, to: value).text).map(\.path) == [path], "\(path): \(value)")
    }
    #expect(
      try workspace.mistakes(in: agent.setting("routes[0].group", to: "storage").text).map(\.path) == [
        "routes[0].group"
      ])
    #expect(
      try workspace.mistakes(in: agent.setting("routes[0].coffset", to: 17).text).map(\.path) == ["routes[0].coffset"])
    let changed = agent.setting("key_agent.trust_groups[0].max_coffset", to: 17)
    #expect(
      try workspace.load(changed.text).configuration.restartFields(
        comparedTo: workspace.load(agent.text).configuration) == ["key_agent"])
  }

  /// A file that writes the schema's defaults out is the same configuration as one that leaves them out.
  @Test func defaultsAreTheSchemas() throws {
    let schema = try Self.schema("keyweave")
    let base = Tree.gateway.setting("lcores", to: nil).setting("capture.max_octets", to: nil)
    var tree = base
    var written = 0
    for (definition, path, change) in Self.places where change.isEmpty && path != "lcores" {
      for (name, property) in try Self.properties(schema, definition) {
        let field = path.isEmpty ? name : "\(path).\(name)"
        guard let value = property["default"] else { continue }
        let changed = tree.setting(field, to: value)
        // Fields that belong to other roles, modes or actions are refused here, as they should be.
        guard try workspace.mistakes(in: changed.text).isEmpty else { continue }
        tree = changed
        written += 1
      }
    }
    #expect(written >= 14)
    let ports = ["ports[0].mtu", "ports[1].mtu"].reduce(base) { $0.setting($1, to: 1500) }
    let same = ["ports[0].mtu", "ports[1].mtu"].reduce(tree) { $0.setting($1, to: 1500) }
    #expect(try workspace.load(same.text).configuration == workspace.load(ports.text).configuration)
  }
}
