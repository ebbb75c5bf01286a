import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import Synchronization
import Testing
import Wire

/// What the desk asks of the agent, in memory, and changed by tests.
final class TestLedger: ConnectionLedger {
  private struct State {
    var view: KeyView
    var sections: [String: [UInt8]] = [:]
    var isBroken = false
  }
  private let state: Mutex<State>

  init(_ view: KeyView) { state = Mutex(State(view: view)) }

  struct Broken: Error {}

  var view: KeyView { state.withLock { $0.view } }
  func section(_ name: String) -> [UInt8]? { state.withLock { $0.sections[name] } }
  func keep(_ octets: [UInt8], as section: String) throws {
    try state.withLock { state in
      if state.isBroken { throw Broken() }
      state.sections[section] = octets
    }
  }
  func change(_ body: (inout KeyView) -> Void) { state.withLock { body(&$0.view) } }
  var isBroken: Bool {
    get { state.withLock { $0.isBroken } }
    set { state.withLock { $0.isBroken = newValue } }
  }
}

/// Derives with libcrypto, called directly.
struct TestKeys: ConnectionKeys {
  let primitives: LibcryptoPrimitives

  init() throws { primitives = try #require(LibcryptoPrimitives()) }

  func keys(for requests: [ConnectionKeyRequest], of group: TrustGroup) throws -> [SecretKey] {
    try KeyTable.connectionKeys(for: requests, of: group, with: primitives)
  }
}

/// A sink that only remembers.
final class TestConnectionSink: ConnectionSink {
  private let views = Mutex<[ConnectionView]>([])
  func install(_ connection: ConnectionView) { views.withLock { $0.append(connection) } }
  var last: ConnectionView? { views.withLock { $0.last } }
  var count: Int { views.withLock { $0.count } }
}

final class TestClock: Sendable {
  private let value: Mutex<UInt64>
  init(_ value: UInt64) { self.value = Mutex(value) }
  var now: UInt64 {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue } }
  }
}

enum ClientLab {
  static let period = 600
  static let prefix = "10.128.0.0/9"
  static let client = "spiffe://region1.example/client/one"
  static let pin = "sha256:" + String(repeating: "ab", count: 32)
  /// A start of an epoch.
  static let epoch: Int64 = 2_900_000
  static var start: Int64 { epoch * Int64(period) }

  static func generation(_ seed: UInt8, _ index: UInt64) throws -> Generation {
    let octets = (0..<32).map { seed &+ UInt8(truncatingIfNeeded: index) &* 37 &+ UInt8($0) &* 11 }
    return Generation(index: index, key: try octets.withUnsafeBytes { try SecretKey.copying($0) })
  }

  /// A group of two root keys whose current generation is `index`, with or without the next.
  static func group(_ index: UInt64 = 7, next: Bool = true) throws -> TrustGroup {
    let roots = try [(RootKeyLevel.trustRegion, UInt8(1)), (.taskGroup, 17)].map { level, seed in
      RootKey(
        level: level, id: [UInt8](repeating: seed, count: 16), previous: try generation(seed, index - 1),
        current: try generation(seed, index), next: next ? try generation(seed, index + 1) : nil)
    }
    return TrustGroup(name: "train", isDefault: true, epochPeriod: period, rootKeys: roots)
  }

  static func record(_ id: String = client, pin: String = pin, slot: UInt32 = 3) -> ClientRecord {
    ClientRecord(id: id, publicKeys: [pin], pool: "pool", address: "192.0.2.9", slot: slot)
  }

  static func view(_ group: TrustGroup, member: UInt8 = 2, clients: [ClientRecord] = [record()]) -> KeyView {
    KeyView(
      groups: [group], assignments: ["train": Assignment(deviceID: "00002a02", member: member)],
      clients: ["train": clients], expiries: [:])
  }

  static func settings(port: Int = 0) throws -> ClientServiceSettings {
    ClientServiceSettings(
      host: "127.0.0.1", port: port, group: "train", prefix: try #require(IPPrefix(prefix)),
      members: ["192.0.2.2:4500"], node: nil)
  }

  static func peer(_ id: String = client, pin: String = pin) throws -> PeerIdentity {
    PeerIdentity(
      id: try #require(SPIFFEID(id)), pin: try #require(PublicKeyPin(pin)), expires: Date.distantFuture)
  }
}
