import Control
import Foundation
import Testing

/// An administrator's file, its example and its JSON Schema.
@Suite struct AdministratorFileTests {
  private static let example = repository.appending(path: "config/administrator.yaml").path
  private static var base: [String: Any] {
    [
      "certificate": "alice.pem", "key": "alice.key", "authority": "ca.pem",
      "controllers": [
        ["name": "region", "url": "https://127.0.0.1:8441", "id": "spiffe://r.example/controller/region"]
      ],
    ]
  }

  private func mistakes(_ tree: [String: Any]) throws -> [String] {
    let url = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString).yaml")
    try JSONSerialization.data(withJSONObject: tree).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    do {
      _ = try AdministratorFile.load(url.path)
      return []
    } catch {
      return error.all.map(\.path)
    }
  }

  @Test func theExampleIsRight() throws {
    #expect(try AdministratorFile.load(Self.example).controllers.map(\.name) == ["region", "users", "tasks"])
  }

  @Test func theFieldsAreTheSchemas() throws {
    let data = try Data(contentsOf: repository.appending(path: "config/administrator.schema.json"))
    let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let controller = try #require((schema["$defs"] as? [String: [String: Any]])?["agent_controller"])
    func compare<Field: SectionField>(_: Field.Type, _ object: [String: Any]) throws {
      let properties = try #require(object["properties"] as? [String: Any])
      #expect(properties.keys.sorted() == Field.allCases.map(\.rawValue).sorted())
      #expect(object["additionalProperties"] as? Bool == false)
    }
    try compare(AdministratorFile.Field.self, schema)
    try compare(Configuration.KeyAgent.Controller.Field.self, controller)
    let required = try #require(schema["required"] as? [String])
    #expect(try mistakes(Self.base).isEmpty)
    for name in AdministratorFile.Field.allCases.map(\.rawValue) {
      var tree = Self.base
      tree[name] = [["x"]]
      #expect(try mistakes(tree).contains { $0.hasPrefix(name) }, "\(name)")
      tree[name] = nil
      #expect(try mistakes(tree) == (required.contains(name) ? [name] : []), "\(name)")
    }
    for name in try #require(controller["required"] as? [String]) {
      var entry = try #require((Self.base["controllers"] as? [[String: Any]])?.first)
      entry[name] = nil
      var tree = Self.base
      tree["controllers"] = [entry]
      #expect(try mistakes(tree).contains("controllers[0].\(name)"), "\(name)")
    }
    var twice = Self.base
    let one = try #require((Self.base["controllers"] as? [Any])?.first)
    twice["controllers"] = [one, one]
    #expect(try mistakes(twice) == ["controllers"])
  }
}
