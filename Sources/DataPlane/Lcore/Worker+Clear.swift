internal import CDPDK
internal import Wire

/// A packet in clear that may be sealed, forwarded or answered.
struct ClearItem {
  var mbuf: Mbuf
  /// Octets from the frame's start to the IP header, and of the IP packet.
  var l3: Int
  var length: Int
  var isIPv4: Bool
  var flow: InnerFlow
  /// Its source sent it in fragments, which were put together here (transport mode).
  var isMended = false
  /// The group whose packet it was, when it is on its way into another; -1: it came in clear.
  var openedGroup = -1
  /// The proxy policy that lets it, by its place in the plan.
  var policy = -1

  /// Where it came from, as a flow's ID has it; nothing for a packet of the gateway's own.
  func origin(_ port: Int) -> FlowOrigin? {
    openedGroup >= 0 ? .group(openedGroup) : port >= 0 ? .port(port) : nil
  }
}

/// The way of a clear packet:
///
/// 1. frame: tag, destination MAC, type
/// 2. IP header: lengths, checksum; the flow it belongs to
/// 3. longest prefix of the destination, for the burst at once
/// 4. what the route says: seal, answer, pass in clear where configured, or drop
/// 5. for what is sealed: MTU, hop limit, MSS, outer headers (`Worker+Encapsulate`)
/// 6. seal the burst, choose the neighbour, send
extension Worker {
  @inline(__always)
  mutating func sealBurst(_ count: Int, port: Int) {
    clearCount = 0
    sealCount = 0
    let mode = view.ports[port].mode
    let count = mode == .tunnel ? sealKnown(count, port: port) : count
    guard count > 0 else { return }
    for index in 0..<count {
      guard let mbuf = takeWhole(index) else { continue }
      switch mode {
      case .tunnel: classifyClear(mbuf, port: port)
      case .transport: classifyBump(mbuf, port: port)
      case .ethernet: encapsulateFrame(mbuf, port: port)
      }
    }
    routeClear(port: port)
  }

