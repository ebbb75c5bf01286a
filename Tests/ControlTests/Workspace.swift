import Control
import Foundation
import Keys
import Testing

/// A directory of its own for one test, removed with the value's last owner.
final class Workspace {
  let directory: String

  init() throws {
    directory = NSTemporaryDirectory() + "/keyweave-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func path(_ name: String) -> String { "\(directory)/\(name)" }

  @discardableResult
  func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let octets = Data(text.utf8)
    try octets.write(to: URL(fileURLWithPath: path(name)))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    return path(name)
  }

  /// Writes a keys file of one group.
  func writeKeys(_ name: String = "keys.yaml", group: String = "train", generations: Int = 2) throws {
    try KeysFile.create(
      path(name),
      KeysFile.Template(groups: [group], levels: [.trustRegion], epochPeriod: 600, generations: generations),
      at: UInt64(Date().timeIntervalSince1970))
  }

  /// What is wrong with a configuration beside a good keys file; empty when nothing is.
  func mistakes(in text: String) throws -> [Mistake] {
    if !FileManager.default.fileExists(atPath: path("keys.yaml")) { try writeKeys() }
    try write("gateway.yaml", text)
    do throws(Mistakes) {
      _ = try ConfigurationFile.load(path("gateway.yaml"))
      return []
    } catch {
      return error.all
    }
  }

  func load(_ text: String) throws -> ConfigurationFile {
    if !FileManager.default.fileExists(atPath: path("keys.yaml")) { try writeKeys() }
    return try ConfigurationFile.load(write("gateway.yaml", text))
  }
}

/// The repository, found from this file.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// A configuration as a tree that a test changes at one place. JSON is YAML, so that is how it is written.
struct Tree {
  var value: Any

  /// Two ports, a peer, a route and a policy, all right.
  static var gateway: Tree {
    Tree(value: [
      "name": "gateway",
      "identity": ["device_id": "0000002a", "member": 3, "record": "gateway.record"],
      "keys": "keys.yaml",
      "lcores": ["count": 2, "dedicated": false],
      "ports": [
        [
          "name": "clear", "device": "veth0", "role": "clear", "mode": "tunnel", "mtu": 1500,
          "addresses": ["10.1.0.1/24", "2001:db8:1::1/64"],
          "neighbours": [["address": "10.1.0.2", "mac": "02:00:00:00:00:01"]],
        ] as [String: Any],
        [
          "name": "fabric", "device": "veth1", "role": "protected", "mtu": 1600,
          "addresses": ["192.0.2.1/24", "2001:db8:f::1/64"], "default_group": "train",
        ] as [String: Any],
      ],
      "peers": [
        ["name": "b", "address": "192.0.2.2"], ["name": "c", "address": "198.51.100.1", "via": "192.0.2.254"],
      ],
      "routes": [
        ["to": "10.2.0.0/24", "peers": ["b", "c"], "group": "train"] as [String: Any],
        ["to": "10.3.0.0/24", "via": "10.1.0.254"],
        ["to": "10.9.0.0/16", "action": "bypass"],
      ] as [[String: Any]],
      "groups": [["name": "train", "may_speak": ["10.2.0.0/24"], "forms": ["tunnel"]] as [String: Any]],
      "capture": ["port": "fabric", "file": "fabric.pcapng"],
    ])
  }

  /// A key agent with one controller, all right.
  static var keyAgent: [String: Any] {
    [
      "certificate": "a.pem", "key": "a.key", "authority": "ca.pem", "state": "a.state",
      "wrapping_key": ["file": "a.kek"],
      "controllers": [
        ["name": "region", "url": "https://192.0.2.10:8441", "id": "spiffe://region1.example/controller/region"]
      ],
      "trust_groups": [["name": "train", "default": true, "root_keys": ["region/region1"]] as [String: Any]],
    ]
  }

  var text: String {
    guard
      let data = try? JSONSerialization.data(withJSONObject: value, options: [.withoutEscapingSlashes, .sortedKeys])
    else { return "" }
    return String(decoding: data, as: UTF8.self)
  }

  /// The tree with the value at a path such as `ports[1].mtu` replaced; nil removes it.
  func setting(_ path: String, to new: Any?) -> Tree {
    let steps = path.split(whereSeparator: { ".[]".contains($0) }).map(String.init)
    return Tree(value: Self.replace(value, steps[...], new))
  }

  private static func replace(_ node: Any, _ steps: ArraySlice<String>, _ new: Any?) -> Any {
    guard let step = steps.first else { return new ?? node }
    let isLast = steps.count == 1
    if var list = node as? [Any], let index = Int(step) {
      if index == list.count, let new {
        list.append(new)
      } else if isLast, let new {
        list[index] = new
      } else if isLast {
        list.remove(at: index)
      } else {
        list[index] = replace(list[index], steps.dropFirst(), new)
      }
      return list
    }
    var fields = node as? [String: Any] ?? [:]
    fields[step] = isLast ? new : replace(fields[step] ?? [String: Any](), steps.dropFirst(), new)
    return fields
  }
}
