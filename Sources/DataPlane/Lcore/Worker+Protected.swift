internal import CDPDK
internal import Keys
internal import Wire

/// A packet from the protected side with its outer headers taken apart.
struct ProtectedItem {
  var mbuf: Mbuf
  /// Octets from the frame's start to the outer IP header, and of the outer IP packet.
  var l3: Int
  var length: Int
  var isIPv4: Bool
  var source: IPAddress
  var destination: IPAddress
  var sourceIsMapped: Bool
  var trafficClass: UInt8
  /// What follows the outer IP headers, where, and where the octet is that says so (transport mode rewrites it).
  var protocolNumber: UInt8
  var upper: Int
  var nextHeaderPlace: Int
}

/// The way of a protected packet:
///
/// 1. frame: tag, destination MAC, type; ARP and neighbour discovery to the slow path
/// 2. outer IP header; fragments wait until they are whole
/// 3. is it for us, and is it UDP to our port or our IP protocol?
/// 4. open the burst (`Opener`)
/// 5. policy: form, source, destination, not our own packet come back
/// 6. what was opened goes on its way (`Worker+Deliver`), or is sealed for another group (`Worker+Proxy`)
extension Worker {
  @inline(__always)
  mutating func openBurst(_ count: Int, port: Int) {
    let count = view.ports[port].pair < 0 ? openKnown(count, port: port) : count
    guard count > 0 else { return }
    protectedCount = 0
    for index in 0..<count {
      guard let mbuf = takeWhole(index) else { continue }
      classifyProtected(mbuf, port: port)
    }
    guard protectedCount > 0 else { return }
    let isBump = view.ports[port].pair >= 0
    let udpPort = view.ports[port].udpPort
    if !isBump {
      for index in 0..<protectedCount { destinations[index] = protected[index].destination }
      lookup.find(destinations, count: protectedCount, in: view, into: routesTo)
    }
    var openCount = 0
    for index in 0..<protectedCount {
      let item = protected + index
      if !isBump {
        let route = view.routes + Int(routesTo[index].route)
        // An IPv6 header reaches no IPv4 address, mapped or not.
        guard route.pointee.kind == .own, item.pointee.isIPv4 || !item.pointee.destination.isIPv4 else {
          passUnprotected(item.pointee, to: route, port: port)
          continue
        }
      }
      guard let place = protectedPart(item.pointee, udpPort: udpPort) else {
        takeUnprotected(item.pointee, port: port)
        continue
      }
      if openCount < index { protected[openCount] = item.pointee }
      (openItems + openCount).initialize(
        to: OpenItem(
          packet: item.pointee.mbuf.data + place.offset, length: place.length, source: item.pointee.source,
          sourceIsMapped: item.pointee.sourceIsMapped, overUDP: item.pointee.protocolNumber == IPProtocol.udp,
          defaultGroup: Int(view.ports[port].defaultGroup)))
      openCount &+= 1
    }
    protectedCount = openCount
    guard openCount > 0 else { return }
    opener.open(
      openItems, count: openCount, keys: state.keys, board: openBoard, connections: state.connections,
      replay: state.replay)
    if opener.untracked.any { countUntracked() }
    if !isBump { learnFrames(openCount, port: port) }
    deliverOpened(openCount, port: port)
    if sealCount > 0 { sealProxied() }
  }

  @inline(never)
  private mutating func learnFrames(_ count: Int, port: Int) {
    for index in 0..<count where openItems[index].drop == nil {
      let item = protected[index]
      opener.remember(
        openItems[index], in: UnsafeRawPointer(item.mbuf.data), ip: item.l3, upper: item.upper, port: port,
        keys: state.keys)
    }
  }

  @inline(never)
  mutating func countUntracked() {
    counters.add(.replayTableFull, opener.untracked.tableFull)
    counters.add(.replayConnectionFull, opener.untracked.connectionFull)
    opener.untracked = UntrackedCount()
  }

