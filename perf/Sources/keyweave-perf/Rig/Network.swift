import DataPlane
import Keys
import Wire

/// The addresses of every benchmark, and plans with them: hosts 10.1.0.2 and 10.2.0.2 behind gateways 192.0.2.1 and 192.0.2.2,
/// or the same in IPv6.
struct Network {
  let host, remote, fabric, peer: IPAddress
  private let inside, near, far: IPPrefix

  static let mac = MACAddress(rawValue: 0x0200_0000_0002)

  init(_ family: Family) {
    let texts =
      family == .ipv4
      ? ["10.1.0.2", "10.2.0.2", "192.0.2.1", "192.0.2.2", "10.1.0.1/24", "10.1.0.0/16", "10.2.0.0/16"]
      : [
        "2001:db8:1::2", "2001:db8:2::2", "2001:db8:f::1", "2001:db8:f::2", "2001:db8:1::1/64", "2001:db8:1::/48",
        "2001:db8:2::/48",
      ]
    host = Self.address(texts[0])
    remote = Self.address(texts[1])
    fabric = Self.address(texts[2])
    peer = Self.address(texts[3])
    inside = Self.prefix(texts[4])
    near = Self.prefix(texts[5])
    far = Self.prefix(texts[6])
  }

  private static func address(_ text: String) -> IPAddress { IPAddress(text) ?? .unspecifiedIPv4 }
  private static func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? IPPrefix(host: .unspecifiedIPv4) }

  /// Those that a gateway holds the keys of.
  static func groups(_ kind: Kind) throws -> [TrustGroup] {
    kind.isProxied ? [try group(), try group("world", seed: 107)] : [try group()]
  }

  /// The same root key in every process. `index` counts its rotations.
  static func group(_ name: String = "perf", seed: UInt8 = 7, index: UInt64 = 1) throws -> TrustGroup {
    func generation(_ index: UInt64) throws -> Generation {
      let octets = (0..<32).map { UInt8(truncatingIfNeeded: index) &* 29 &+ $0 &+ (seed &- 7) }
      let key = try octets.withUnsafeBytes { octets throws(SecretKeyError) in try SecretKey.copying(octets) }
      return Generation(index: index, key: key)
    }
    let root = RootKey(
      level: .trustRegion, id: [UInt8](repeating: seed, count: 16),
      previous: index > 1 ? try generation(index - 1) : nil,
      current: try generation(index), next: try generation(index + 1))
    return TrustGroup(name: name, isDefault: seed == 7, rootKeys: [root])
  }

  /// A gateway that does one thing; `number` is 1 for who seals and 2 for who opens.
  func plan(_ kind: Kind, name: String, clear: String, fabric device: String) -> GatewayPlan {
    let isSealing = kind.direction == .seal
    var plan = GatewayPlan(name: name, deviceID: isSealing ? 1 : 2)
    plan.member = isSealing ? 1 : 2
    var inside = GatewayPlan.Port(name: "clear", device: clear, role: .clear)
    var outside = GatewayPlan.Port(name: "fabric", device: device, role: .protected)
    inside.mtu = 9000
    outside.mtu = 9200
    outside.defaultGroup = 0
    var sealing = GatewayPlan.Sealing(group: 0)
    sealing.suite = kind.suite
    sealing.options = kind.hasOptions
    sealing.mode = kind.mode
    if kind.mode == .transport {
      inside.mode = .transport
      inside.pair = 1
      outside.pair = 0
      plan.routes = [GatewayPlan.Route(prefix: isSealing ? far : near, action: .seal(sealing))]
      plan.policies = [GatewayPlan.GroupPolicy(group: 0, speaks: [near], forms: [.transport])]
    } else if isSealing {
      inside.addresses = [self.inside]
      outside.addresses = [own(fabric)]
      outside.neighbours = [GatewayPlan.Neighbour(address: peer, mac: Self.mac)]
      plan.peers = [GatewayPlan.Peer(name: "b", address: peer, source: fabric, port: 1, nextHop: peer)]
      sealing.peers = [0]
      plan.routes = [GatewayPlan.Route(prefix: far, action: .seal(sealing))]
    } else {
      inside.addresses = [self.inside]
      inside.neighbours = [GatewayPlan.Neighbour(address: host, mac: Self.mac)]
      outside.addresses = [own(peer)]
      outside.neighbours = [GatewayPlan.Neighbour(address: fabric, mac: Self.mac)]
      plan.policies = [GatewayPlan.GroupPolicy(group: 0, speaks: [near], forms: [.ipv4, .ipv6])]
      plan.routes = [GatewayPlan.Route(prefix: far, action: .forward(port: 0, via: host))]
    }
    plan.ports = [inside, outside]
    if kind.isProxied { proxy(&plan, sealing) }
    return plan
  }

  /// What `plan` opens goes into another group, to a gateway in the host's place.
  private func proxy(_ plan: inout GatewayPlan, _ like: GatewayPlan.Sealing) {
    plan.ports[0].role = .protected
    plan.ports[0].mtu = 9200
    plan.peers = [GatewayPlan.Peer(name: "c", address: host, source: inside.address, port: 0, nextHop: host)]
    var sealing = like
    sealing.group = 1
    sealing.peers = [0]
    plan.routes = [GatewayPlan.Route(prefix: far, action: .seal(sealing))]
    var policy = GatewayPlan.Proxy(from: 0, to: 1)
    (policy.sources, policy.destinations) = ([near], [far])
    plan.proxies = [policy]
  }

  private func own(_ address: IPAddress) -> IPPrefix {
    IPPrefix(address: address, length: address.isIPv4 ? 24 : 64) ?? IPPrefix(host: address)
  }

  /// A frame with a UDP packet from one host to another, of a pair for each flow, of which there are 60,000; `length` counts from
  /// the IP header.
  func frame(length: Int, flow: UInt16, to mac: MACAddress) -> [UInt8] {
    var octets = [UInt8](repeating: 0x5A, count: EthernetHeader.minimumLength + length)
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    let isIPv4 = host.isIPv4
    _ = EthernetHeader(destination: mac, source: Self.mac, etherType: isIPv4 ? EtherType.ipv4 : EtherType.ipv6)
      .write(into: &bytes)
    let l3 = EthernetHeader.minimumLength
    let header = isIPv4 ? IPv4Header.minimumLength : IPv6Header.length
    let segment = UInt16(length - header)
    let source = IPAddress(high: host.high, low: host.low + UInt64(flow & 0xFF) << 8 + UInt64(flow >> 8))
    let destination = IPAddress(high: remote.high, low: remote.low + UInt64(flow &* 7 & 0x1FFF) << 3)
    if isIPv4 {
      _ = IPv4Header(
        totalLength: UInt16(length), protocolNumber: IPProtocol.udp, source: source, destination: destination
      ).write(into: &bytes, at: l3)
    } else {
      _ = IPv6Header(payloadLength: segment, nextHeader: IPProtocol.udp, source: source, destination: destination)
        .write(into: &bytes, at: l3)
    }
    _ = UDPHeader(sourcePort: 10_000 + flow, destinationPort: 9, datagramLength: segment)
      .write(into: &bytes, at: l3 + header)
    return octets
  }
}
