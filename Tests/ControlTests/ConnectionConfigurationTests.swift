import Control
import Foundation
import Testing
import Wire

/// `connection` at a client, and `key_agent.clients` at a member of its pool.
@Suite struct ConnectionConfigurationTests {
  private let workspace: Workspace

  init() throws { workspace = try Workspace() }

  private static func example(_ name: String) throws -> String {
    try String(contentsOf: repository.appending(path: "config/\(name).yaml"), encoding: .utf8)
  }

  private static let clients = """
      clients:
        listen: "192.0.2.1:8450"
        trust_group: train
        prefix: 10.128.0.0/9
        members: [192.0.2.1, 192.0.2.2]
        via: 192.0.2.254
        suite: aes-128-gcm

    ports:
    """

  @Test func client() throws {
    let configuration = try workspace.load(Self.example("gateway-client")).configuration
    let connection = try #require(configuration.connection)
    #expect(connection.group == "train" && connection.port == "clear")
    #expect(connection.pool.map(\.name) == ["a", "b"] && connection.pool[1].url == "https://192.0.2.2:8450")
    #expect(connection.key == workspace.path("gateway-client.key"))
    #expect(configuration.keysFile == nil && configuration.keyAgent == nil)
  }

  @Test(arguments: [
    ("trust_group: train                #", "nothing: train #", "connection.nothing"),
    ("port: clear ", "port: fabric ", "connection.port"),
    ("port: clear ", "port: nowhere ", "connection.port"),
    ("https://192.0.2.2:8450", "http://192.0.2.2:8450", "connection.pool[1].url"),
    ("name: b, url", "name: a, url", "connection.pool[1].name"),
    ("group: train }\n", "group: other }\n", "routes[0].group"),
    ("group: train }\n", "group: train, context: source-address }\n", "routes[0].context"),
    ("ports:", "keys: keys.yaml\n\nports:", "keys"),
    ("ports:", "identity: { device_id: 0000002a, member: 0, record: r }\n\nports:", "identity"),
  ])
  func clientsMistakes(_ found: String, _ put: String, _ path: String) throws {
    let text = try Self.example("gateway-client")
    #expect(text.contains(found))
    let mistakes = try workspace.mistakes(in: text.replacing(found, with: put, maxReplacements: 1))
    #expect(mistakes.contains { $0.path == path }, "\(mistakes)")
  }

  @Test func member() throws {
    let text = try Self.example("gateway-agent").replacing("\nports:\n", with: Self.clients + "\n", maxReplacements: 1)
    let clients = try #require(try workspace.load(text).configuration.keyAgent?.clients)
    #expect(clients.host == "192.0.2.1" && clients.port == 8450 && clients.group == "train")
    #expect(clients.prefix == IPPrefix("10.128.0.0/9") && clients.suite == .aes128 && clients.sendsOptions)
    #expect(clients.members == ["192.0.2.1", "192.0.2.2"].compactMap { IPAddress($0) })
    #expect(clients.via == IPAddress("192.0.2.254") && clients.carriage == .udp(port: 4500))
  }

  @Test(arguments: [
    ("192.0.2.1:8450", "192.0.2.1", "listen"), ("192.0.2.1:8450", "member-a:8450", "listen"),
    ("trust_group: train", "trust_group: other", "trust_group"), ("10.128.0.0/9", "10.128.0.0/20", "prefix"),
    ("10.128.0.0/9", "10.128.0.1/9", "prefix"), ("10.128.0.0/9", "2001:db8::/96", "prefix"),
    ("192.0.2.254", "198.51.100.1", "via"), ("aes-128-gcm", "aes-128-cbc", "suite"),
  ])
  func membersMistakes(_ found: String, _ put: String, _ field: String) throws {
    let text = try Self.example("gateway-agent").replacing(
      "\nports:\n", with: Self.clients.replacing(found, with: put) + "\n", maxReplacements: 1)
    let mistakes = try workspace.mistakes(in: text)
    #expect(mistakes.contains { $0.path == "key_agent.clients.\(field)" }, "\(mistakes)")
  }
}
