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
    try compare(Configuration.KeyAgent.Field.self, schema, "key_agent")
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
    ]
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
    for (definition, path, _) in Self.places {
      let object = definition.flatMap { definitions[$0] } ?? schema
      for name in object["required"] as? [String] ?? [] {
        let field = path.isEmpty ? name : "\(path).\(name)"
        let named = try workspace.mistakes(in: Tree.gateway.setting(field, to: nil).text).map(\.path)
        #expect(named.contains(field), "\(field): \(named)")
      }
    }
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