  /// Steps 1 and 2.
  @inline(__always)
  private mutating func classifyProtected(_ mbuf: Mbuf, port: Int) {
    let entry = view.ports + port
    guard let frame = EthernetView(mbuf.bytes.bytes) else { return discard(mbuf, .malformedFrame) }
    let isBump = entry.pointee.pair >= 0
    if !isBump {
      guard entry.pointee.accepts(frame) else { return discard(mbuf, .vlan) }
      guard entry.pointee.takes(frame.destination) else { return discard(mbuf, .notForUs) }
    }
    let l3 = frame.headerLength
    guard frame.etherType == EtherType.ipv4 || frame.etherType == EtherType.ipv6 else {
      if isBump { return passBump(mbuf, etherType: frame.etherType, port: port) }
      guard frame.etherType == EtherType.arp else { return discard(mbuf, .etherType) }
      return punt(
        mbuf,
        PuntInfo(punt: .neighbour, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: l3)))
    }
    if outerHeaders(mbuf, l3: l3, into: protected + protectedCount) { protectedCount &+= 1 }
  }

  /// Step 2: false when the packet was dropped or is a fragment that waits.
  @inline(__always)
  mutating func outerHeaders(_ mbuf: Mbuf, l3: Int, into place: UnsafeMutablePointer<ProtectedItem>) -> Bool {
    let bytes = mbuf.bytes(from: l3).bytes
    if let view = IPv4View(bytes) {
      guard view.checksumIsValid else {
        discard(mbuf, .checksum)
        return false
      }
      if view.isFragment { return reassembled(mbuf, l3: l3, fragmentHeader: nil, into: place) }
      place.initialize(
        to: ProtectedItem(
          mbuf: mbuf, l3: l3, length: view.totalLength, isIPv4: true, source: view.source,
          destination: view.destination, sourceIsMapped: false, trafficClass: view.trafficClass,
          protocolNumber: view.protocolNumber, upper: l3 &+ view.headerLength,
          nextHeaderPlace: l3 &+ IPv4Header.protocolOffset))
      return true
    }
    guard let view = IPv6View(bytes), let extensions = IPv6Extensions.walk(view) else {
      discard(mbuf, .malformedFrame)
      return false
    }
    if extensions.isFragment {
      return reassembled(mbuf, l3: l3, fragmentHeader: l3 &+ extensions.fragmentHeaderOffset, into: place)
    }
    place.initialize(
      to: ProtectedItem(
        mbuf: mbuf, l3: l3, length: view.totalLength, isIPv4: false, source: view.source,
        destination: view.destination, sourceIsMapped: view.source.isIPv4, trafficClass: view.trafficClass,
        protocolNumber: extensions.protocolNumber, upper: l3 &+ extensions.upperOffset,
        nextHeaderPlace: l3 &+ extensions.nextHeaderOffset))
    return true
  }

  @inline(never)
  private mutating func reassembled(
    _ mbuf: Mbuf, l3: Int, fragmentHeader: Int?, into place: UnsafeMutablePointer<ProtectedItem>
  ) -> Bool {
    guard let whole = reassembler.add(mbuf, l3: l3, fragmentHeader: fragmentHeader) else { return false }
    let bytes = UnsafeRawBufferPointer(rebasing: whole.bytes[l3...]).bytes
    // A datagram put together is no fragment any more; if its headers still say so, it is broken.
    if let view = IPv4View(bytes), view.isFragment {
      discard(whole, .outerFragment)
      return false
    }
    if let view = IPv6View(bytes), IPv6Extensions.walk(view)?.isFragment ?? true {
      discard(whole, .outerFragment)
      return false
    }
    return outerHeaders(whole, l3: l3, into: place)
  }

  /// Step 3: where the security header starts and how far the ICV reaches; nothing for anything else.
  @inline(__always)
  mutating func protectedPart(_ item: ProtectedItem, udpPort: UInt16) -> (offset: Int, length: Int)? {
    let end = item.l3 &+ item.length
    switch item.protocolNumber {
    case IPProtocol.statelessEESP:
      return (item.upper, end &- item.upper)
    case IPProtocol.udp:
      guard item.upper <= end,
        let view = UDPView(UnsafeRawBufferPointer(start: item.mbuf.data + item.upper, count: end &- item.upper).bytes),
        view.destinationPort == udpPort
      else { return nil }
      return (item.upper &+ UDPHeader.length, view.length &- UDPHeader.length)
    default:
      return nil
    }
  }

  /// What is for us, or crosses the bump, and is not protected.
  @inline(never)
  private mutating func takeUnprotected(_ item: ProtectedItem, port: Int) {
    let mbuf = item.mbuf
    let end = item.l3 &+ item.length
    let isICMP = item.protocolNumber == (item.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6)
    let type = isICMP && item.upper < end ? mbuf.bytes[item.upper] : nil
    let isBump = view.ports[port].pair >= 0
    let isNeighbour = type.map { !item.isIPv4 && Self.isNeighbourDiscovery($0) } ?? false
    if isBump {
      if isNeighbour || view.bypassUnmatched || isBypassed(item) {
        return transmitter.send(mbuf, port: Int(view.ports[port].pair))
      }
      return discard(mbuf, .unprotected)
    }
    let info = { (punt: Punt) in
      PuntInfo(punt: punt, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: item.l3))
    }
    if view.ports[port].takesBFD, isBFD(item) {
      // What a router passed on could come from anywhere, and never fills the slow path's ring (RFC 5082).
      let hopLimit = mbuf.bytes[item.l3 &+ (item.isIPv4 ? IPv4Header.ttlOffset : IPv6Header.hopLimitOffset)]
      return hopLimit == BFDPacket.hopLimit ? punt(mbuf, info(.bfd)) : discard(mbuf, .bfd)
    }
    guard let type else {
      return discard(
        mbuf,
        item.protocolNumber == IPProtocol.udp && item.length &- (item.upper &- item.l3) < UDPHeader.length
          ? .malformedFrame : .unprotected)
    }
    if isNeighbour { return punt(mbuf, info(.neighbour)) }
    if type == (item.isIPv4 ? ICMPv4.echoRequest : ICMPv6.echoRequest) { return punt(mbuf, info(.echo)) }
    let isError = item.isIPv4 ? ICMPv4.isError(type: type) : ICMPv6.isError(type: type)
    discard(mbuf, isError ? .outerICMP : .unprotected)
  }

  private mutating func isBFD(_ item: ProtectedItem) -> Bool {
    let end = item.l3 &+ item.length
    guard item.protocolNumber == IPProtocol.udp, item.upper <= end,
      let view = UDPView(UnsafeRawBufferPointer(start: item.mbuf.data + item.upper, count: end &- item.upper).bytes)
    else { return false }
    return view.destinationPort == BFDPacket.udpPort
  }

  /// Not for one of our addresses: passed in clear only where a bypass route covers its source, and only to the clear
  /// side.
  @inline(never)
  private mutating func passUnprotected(_ item: ProtectedItem, to route: UnsafePointer<RouteEntry>, port: Int) {
    if item.destination.isMulticast, !item.isIPv4, item.protocolNumber == IPProtocol.icmpv6,
      item.upper < item.l3 &+ item.length,
      Self.isNeighbourDiscovery(item.mbuf.bytes[item.upper])
    {
      return punt(
        item.mbuf,
        PuntInfo(
          punt: .neighbour, port: UInt16(truncatingIfNeeded: port), l3Offset: UInt16(truncatingIfNeeded: item.l3)))
    }
    guard route.pointee.kind == .connected || route.pointee.kind == .via else { return discard(item.mbuf, .notForUs) }
    guard isBypassed(item), !item.sourceIsMapped, !(!item.isIPv4 && item.destination.isIPv4) else {
      return discard(item.mbuf, .unprotected)
    }
    let bytes = UnsafeRawBufferPointer(rebasing: item.mbuf.bytes[item.l3...]).bytes
    guard let flow = InnerFlow(packet: bytes) else { return discard(item.mbuf, .malformedFrame) }
    let clear = ClearItem(mbuf: item.mbuf, l3: item.l3, length: item.length, isIPv4: item.isIPv4, flow: flow)
    guard isRoutable(clear) else { return discard(item.mbuf, .noRoute) }
    guard age(clear, port: port) else { return }
    deliver(item.mbuf, l3: item.l3, length: item.length, isIPv4: item.isIPv4, route, destination: item.destination)
  }

  private mutating func isBypassed(_ item: ProtectedItem) -> Bool {
    view.routes[Int(entry(of: item.source).route)].kind == .bypass
  }
}
