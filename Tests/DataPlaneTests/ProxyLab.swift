import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

/// Station 3 as the proxy between two trust groups: `Keyring.train` behind its first port, where station 1 is at 192.0.2.1 and
/// 2001:db8:f::1 with 10.1.0.0/16, and `Keyring.other` behind its second, where station 2 is at 198.51.100.2 and
/// 2001:db8:e::2 with 10.2.0.0/16.
enum ProxyLab {
  static let groups = [Keyring.train, Keyring.other]
  /// What each group's controller calls the proxy.
  static let identities: [(id: UInt64, member: UInt8)] = [(0x2A03, 3), (0xBEEF_0009, 41)]
  static let inner = [
    Station.prefixes("10.1.0.0/16", "2001:db8:1::/48"), Station.prefixes("10.2.0.0/16", "2001:db8:2::/48"),
  ]

  /// How one side is spoken with.
  struct Side: Sendable {
    var outer = 4
    var carriage = GatewayPlan.Carriage.udp
    var suite = Suite.aes256
    var context = KeyContext.device
    var options = true
    var isWide = false
    var coffset: UInt8 = 0
    var ioffset: UInt8 = 0
    var mtu: UInt16 = 9200

    /// V of the header.
    var variant: Int { (isWide ? 8 : 0) | (context == .sourceAddress ? 4 : 0) | (suite == .aes128 ? 1 : 0) }
  }

  static func proxy(
    _ sides: [Side] = [Side(), Side()], engine: EngineChoice = .auto, _ edit: (inout GatewayPlan) -> Void = { _ in }
  ) throws -> Station {
    try Station(3, groups: groups, engine: engine) { plan in
      let own = [
        Station.prefixes("192.0.2.3/24", "2001:db8:f::3/64"), Station.prefixes("198.51.100.3/24", "2001:db8:e::3/64"),
      ]
      let far = [["192.0.2.1", "2001:db8:f::1"], ["198.51.100.2", "2001:db8:e::2"]].map { $0.map(Station.address) }
      plan.peers = []
      plan.routes = []
      plan.policies = []
      for (side, shape) in sides.enumerated() {
        plan.ports[side].role = .protected
        plan.ports[side].mtu = shape.mtu
        plan.ports[side].addresses = own[side]
        plan.ports[side].neighbours = far[side].map { .init(address: $0, mac: Station.router) }
        plan.ports[side].defaultGroup = side
        let family = shape.outer == 4 ? 0 : 1
        var peer = GatewayPlan.Peer(
          name: "side\(side)", address: far[side][family], source: own[side][family].address, port: side,
          nextHop: far[side][family])
        peer.carriage = shape.carriage
        plan.peers.append(peer)
        var sealing = GatewayPlan.Sealing(group: side)
        sealing.peers = [side]
        (sealing.suite, sealing.context, sealing.options) = (shape.suite, shape.context, shape.options)
        (sealing.coffset, sealing.ioffset) = (shape.coffset, shape.ioffset)
        plan.routes += inner[side].map { .init(prefix: $0, action: .seal(sealing)) }
        plan.policies.append(.init(group: side, speaks: inner[side], forms: [.ipv4, .ipv6]))
        var identity = GatewayPlan.Identity(deviceID: identities[side].id)
        identity.member = identities[side].member
        identity.wideID = shape.isWide
        plan.identities[side] = identity
      }
      plan.proxies = [policy(0, 1), policy(1, 0)]
      edit(&plan)
    }
  }

  static func policy(_ from: Int, _ to: Int) -> GatewayPlan.Proxy {
    var policy = GatewayPlan.Proxy(from: from, to: to)
    (policy.sources, policy.destinations) = (inner[from], inner[to])
    return policy
  }

  static func wire(_ station: Station, _ side: Int) -> RingWire { side == 0 ? station.clear : station.fabric }

  /// What station 1 or 2 would have sent: a security header and what follows, as its outer packet.
  static func outer(_ packet: [UInt8], side: Int, _ shape: Side = Side(), ecn: UInt8 = 0) -> [UInt8] {
    let names =
      shape.outer == 4
      ? [("192.0.2.1", "192.0.2.3"), ("198.51.100.2", "198.51.100.3")]
      : [("2001:db8:f::1", "2001:db8:f::3"), ("2001:db8:e::2", "2001:db8:e::3")]
    let payload = shape.carriage == .udp ? Packet.udp(50000, 4500, packet) : packet
    let number: UInt8 = shape.carriage == .udp ? 17 : 253
    return shape.outer == 4
      ? Packet.ipv4(from: names[side].0, to: names[side].1, protocol: number, tos: ecn, payload)
      : Packet.ipv6(from: names[side].0, to: names[side].1, next: number, trafficClass: ecn, payload)
  }

  static func put(_ outer: [UInt8], on station: Station, side: Int, then isRun: Bool = true) {
    let wire = wire(station, side)
    station.put(Packet.frame(to: wire.mac, from: Station.router, outer), on: wire, then: isRun)
  }

  /// The outer packets that the proxy sent out of a side.
  static func taken(_ station: Station, _ side: Int) -> [[UInt8]] {
    (side == 0 ? station.takenClear() : station.taken()).map { Array($0.dropFirst(14)) }
  }

