import Wire

/// Everything a gateway says for itself: ARP, neighbour discovery, answers to ping, ICMP errors, BFD.
///
/// One thread owns it and with it all neighbour state; lcores hand packets over and learn of neighbours by `publish`.
/// It is free of I/O and of clocks: frames and the time (`now`: nanoseconds of a clock that does not go back) come in,
/// answers go to a `SlowPathOutput`. Memory is bounded by the configuration and `SlowPathLimits`, whatever arrives.
package struct SlowPath: Sendable {
  var ports: [UInt16: SlowPathPort] = [:]
  var neighbours: NeighbourTable
  var counts = SlowPathCounters()
  var errorBucket: TokenBucket
  var echoBucket: TokenBucket
  var bfd: [NeighbourKey: BFDEntry] = [:]
  /// Why every BFD session is held down; nothing while the gateway forwards.
  var bfdHold: BFDPacket.Diagnostic?
  /// Before this time only who comes first answers for a shared address.
  var sharedFrom: UInt64 = 0
  private var announcements: [UInt16: (left: Int, due: UInt64)] = [:]
  var actions: [NeighbourAction] = []
  /// One generated frame: two VLAN tags and the largest IP packet.
  private var scratch = [UInt8](repeating: 0, count: 22 + 65_535)

  /// RFC 5227, section 1.1: ANNOUNCE_NUM and ANNOUNCE_INTERVAL (nanoseconds).
  private static let announcementCount = 2
  private static let announcementInterval: UInt64 = 2_000_000_000

  /// Speaks for no address yet: `configure` says which.
  package init(limits: SlowPathLimits = SlowPathLimits()) {
    neighbours = NeighbourTable(limits: limits.neighbours)
    errorBucket = TokenBucket(rate: limits.errorRate, burst: limits.errorBurst)
    echoBucket = TokenBucket(rate: limits.echoRate, burst: limits.echoBurst)
  }

  /// What was done so far.
  package var counters: SlowPathCounters {
    var counters = counts
    counters.neighboursLearned = neighbours.learned
    counters.neighboursLost = neighbours.lost
    counters.neighboursRefused = neighbours.refused
    return counters
  }

  /// Every neighbour known or asked for, by port and address.
  package func entries(now: UInt64) -> [NeighbourStatus] { neighbours.entries(now: now) }

  /// Takes a configuration over, the first or a reload's: what was learned and is still on a link stays, new addresses are
  /// announced, next hops that are not known are asked for.
  ///
  /// - Parameters:
  ///   - nextHops: of peers and routes, by the port they are reached through; kept resolved for ever.
  ///   - bfd: neighbours with a BFD session, kept resolved as well.
  package mutating func configure<Output: SlowPathOutput>(
    ports list: [SlowPathPort], nextHops routed: Set<NeighbourKey>, bfd watching: [BFDNeighbour] = [],
    limits: SlowPathLimits = SlowPathLimits(), now: UInt64, output: inout Output
  ) {
    let before = ports
    let nextHops = routed.union(watching.map(\.key))
    ports = Dictionary(list.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
    takeOver(before, now: now)
    errorBucket.limit(rate: limits.errorRate, burst: limits.errorBurst)
    echoBucket.limit(rate: limits.echoRate, burst: limits.echoBurst)
    var permanent: [NeighbourKey: MACAddress] = [:]
    for port in ports.values {
      for neighbour in port.neighbours {
        permanent[NeighbourKey(port: port.index, address: neighbour.address)] = neighbour.mac
      }
    }
    neighbours.configure(
      permanent: permanent, pinned: nextHops, limits: limits.neighbours, now: now, &actions,
      isOnLink: { [ports] key in
        guard let port = ports[key.port], port.vlan == before[key.port]?.vlan else { return false }
        return port.canNeighbour(key.address) || nextHops.contains(key)
      })
    perform(&output)
    announcements = announcements.filter { ports[$0.key] != nil }
    for port in ports.values.sorted(by: { $0.index < $1.index }) {
      let old = before[port.index]
      guard old?.addresses != port.addresses || old?.mac != port.mac || old?.vlan != port.vlan else { continue }
      announceSoon(port.index, now: now)
    }
    configureBFD(watching, now: now, &output)
    settleShared(now: now)
    announce(now: now, &output)
  }

  /// Takes a punted packet.
  ///
  /// - Parameters:
  ///   - frame: as `PuntInfo.punt` says; borrowed for the call only.
  ///   - held: the packet's name if it may be kept; only `unresolved` ones are.
  package mutating func receive<Output: SlowPathOutput>(
    _ frame: UnsafeRawBufferPointer, _ info: PuntInfo, held: HeldPacket?, now: UInt64, output: inout Output
  ) -> PuntDisposition {
    let disposition: PuntDisposition
    switch info.punt {
    case .neighbour: disposition = receiveNeighbour(frame.bytes, info, now: now, &output)
    case .echo, .openedEcho: disposition = answerEcho(frame.bytes, info, now: now, &output)
    case .hopLimit:
      report(.timeExceeded, about: frame.bytes, info, now: now, &output)
      disposition = .dropped(.hopLimit)
    case .tooBig:
      report(.tooBig(mtu: Int(info.mtu)), about: frame.bytes, info, now: now, &output)
      disposition = .dropped(.tooBig)
    case .unresolved: disposition = resolve(info, held, now: now, &output)
    case .bfd: disposition = receiveBFD(frame.bytes, info, now: now, &output)
    }
    perform(&output)
    return disposition
  }

  /// Does what is due; call it some ten times a second, and when `bfdDue` has come.
  package mutating func tick<Output: SlowPathOutput>(now: UInt64, output: inout Output) {
    neighbours.walk(now: now, &actions)
    perform(&output)
    tickBFD(now: now, &output)
    settleShared(now: now)
    announce(now: now, &output)
  }

  /// The port's link came up after it was down: announces its addresses again and asks whether its neighbours stayed.
  package mutating func linkUp(port: UInt16, now: UInt64, output: inout some SlowPathOutput) {
    guard ports[port] != nil else { return }
    if bfd.keys.contains(where: { $0.port == port }) { waitForOthers(now: now) }
    announceSoon(port, now: now)
    neighbours.suspect(port: port, now: now, &actions)
    tick(now: now, output: &output)
  }

  /// The gateway stops: gives back every packet that waits.
  package mutating func stop(output: inout some SlowPathOutput) {
    for held in neighbours.dropHeld() { output.drop(held, .stopping) }
  }

  // MARK: Doing

  private mutating func resolve<Output: SlowPathOutput>(
    _ info: PuntInfo, _ held: HeldPacket?, now: UInt64, _ output: inout Output
  ) -> PuntDisposition {
    let key = NeighbourKey(port: info.port, address: info.nextHop)
    guard let held, let port = ports[info.port],
      port.canNeighbour(info.nextHop) || neighbours.isConfigured(key)
    else {
      counts.packetsUnresolved &+= 1
      return .dropped(.neighbourUnresolved)
    }
    switch neighbours.demand(key, held, now: now, &actions) {
    case .held:
      counts.packetsHeld &+= 1
      return .held
    case .resolved(let mac):
      // It was published while this packet was on its way here.
      counts.packetsReleased &+= 1
      output.release(held, mac: mac)
      return .held
    case .refused:
      counts.packetsUnresolved &+= 1
      return .dropped(.neighbourUnresolved)
    }
  }

  private mutating func perform<Output: SlowPathOutput>(_ output: inout Output) {
    guard !actions.isEmpty else { return }
    for action in actions {
      switch action {
      case .solicit(let key, let mac): solicit(key, mac, &output)
      case .publish(let key, let mac): output.publish(port: key.port, address: key.address, mac: mac)
      case .release(let held, let mac):
        counts.packetsReleased &+= 1
        output.release(held, mac: mac)
      case .drop(let held):
        counts.packetsUnresolved &+= 1
        output.drop(held, .neighbourUnresolved)
      }
    }
    actions.removeAll(keepingCapacity: true)
  }

  mutating func announceSoon(_ port: UInt16, now: UInt64) { announcements[port] = (Self.announcementCount, now) }

  mutating func announce<Output: SlowPathOutput>(now: UInt64, _ output: inout Output) {
    guard announcements.values.contains(where: { $0.due <= now }) else { return }
    for (index, state) in announcements.sorted(by: { $0.key < $1.key }) where state.due <= now {
      guard let port = ports[index] else { continue }
      announceAddresses(of: port, &output)
      announcements[index] = state.left > 1 ? (state.left - 1, now &+ Self.announcementInterval) : nil
    }
  }

  // MARK: Frames

  /// Where a generated packet goes: out of a port behind an Ethernet header, or (nil) wherever its route leads.
  struct Way {
    let port: UInt16
    let header: EthernetHeader
  }

  /// Writes a packet after its Ethernet header, if it has one, into the scratch memory; returns all octets.
  mutating func compose(_ way: Way?, _ write: (inout MutableRawSpan, Int) -> Int?) -> Int? {
    var memory = scratch.mutableSpan
    var bytes = memory.mutableBytes
    guard let way else { return write(&bytes, 0) }
    guard let start = way.header.write(into: &bytes) else { return nil }
    return write(&bytes, start)
  }

  /// Sends what `compose` made.
  func emit<Output: SlowPathOutput>(_ length: Int, _ way: Way?, _ output: inout Output) {
    scratch.withUnsafeBytes { bytes in
      let frame = UnsafeRawBufferPointer(rebasing: bytes.prefix(length))
      if let way { output.transmit(frame, port: way.port) } else { output.route(frame) }
    }
  }
}
