internal import CDPDK
internal import Synchronization
internal import Wire

/// Where packets go, and who may have sent them. Immutable; lcores reach it by pointer and never retain it.
///
/// One lookup per address answers both questions: the table holds every prefix of the routes, of the groups' permissions
/// and of the proxy's policies, and each entry carries the route and the set of groups and policies that cover it.
final class ForwardingTable: @unchecked Sendable {
  struct Failure: Error, CustomStringConvertible { let description: String }

  let fib4: UnsafeMutableRawPointer
  let fib6: UnsafeMutableRawPointer
  let prefixes: UnsafeMutableBufferPointer<PrefixEntry>
  let routes: UnsafeMutableBufferPointer<RouteEntry>
  let sealings: UnsafeMutableBufferPointer<SealingEntry>
  let peers: UnsafeMutableBufferPointer<PeerEntry>
  let ports: UnsafeMutableBufferPointer<PortEntry>
  /// speakers x speakerWords: bit g of a set says that group g may speak; the bits after the groups' are `ProxyEntry`'s.
  let speakers: UnsafeMutableBufferPointer<UInt64>
  let speakerWords: Int
  /// Per group: which payload forms it may use, bit = PayloadForm's raw value; and `limitsFrames`.
  let forms: UnsafeMutableBufferPointer<UInt8>
  /// By the group that they are for, and that order's ranges by group.
  let proxies: UnsafeMutableBufferPointer<ProxyEntry>
  let proxyRanges: UnsafeMutableBufferPointer<ProxyRange>
  /// By group; and for each pool the clients by slot.
  let clientPools: UnsafeMutableBufferPointer<ClientPoolEntry>
  private let clientSlots: [UnsafeMutableBufferPointer<Int32>]
  let plan: GatewayPlan
  private let groupCount: Int
  private let headerLengths: [Int]

  static let maxPrefixes = 0x7FFE
  /// A bit of `forms`.
  static var limitsFrames: UInt8 { 0x80 }
  private static let serial = Atomic<UInt64>(0)

  init(plan: GatewayPlan, ports livePorts: [LivePort], groupCount: Int, headerLengths: [Int]) throws(Failure) {
    self.plan = plan
    self.groupCount = groupCount
    self.headerLengths = headerLengths
    let compiled = CompiledRoutes(plan: plan, ports: livePorts)
    let table = compiled.merged(groupCount: groupCount)
    guard table.entries.count <= Self.maxPrefixes else {
      throw Failure(description: "\(table.entries.count) prefixes; the forwarding table holds \(Self.maxPrefixes)")
    }
    let number = Self.serial.wrappingAdd(1, ordering: .relaxed).newValue
    let ipv4 = table.entries.filter { $0.prefix.address.isIPv4 }
    let ipv6 = table.entries.filter { !$0.prefix.address.isIPv4 }
    // Prefixes beyond /24 share a group of 256 entries per /24.
    let long = Set(ipv4.filter { $0.prefix.length > 24 }.map { $0.prefix.address.ipv4 >> 8 }).count
    guard let fib4 = dpdk_fib_create("kw4-\(number)", UInt32(ipv4.count), UInt32(long), 0) else {
      throw Failure(
        description:
          "no memory for the IPv4 forwarding table (\(ipv4.count) prefixes): \(String(cString: dpdk_last_error()))")
    }
    guard let fib6 = dpdk_fib6_create("kw6-\(number)", UInt32(ipv6.count), 0) else {
      dpdk_fib_free(fib4)
      throw Failure(
        description:
          "no memory for the IPv6 forwarding table (\(ipv6.count) prefixes): \(String(cString: dpdk_last_error()))")
    }
    self.fib4 = fib4
    self.fib6 = fib6
    prefixes = .copied(from: [PrefixEntry(route: 0, speakers: 0)] + table.entries.map(\.entry))
    routes = .copied(from: compiled.routes)
    sealings = .copied(from: compiled.sealings(headerLengths: headerLengths))
    peers = .copied(from: compiled.peers)
    ports = .copied(from: compiled.ports)
    speakers = .copied(from: table.speakers)
    speakerWords = table.speakerWords
    forms = .copied(
      from: (0..<max(1, groupCount)).map { group -> UInt8 in
        guard let policy = plan.policies.first(where: { $0.group == group }) else { return 0 }
        return policy.forms.reduce(policy.speaks.isEmpty ? 0 : Self.limitsFrames) { $0 | 1 << $1.rawValue }
      })
    var pools = [ClientPoolEntry](repeating: .none, count: max(1, groupCount))
    var slots: [UnsafeMutableBufferPointer<Int32>] = []
    for (pool, peers) in zip(plan.clientPools, compiled.clientPeers) where pools.indices.contains(pool.group) {
      let table = UnsafeMutableBufferPointer<Int32>.copied(from: peers)
      slots.append(table)
      pools[pool.group] = ClientPoolEntry(pool, deviceID: plan.identity(towards: pool.group).deviceID, peers: table)
    }
    let proxies = plan.proxyEntries(groupCount: groupCount)
    self.proxies = .copied(from: proxies.entries)
    proxyRanges = .copied(from: proxies.ranges)
    clientPools = .copied(from: pools)
    clientSlots = slots
    for (index, entry) in table.entries.enumerated() {
      let nextHop = UInt64(index + 1)
      let address = entry.prefix.address
      let failed =
        address.isIPv4
        ? dpdk_fib_add(fib4, address.ipv4, entry.prefix.length, nextHop)
        : dpdk_fib6_add(fib6, address.octets, entry.prefix.length, nextHop)
      guard failed == 0 else {
        throw Failure(description: "the forwarding table did not take \(entry.prefix): error \(-failed)")
      }
    }
  }

  /// Whether it serves another table of keys as well, under the same plan.
  func fits(_ groupCount: Int, _ headerLengths: [Int]) -> Bool {
    self.groupCount == groupCount && self.headerLengths == headerLengths
  }

  deinit {
    dpdk_fib_free(fib4)
    dpdk_fib6_free(fib6)
    prefixes.deallocate()
    routes.deallocate()
    sealings.deallocate()
    peers.deallocate()
    ports.deallocate()
    speakers.deallocate()
    forms.deallocate()
    proxies.deallocate()
    proxyRanges.deallocate()
    clientPools.deallocate()
    clientSlots.forEach { $0.deallocate() }
  }
}

extension UnsafeMutableBufferPointer {
  /// A copy outside the heap of Swift's objects: readers need no retain.
  static func copied(from array: [Element]) -> Self {
    let buffer = Self.allocate(capacity: Swift.max(1, array.count))
    _ = buffer.initialize(from: array)
    return buffer
  }
}

extension IPAddress {
  /// Sixteen octets in the order of the wire.
  var octets: [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 % 8))) }
  }
}
