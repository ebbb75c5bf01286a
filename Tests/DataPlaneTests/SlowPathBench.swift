import DataPlane
import Wire

/// Writes down what the slow path wants.
struct SlowPathRecorder: SlowPathOutput {
  enum Event: Hashable {
    case transmit([UInt8], port: UInt16)
    case route([UInt8])
    case release(HeldPacket, MACAddress)
    case drop(HeldPacket, DropReason)
    case publish(UInt16, IPAddress, MACAddress?)
  }

  var events: [Event] = []

  mutating func transmit(_ frame: UnsafeRawBufferPointer, port: UInt16) {
    events.append(.transmit([UInt8](frame), port: port))
  }
  mutating func route(_ packet: UnsafeRawBufferPointer) { events.append(.route([UInt8](packet))) }
  mutating func release(_ held: HeldPacket, mac: MACAddress) { events.append(.release(held, mac)) }
  mutating func drop(_ held: HeldPacket, _ reason: DropReason) { events.append(.drop(held, reason)) }
  mutating func publish(port: UInt16, address: IPAddress, mac: MACAddress?) {
    events.append(.publish(port, address, mac))
  }
}

/// A slow path with three ports, its clock, and what it did since it was last looked at:
/// 0, clear; 1, protected, VLAN 100; 2, clear without addresses, half of a bump in the wire.
struct SlowPathBench {
  typealias Event = SlowPathRecorder.Event
  static let second: UInt64 = 1_000_000_000
  static let host4 = address("10.1.0.5")
  static let host6 = address("2001:db8:1::5")
  static let hostMAC = MACAddress(rawValue: 0x0200_0000_0005)
  static let movedMAC = MACAddress(rawValue: 0x0200_0000_0066)

  var path: SlowPath
  var output = SlowPathRecorder()
  var now: UInt64 = 1_000 * second

  static func address(_ text: String) -> IPAddress { IPAddress(text) ?? .unspecifiedIPv6 }

  static func port(
    _ index: UInt16, isProtected: Bool = false, vlan: UInt16? = nil, _ addresses: [String] = [],
    neighbours: [SlowPathPort.StaticNeighbour] = []
  ) -> SlowPathPort {
    SlowPathPort(
      index: index, mac: MACAddress(rawValue: 0x0200_0000_00A0 | UInt64(index)), mtu: 1500, vlan: vlan,
      isProtected: isProtected, addresses: addresses.compactMap { IPPrefix($0) }, neighbours: neighbours)
  }

  static let ports = [
    port(0, ["10.1.0.1/24", "2001:db8:1::1/64"]),
    port(1, isProtected: true, vlan: 100, ["192.0.2.1/24", "2001:db8:f::1/64"]),
    port(2),
  ]

  /// Announcements and first requests are over, unless `isQuiet` is false.
  init(
    ports: [SlowPathPort] = Self.ports, nextHops: Set<NeighbourKey> = [], isQuiet: Bool = true,
    _ change: (inout SlowPathLimits) -> Void = { _ in }
  ) {
    var limits = SlowPathLimits()
    change(&limits)
    path = SlowPath(limits: limits)
    path.configure(ports: ports, nextHops: nextHops, limits: limits, now: now, output: &output)
    if isQuiet { _ = wait(2.5) }
  }

  mutating func receive(_ frame: [UInt8], _ info: PuntInfo, held: UInt? = nil) -> PuntDisposition {
    frame.withUnsafeBytes {
      path.receive($0, info, held: held.map { HeldPacket(rawValue: $0) }, now: now, output: &output)
    }
  }
  mutating func neighbour(_ frame: [UInt8], port: UInt16 = 0) -> PuntDisposition {
    receive(frame, PuntInfo(punt: .neighbour, port: port))
  }
  mutating func echo(_ frame: [UInt8], port: UInt16 = 0, l3Offset: UInt16 = 14) -> PuntDisposition {
    receive(frame, PuntInfo(punt: .echo, port: port, l3Offset: l3Offset))
  }
  mutating func unresolved(_ nextHop: IPAddress, _ held: UInt?, port: UInt16 = 0) -> PuntDisposition {
    receive([], PuntInfo(punt: .unresolved, port: port, nextHop: nextHop), held: held)
  }
  mutating func take() -> [Event] {
    defer { output.events = [] }
    return output.events
  }
  /// Lets time pass in steps of a tenth of a second.
  mutating func wait(_ seconds: Double) -> [Event] {
    let end = now &+ UInt64(seconds * Double(Self.second))
    while now < end {
      now = min(end, now &+ Self.second / 10)
      path.tick(now: now, output: &output)
    }
    return take()
  }
  func mac(of address: IPAddress, port: UInt16 = 0) -> MACAddress? {
    path.entries(now: now).first { $0.key == NeighbourKey(port: port, address: address) }?.mac
  }
  func state(of address: IPAddress, port: UInt16 = 0) -> NeighbourState? {
    path.entries(now: now).first { $0.key == NeighbourKey(port: port, address: address) }?.state
  }
}