  /// From the security header on.
  static func protectedPart(_ outer: [UInt8]) -> [UInt8] {
    let isIPv4 = outer[0] >> 4 == 4
    let number = isIPv4 ? outer[9] : outer[6]
    return Array(outer.dropFirst((isIPv4 ? 20 : 40) + (number == 17 ? 8 : 0)))
  }
}

/// Tests/Interop/reference.py as every other member of both groups.
enum ProxyReference {
  private static let script = """
    import sys, time
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    from reference import *
    def root(level, seed):
        keys = {g: bytes((seed + g * 37 + i * 11) & 255 for i in range(32)) for g in (6, 7, 8)}
        return RootKey(level, bytes([seed]) * 16, 7, keys)
    def group(name, seed, default):
        return Group(name, [root(1, seed), root(3, seed + 16)], default, 600, 255, 15)
    now = int(time.time())
    epoch = now // 600 & 65535
    for number, line in enumerate(sys.stdin):
        words = line.split()
        side = int(words[1])
        # On each side packets without options are of that side's group.
        groups = [group("train", 1, side == 0), group("other", 101, side == 1)]
        if words[0] == "seal":
            _, _, variant, options, source, coffset, ioffset, id, member, payload = words
            variant, roots = int(variant), groups[side].roots
            named = b"".join(option(r.level, r.id, 7) for r in roots) if options == "1" else b""
            reserve = 0 if named else sum((7 & 3) << 2 * (r.level - 1) for r in roots)
            id = bytes.fromhex(id)[-8 if variant & 8 else -4:]
            header = Header(variant, id, epoch, int(member) << 42 | number, named, reserve, int(coffset), int(ioffset))
            key = data_key(master_key(roots, [7, 7]), variant, id, epoch, address(source))
            print(seal(header, bytes.fromhex(payload), key).hex())
        else:
            packet, source = bytes.fromhex(words[3]), address(words[2])
            try:
                opened = open_packet(packet, groups, True, source, now)
                ids = [level for level, _, _ in opened.options]
                name = next((g.name for g in groups if g.pairs() == [(l, i) for l, i, _ in opened.options]), "default")
                print(name, opened.variant, opened.id.hex(), opened.counter >> 42, opened.coffset, opened.ioffset,
                      opened.payload.hex())
            except Drop as drop:
                print(drop)
    """

  private static func run(_ lines: [String]) throws -> [String] {
    if lines.isEmpty { return [] }
    return try Program.withTemporaryDirectory { directory in
      let input = directory.appending(path: "input")
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
      let interop = Program.repository.appending(path: "Tests/Interop").path(percentEncoded: false)
      let result = try Program.run(Program.python, ["-c", script, interop], input: input)
      try #require(result.status == 0, "\(result.errors)")
      return result.lines.map(String.init)
    }
  }

  struct Wanted {
    var side: Int
    var payload: [UInt8]
    var shape = ProxyLab.Side()
    var id: UInt64 = 0x2A63
    var member = 33
  }

  /// Packets of a member of a side's group, from the security header to the ICV.
  static func seal(_ wanted: [Wanted]) throws -> [[UInt8]] {
    let lines = wanted.map { one in
      let shape = one.shape
      let source =
        shape.outer == 4
        ? ["192.0.2.1", "198.51.100.2"][one.side] : ["2001:db8:f::1", "2001:db8:e::2"][one.side]
      let id = String(one.id, radix: 16)
      return "seal \(one.side) \(shape.variant) \(shape.options ? 1 : 0) \(source) \(shape.coffset) \(shape.ioffset) "
        + "\(String(repeating: "0", count: 16 - id.count))\(id) \(one.member) \(one.payload.hex)"
    }
    return try run(lines).compactMap { [UInt8](hex: $0) }
  }

  static func seal(_ payload: [UInt8], side: Int) throws -> [UInt8] {
    try #require(try seal([Wanted(side: side, payload: payload)]).first)
  }

  /// What a member of either group sees in outer packets that the proxy sent out of a side: group, V, ID, member, COffset, IOffset and
  /// payload, or why it is dropped.
  static func look(_ outers: [(side: Int, outer: [UInt8])]) throws -> [String] {
    try run(
      outers.map { side, outer in
        let isIPv4 = outer[0] >> 4 == 4
        let source =
          isIPv4
          ? outer[12..<16].map(String.init).joined(separator: ".")
          : stride(from: 8, to: 24, by: 2).map { String(outer.word(at: $0), radix: 16) }.joined(separator: ":")
        return "look \(side) \(source) \(ProxyLab.protectedPart(outer).hex)"
      })
  }

  static func sight(_ side: Int, _ shape: ProxyLab.Side, coffset: Int, ioffset: Int, _ payload: [UInt8]) -> String {
    let identity = ProxyLab.identities[side]
    let digits = String(identity.id, radix: 16)
    let id = String(repeating: "0", count: (shape.isWide ? 16 : 8) - digits.count) + digits
    return
      "\(shape.options ? ["train", "other"][side] : "default") \(shape.variant) \(id) \(identity.member) \(coffset) "
      + "\(ioffset) \(payload.hex)"
  }
}
