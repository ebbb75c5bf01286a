import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

/// Station 2 as the member of a pool with clients, and station 1 as a client, with the keys of `Keyring.train`.
enum ConnectionLab {
  static let prefix = "10.128.0.0/9"
  /// Device ID of station 2.
  static let device: UInt32 = 0x2A02
  static let slot: UInt32 = 3

  static func number(slot: UInt32 = slot, member: UInt8 = 2, serial: Int = 0) throws -> ConnectionNumber {
    try #require(ConnectionNumber(slot: slot, member: member, serial: serial))
  }
  static func id(slot: UInt32 = slot, member: UInt8 = 2, serial: Int = 0) throws -> ConnectionID {
    ConnectionID(device: device, number: try number(slot: slot, member: member, serial: serial))
  }
  /// base + n, added up here once more.
  static func address(slot: UInt32 = slot, member: UInt8 = 2, serial: Int = 0) -> String {
    let n = slot * 4096 + UInt32(member) * 64 + UInt32(serial)
    return "10.\(128 + n / 65536).\(n / 256 % 256).\(n % 256)"
  }

  static func pool(_ plan: GatewayPlan, slots: [UInt32] = [slot], suite: Suite = .aes256, options: Bool = true)
    throws -> GatewayPlan.ClientPool
  {
    var sealing = GatewayPlan.Sealing(group: 0)
    (sealing.suite, sealing.options) = (suite, options)
    let peer = plan.peers[0]
    return .init(
      group: 0, prefix: try #require(IPPrefix(prefix)), sealing: sealing,
      clients: Dictionary(uniqueKeysWithValues: slots.map { ($0, peer) }))
  }

  static func member(
    slots: [UInt32] = [slot], groups: [TrustGroup] = [Keyring.train], engine: EngineChoice = .auto,
    suite: Suite = .aes256, options: Bool = true, replay: ReplayShape? = nil,
    _ edit: (inout GatewayPlan) -> Void = { _ in }
  ) throws -> Station {
    var pools: [GatewayPlan.ClientPool] = []
    return try Station(2, groups: groups, engine: engine, replay: replay) { plan in
      pools = (try? [pool(plan, slots: slots, suite: suite, options: options)]) ?? []
      plan.clientPools = pools
      edit(&plan)
    }
  }

  /// A client's group: the numbers of the root keys, and the data keys that `keys` gives for its requests.
  static func granted(
    _ id: ConnectionID, epochs: [UInt64], generations: [UInt64] = [7, 8],
    keys: ([ConnectionKeyRequest]) throws -> [SecretKey]
  ) throws -> TrustGroup {
    var group = Keyring.train
    group.rootKeys = try group.rootKeys.map { root in
      RootKey(
        level: root.level, id: root.id, current: try .numbered(generations[0]),
        next: try generations.dropFirst().first.map { try .numbered($0) })
    }
    var wanted: [GrantedKey] = []
    let placeholder = try SecretKey.random()
    for first in generations {
      for second in generations {
        for epoch in epochs {
          for suite in Suite.allCases {
            for isFromPool in [false, true] {
              wanted.append(
                GrantedKey(
                  generations: [first, second], isFromPool: isFromPool, epoch: epoch, suite: suite, key: placeholder))
            }
          }
        }
      }
    }
    let found = try keys(wanted.map { ConnectionKeyRequest(generations: $0.generations, request: $0.request(id)) })
    for (place, key) in found.enumerated() { wanted[place].key = key }
    group.grant = ConnectionGrant(id: id, keys: wanted)
    return group
  }

  static func client(
    _ group: TrustGroup, suite: Suite = .aes256, options: Bool = true, engine: EngineChoice = .auto
  ) throws -> Station {
    let id = try #require(group.grant?.id)
    let address = try #require(IPPrefix(prefix)?.address(of: id.number))
    return try Station(1, groups: [group], engine: engine, time: .connection) { plan in
      plan.connection = .init(group: 0, id: id, address: address)
      plan.deviceID = 0
      plan.member = 0
      plan.ports[0].neighbours.append(.init(address: address, mac: Station.host))
      plan.routes = plan.routes.map { route in
        guard case .seal(var sealing) = route.action else { return route }
        (sealing.context, sealing.suite, sealing.options) = (.connection, suite, options)
        return .init(prefix: route.prefix, action: .seal(sealing))
      }
      plan.routes.append(.init(prefix: IPPrefix(host: address), action: .forward(port: 0, via: address)))
    }
  }