  /// Steps 1 and 2 of a port that routes.
  @inline(__always)
  private mutating func classifyClear(_ mbuf: Mbuf, port: Int) {
    let entry = view.ports + port
    guard let frame = EthernetView(mbuf.bytes.bytes) else { return discard(mbuf, .malformedFrame) }
    guard entry.pointee.accepts(frame) else { return discard(mbuf, .vlan) }
    guard entry.pointee.takes(frame.destination) else { return discard(mbuf, .notForUs) }
    let l3 = frame.headerLength
    switch frame.etherType {
    case EtherType.ipv4, EtherType.ipv6: classifyPacket(mbuf, l3: l3, port: port)
    case EtherType.arp:
      punt(
        mbuf,
        PuntInfo(punt: .neighbour, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: l3)))
    default: discard(mbuf, .etherType)
    }
  }

  /// A packet of the gateway's own, from the slow path: Ethernet header and IP packet.
  mutating func classifyOwn(_ mbuf: Mbuf) { classifyPacket(mbuf, l3: EthernetHeader.minimumLength, port: -1) }

  /// Step 2: a whole packet of either family whose header is right joins the burst.
  @inline(__always)
  mutating func classifyPacket(_ mbuf: Mbuf, l3: Int, port: Int) {
    let bytes = mbuf.bytes(from: l3).bytes
    if let header = IPv4View(bytes) {
      guard header.checksumIsValid else { return discard(mbuf, .checksum) }
      return join(mbuf, l3: l3, length: header.totalLength, isIPv4: true, InnerFlow(header))
    }
    guard let header = IPv6View(bytes), !header.hasMappedAddress, let flow = InnerFlow(header) else {
      return discard(mbuf, .malformedFrame)
    }
    if flow.protocolNumber == IPProtocol.icmpv6, !flow.isFragment, bytes.byteCount > flow.transportOffset,
      Self.isNeighbourDiscovery(bytes.uint8(at: flow.transportOffset)), port >= 0
    {
      return punt(
        mbuf,
        PuntInfo(punt: .neighbour, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: l3)))
    }
    join(mbuf, l3: l3, length: header.totalLength, isIPv4: false, flow)
  }

  /// What the burst's lookups and the steps after them are for.
  @inline(__always)
  private mutating func join(_ mbuf: Mbuf, l3: Int, length: Int, isIPv4: Bool, _ flow: InnerFlow) {
    destinations[clearCount] = flow.destination
    (clear + clearCount).initialize(to: ClearItem(mbuf: mbuf, l3: l3, length: length, isIPv4: isIPv4, flow: flow))
    clearCount &+= 1
  }

  /// Steps 3 to 6 for what `classify...` put together. Port -1 is the gateway itself.
  @inline(__always)
  mutating func routeClear(port: Int) {
    if clearCount > 0 {
      lookup.find(destinations, count: clearCount, in: view, into: routesTo)
      for index in 0..<clearCount { dispatch(clear + index, view.routes + Int(routesTo[index].route), port: port) }
      clearCount = 0
    }
    if sealCount > 0 { sealPending() }
  }

  /// Step 4.
  @inline(__always)
  private mutating func dispatch(
    _ item: UnsafePointer<ClearItem>, _ route: UnsafePointer<RouteEntry>, port: Int
  ) {
    // Sealing alone is worth its own way: all else is a call.
    guard route.pointee.kind == .seal else { return dispatchOther(item, route, port: port) }
    // Neither multicast nor link-local packets are routed (RFC 1812, 5.3.4; RFC 4291, 2.5.6).
    guard isRoutable(item.pointee) else { return discard(item.pointee.mbuf, .noRoute) }
    encapsulate(item, sealing: Int(route.pointee.sealing), port: port)
  }

  @inline(never)
  private mutating func dispatchOther(
    _ place: UnsafePointer<ClearItem>, _ route: UnsafePointer<RouteEntry>, port: Int
  ) {
    let item = place.pointee
    switch route.pointee.kind {
    case .clients:
      guard isRoutable(item) else { return discard(item.mbuf, .noRoute) }
      encapsulateForClient(place, sealing: Int(route.pointee.sealing), port: port)
    case .connection:
      guard isRoutable(item) else { return discard(item.mbuf, .noRoute) }
      encapsulateOnConnection(place, sealing: Int(route.pointee.sealing), port: port)
    case .own:
      answer(item, port: port)
    case .bypass:
      pass(item, route, port: port)
    case .connected, .via:
      // The gateway's own answers go out of its clear ports; from one clear port to another nothing is routed.
      if port < 0 {
        deliver(
          item.mbuf, l3: item.l3, length: item.length, isIPv4: item.isIPv4, route, destination: item.flow.destination)
      } else {
        unmatched(item, port: port)
      }
    case .none:
      unmatched(item, port: port)
    case .seal, .deny:
      discard(item.mbuf, .noRoute)
    }
  }

  /// Nor what a link gave to many stations (RFC 1812, section 5.3.4): the frame's first octet says so.
  @inline(__always)
  mutating func isRoutable(_ item: ClearItem) -> Bool {
    item.flow.destination.isRoutable && item.flow.source.isRoutable
      && item.mbuf.data.load(as: UInt8.self) & 1 == 0
  }

  private mutating func unmatched(_ item: ClearItem, port: Int) {
    let pair = port >= 0 ? Int(view.ports[port].pair) : -1
    if pair >= 0, view.bypassUnmatched { return transmitter.send(item.mbuf, port: pair) }
    discard(item.mbuf, .noRoute)
  }

  /// In clear to the protected side, because the operator said so.
  @inline(never)
  private mutating func pass(_ item: ClearItem, _ route: UnsafePointer<RouteEntry>, port: Int) {
    if port >= 0, view.ports[port].pair >= 0 { return transmitter.send(item.mbuf, port: Int(view.ports[port].pair)) }
    guard isRoutable(item) else { return discard(item.mbuf, .noRoute) }
    guard age(item, port: port) else { return }
    deliver(item.mbuf, l3: item.l3, length: item.length, isIPv4: item.isIPv4, route, destination: item.flow.destination)
  }

  /// A packet to one of the gateway's addresses: echo requests are answered, the rest is not for anyone.
  @inline(never)
  private mutating func answer(_ item: ClearItem, port: Int) {
    guard port >= 0, isEchoRequest(item) else { return discard(item.mbuf, .ownAddress) }
    punt(
      item.mbuf,
      PuntInfo(punt: .echo, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: item.l3)))
  }

  private mutating func isEchoRequest(_ item: ClearItem) -> Bool {
    let type = item.isIPv4 ? ICMPv4.echoRequest : ICMPv6.echoRequest
    return !item.flow.isFragment && item.flow.protocolNumber == (item.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6)
      && item.length > item.flow.transportOffset
      && item.mbuf.bytes[item.l3 &+ item.flow.transportOffset] == type
  }

  /// One hop less; a packet without any left goes to the slow path, which tells the source. The gateway's own packets
  /// are new.
  @inline(__always)
  mutating func age(_ item: ClearItem, port: Int) -> Bool {
    if item.mbuf.isGenerated { return true }
    let place = item.isIPv4 ? IPv4Header.ttlOffset : IPv6Header.hopLimitOffset
    guard item.mbuf.data.load(fromByteOffset: item.l3 &+ place, as: UInt8.self) > 1 else {
      tell(item, .hopLimit, port: port)
      return false
    }
    var bytes = UnsafeMutableRawBufferPointer(start: item.mbuf.data + item.l3, count: item.length).mutableBytes
    if item.isIPv4 { IPv4Header.decrementTTL(&bytes) } else { IPv6Header.decrementHopLimit(&bytes) }
    return true
  }

  /// What goes no further as it is goes to the slow path, which tells its source: out of the port that it came in by, or
  /// where there is none (-1) by way of a route.
  @inline(never)
  mutating func tell(_ item: ClearItem, _ reason: Punt, port: Int, mtu: Int = 0) {
    guard item.openedGroup < 0 || leadsHome(item) else {
      return discard(item.mbuf, reason == .hopLimit ? .hopLimit : .tooBig)
    }
    punt(
      item.mbuf,
      PuntInfo(
        punt: reason, port: UInt16(truncatingIfNeeded: max(0, port)), mtu: UInt16(truncatingIfNeeded: mtu),
        fromProtected: port < 0, isProxied: item.openedGroup >= 0, l3Offset: UInt16(truncatingIfNeeded: item.l3)))
  }

  // MARK: What both sides ask of an IP header

  /// Nothing is wrong: nil. The checksum is IPv4's; IPv6 packets with IPv4-mapped addresses would pass for IPv4 in
  /// the lookups.
  @inline(__always)
  static func headerFault(_ bytes: borrowing RawSpan) -> DropReason? {
    if let header = IPv4View(copy bytes) { return header.checksumIsValid ? nil : .checksum }
    if let header = IPv6View(copy bytes) { return header.hasMappedAddress ? .malformedFrame : nil }
    return .malformedFrame
  }

  @inline(__always)
  static func packetLength(_ bytes: borrowing RawSpan, isIPv4: Bool) -> Int {
    isIPv4
      ? Int(bytes.uint16(at: IPv4Header.totalLengthOffset))
      : IPv6Header.length &+ Int(bytes.uint16(at: IPv6Header.payloadLengthOffset))
  }

  @inline(__always)
  static func isNeighbourDiscovery(_ type: UInt8) -> Bool {
    type >= ICMPv6.routerSolicitation && type <= ICMPv6.redirect
  }
}

extension PortEntry {
  /// Whether a frame has the tags that this port's frames have. VLAN 0 is only a priority.
  @inline(__always) func accepts(_ frame: borrowing EthernetView) -> Bool {
    guard let tag = frame.outerTag else { return vlan == Self.untagged }
    return frame.vlanCount == 1 && tag.number == (vlan == Self.untagged ? 0 : vlan)
  }
}

extension IPAddress {
  /// May cross a router as a destination.
  @inline(__always) var isRoutable: Bool {
    if isIPv4 {
      // Neither 0.0.0.0 nor 255.255.255.255: the two that one more makes 1 or 0.
      let address = ipv4
      return address >> 28 != 0xE && address >> 24 != 127 && address >> 16 != 0xA9FE && address &+ 1 > 1
    }
    return !isMulticast && !isLinkLocal && !isLoopback && !isUnspecified
  }
}
