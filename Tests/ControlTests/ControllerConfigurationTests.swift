import Control
import Foundation
import Testing

@Suite struct ControllerConfigurationTests {
  private static var base: [String: Any] {
    [
      "name": "region", "listen": "127.0.0.1:8441", "certificate": "c.pem", "key": "c.key", "authority": "ca.pem",
      "wrapping_key": ["file": "c.kek"], "store": ["file": "c.db"], "audit_file": "a.jsonl", "lease": "30s",
      "identity_authority": ["first_device_id": "00000001"],
      "administrators": [
        ["id": "spiffe://region1.example/admin/alice", "public_keys": ["sha256:" + String(repeating: "a", count: 64)]]
      ],
      "root_keys": [["name": "region1", "level": "trust-region", "rotate_every": "24h"]],
      "limits": ["connections": 100],
    ]
  }

  /// A JSON text is a YAML text.
  private func load(_ tree: [String: Any]) throws -> ControllerConfigurationFile {
    // A file's name is the controller's, where it has no other: 32 characters at most.
    let name = "c\(UUID().uuidString.lowercased().prefix(8))"
    let url = FileManager.default.temporaryDirectory.appending(path: "\(name).yaml")
    try JSONSerialization.data(withJSONObject: tree).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try ControllerConfigurationFile.load(url.path)
  }

  private func mistakes(_ tree: [String: Any]) throws -> [String] {
    do {
      _ = try load(tree)
      return []
    } catch let error as Mistakes {
      return error.all.map(\.path)
    }
  }

  private func schema() throws -> [String: Any] {
    let data = try Data(contentsOf: repository.appending(path: "config/controller.schema.json"))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  @Test(arguments: ["region", "users", "tasks"]) func theExamplesAreRight(name: String) throws {
    let path = repository.appending(path: "config/controller-\(name).yaml").path
    let file = try ControllerConfigurationFile.load(path)
    #expect(file.configuration.name == name && file.warnings.isEmpty)
    #expect((file.configuration.firstDeviceID == nil) == (name != "region"))
  }

  @Test func theFieldsAreTheSchemas() throws {
    let schema = try schema()
    let definitions = try #require(schema["$defs"] as? [String: [String: Any]])
    func compare<Field: SectionField>(_: Field.Type, _ name: String?) {
      let object = name.flatMap { definitions[$0] } ?? schema
      let properties = (object["properties"] as? [String: Any])?.keys.sorted()
      #expect(properties == Field.allCases.map(\.rawValue).sorted(), "\(name ?? "")")
      #expect(object["additionalProperties"] as? Bool == false)
    }
    compare(ControllerConfiguration.Field.self, nil)
    compare(ControllerConfiguration.WrappingKey.Field.self, "wrapping_key")
    compare(ControllerConfiguration.WrappingKey.TokenField.self, "pkcs11")
    compare(ControllerConfiguration.Store.Field.self, "store")
    compare(ControllerConfiguration.Etcd.Field.self, "etcd")
    compare(ControllerConfiguration.AuthorityField.self, "identity_authority")
    compare(ControllerConfiguration.Administrator.Field.self, "administrator")
    compare(ControllerConfiguration.RootKey.Field.self, "root_key")
    compare(ControllerConfiguration.Limits.Field.self, "limits")
  }

  @Test func everyFieldIsReadAndWhatIsRequiredIsRequired() throws {
    let schema = try schema()
    let required = try #require(schema["required"] as? [String])
    #expect(try mistakes(Self.base).isEmpty)
    for name in try #require((schema["properties"] as? [String: Any])?.keys) {
      var tree = Self.base
      tree[name] = [["x"]]
      #expect(try mistakes(tree).contains { $0.hasPrefix(name) }, "\(name)")
      tree[name] = nil
      let found = try mistakes(tree)
      #expect(found == (required.contains(name) ? [name] : []), "\(name): \(found)")
    }
  }

  @Test func defaultsAreTheSchemas() throws {
    var written = Self.base
    written["lease"] = "30s"
    written["limits"] = ["connections": 16384, "body": "64KiB", "requests_per_second": 50, "long_polls": 2]
    written["root_keys"] = [
      [
        "name": "region1", "level": "trust-region", "rotate_every": "24h", "epoch_period": "600s", "lifetime": "168h",
        "share": 50, "clients": false,
      ]
    ]
    var short = Self.base
    short["lease"] = nil
    short["limits"] = nil
    #expect(try load(written).configuration.limits == load(short).configuration.limits)
    #expect(try load(written).configuration.rootKeys == load(short).configuration.rootKeys)
    #expect(try load(written).configuration.lease == load(short).configuration.lease)
  }

  @Test func whatDoesNotFitTogetherIsRefused() throws {
    func change(_ field: String, _ value: Any) throws -> [String] {
      var tree = Self.base
      tree[field] = value
      return try mistakes(tree)
    }
    #expect(try change("listen", "127.0.0.1") == ["listen"])
    #expect(try change("store", ["file": "a", "etcd": [:]]) == ["store"])
    #expect(
      try change("store", ["etcd": ["endpoints": ["ftp://x"], "prefix": "/k", "node": "a"]])
        == ["store.etcd.endpoints[0]"])
    #expect(try change("administrators", [["id": "spiffe://region1.example/a"]]) == ["administrators[0].public_keys"])
    let key: [String: Any] = ["name": "k", "level": "user-group"]
    #expect(try change("root_keys", [key, key]).contains("root_keys[1].name"))
    #expect(try change("root_keys", [key.merging(["rotate_every": "84h"]) { $1 }]) == ["root_keys[0].rotate_every"])
    #expect(
      try change("root_keys", [key.merging(["epoch_period": "60s", "lifetime": "600h"]) { $1 }])
        == ["root_keys[0].lifetime"])
    #expect(try load(Self.base.merging(["root_keys": [key]]) { $1 }).warnings.count == 1)
  }
}