  static var epoch: UInt64 { UInt64(Date().timeIntervalSince1970) / 600 }
}

/// Tests/Interop/reference.py as the other end of a connection, with the keys of `Keyring.train`.
enum ConnectionReference {
  private static let script = """
    import sys, time
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    from reference import *
    def root(level, seed):
        keys = {g: bytes((seed + g * 37 + i * 11) & 255 for i in range(32)) for g in (6, 7, 8)}
        return RootKey(level, bytes([seed]) * 16, 7, keys)
    train = Group("train", [root(1, 1), root(3, 17)], True, 600, 255, 15)
    now = int(time.time())
    def derive(id, generations, epoch, suite):
        return data_key(master_key(train.roots, generations), 10 | suite, id, epoch, None)
    for number, line in enumerate(sys.stdin):
        words = line.split()
        if words[0] == "key":
            id, suite, epoch = bytes.fromhex(words[1]), int(words[2]), int(words[3]) & 65535
            print(derive(id, [int(word) for word in words[4:]], epoch, suite).hex())
        elif words[0] == "seal":
            id, payload, epoch = bytes.fromhex(words[1]), bytes.fromhex(words[2]), (now // 600 + int(words[3])) & 65535
            suite, generations = int(words[4]), [int(word) for word in words[5:7]]
            options = b"".join(option(r.level, r.id, g) for r, g in zip(train.roots, generations))
            counter = int(words[7]) if words[7:] else 0x123456789ABC + number
            header = Header(10 | suite, id, epoch, counter, options)
            print(seal(header, payload, derive(id, generations, epoch, suite)).hex())
        else:
            try:
                opened = open_packet(bytes.fromhex(words[1]), [train], True, address("192.0.2.1"), now)
                print(opened.variant, opened.id.hex(), opened.payload.hex())
            except Drop as drop:
                print(drop)
    """

  private static func run(_ lines: [String]) throws -> [String] {
    try Program.withTemporaryDirectory { directory in
      let input = directory.appending(path: "input")
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
      let interop = Program.repository.appending(path: "Tests/Interop").path(percentEncoded: false)
      let result = try Program.run(Program.python, ["-c", script, interop], input: input)
      try #require(result.status == 0, "\(result.errors)")
      return result.lines.map(String.init)
    }
  }

  private static func hex(_ id: ConnectionID) -> String {
    let digits = String(id.rawValue, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Data keys as the independent implementation derives them.
  static func keys(for requests: [ConnectionKeyRequest]) throws -> [SecretKey] {
    let lines = requests.map { wanted in
      "key \(hex(ConnectionID(rawValue: wanted.request.id))) \(wanted.request.variant.suite.rawValue) "
        + "\(wanted.request.epoch) \(wanted.generations.map(String.init).joined(separator: " "))"
    }
    return try run(lines).map { line in
      let octets = try #require([UInt8](hex: line))
      return try (octets + [UInt8](repeating: 0, count: 32 - octets.count)).withUnsafeBytes { try .copying($0) }
    }
  }

  struct Wanted {
    var id: ConnectionID
    var payload: [UInt8]
    var epoch = 0
    var suite = Suite.aes256
    var generations = [7, 7]
    var counter: UInt64?
  }

  static func seal(_ wanted: [Wanted]) throws -> [[UInt8]] {
    try run(
      wanted.map {
        "seal \(hex($0.id)) \($0.payload.hex) \($0.epoch) \($0.suite.rawValue) \($0.generations[0]) \($0.generations[1])"
          + ($0.counter.map { " \($0)" } ?? "")
      }
    ).compactMap { [UInt8](hex: $0) }
  }

  /// V, ID and payload of each packet, or why it is dropped.
  static func open(_ packets: [[UInt8]]) throws -> [String] { try run(packets.map { "open \($0.hex)" }) }

  static func opened(_ id: ConnectionID, _ suite: Suite, _ payload: [UInt8]) -> String {
    "\(10 | suite.rawValue) \(hex(id)) \(payload.hex)"
  }
}
