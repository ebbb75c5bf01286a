internal import CDPDK
internal import Keys
internal import Wire

/// Step 5 and 6 of the protected packet's way: who may send what, and where it goes then.
extension Worker {
  @inline(__always)
  mutating func deliverOpened(_ count: Int, port: Int) {
    var kept = 0
    var openedCount = 0
    for index in 0..<count {
      let item = protected + index
      let opened = openItems + index
      if let reason = opened.pointee.drop {
        discard(item.pointee.mbuf, reason)
        continue
      }
      guard let inner = opened.pointee.inner else {
        discard(item.pointee.mbuf, .malformedInner)
        continue
      }
      openedCount &+= 1
      counters.opened(group: opened.pointee.group)
      // The gateway's own packet, come back, would be believed like any other.
      let isOwn = state.own[opened.pointee.group].sealed(opened.pointee.header)
      guard !isOwn, view.mayUse(group: opened.pointee.group, inner.form) else {
        discard(item.pointee.mbuf, .policyInner)
        continue
      }
      switch inner.form {
      case .ipv4, .ipv6:
        guard addresses(of: opened.pointee.payload, inner, into: kept) else {
          discard(item.pointee.mbuf, .policyInner)
          continue
        }
        if kept < index {
          protected[kept] = item.pointee
          openItems[kept] = opened.pointee
        }
        kept &+= 1
      case .transport: deliverTransport(item.pointee, opened.pointee, inner, port: port)
      case .ethernet: deliverFrame(item.pointee, opened.pointee, inner)
      }
    }
    counters.add(.opened, openedCount)
    guard kept > 0 else { return }
    lookup.find(destinations, count: kept, in: view, into: routesTo)
    lookup.find(sources, count: kept, in: view, into: routesFrom)
    for index in 0..<kept { deliverInner(index, port: port) }
  }

  /// An IPv6 packet with IPv4-mapped addresses would borrow the rights of an IPv4 prefix: false.
  @inline(__always)
  private mutating func addresses(of payload: UnsafeMutableRawPointer, _ inner: InnerPayload, into index: Int) -> Bool {
    let bytes = UnsafeRawBufferPointer(start: payload, count: inner.length).bytes
    if inner.form == .ipv4 {
      guard let view = IPv4View(bytes) else { return false }
      destinations[index] = view.destination
      sources[index] = view.source
      return true
    }
    guard let view = IPv6View(bytes), !view.hasMappedAddress else { return false }
    destinations[index] = view.destination
    sources[index] = view.source
    return true
  }

  /// A packet out of the tunnel: source and destination allowed, ECN, hop limit, out.
  @inline(__always)
  private mutating func deliverInner(_ index: Int, port: Int) {
    let opened = openItems + index
    let mbuf = protected[index].mbuf
    guard let inner = opened.pointee.inner, maySpeak(opened.pointee, from: sources[index], routesFrom[index]) else {
      return discard(mbuf, .policyInner)
    }
    let route = view.routes + Int(routesTo[index].route)
    let kind = route.pointee.kind
    if route.pointee.leadsBack { return proxy(index, inner, route) }
    let isIPv4 = inner.form == .ipv4
    let destination = destinations[index]
    guard destination.isRoutable, sources[index].isRoutable, kind != .none, kind != .deny else {
      return discard(mbuf, .noRoute)
    }
    let offset = (opened.pointee.payload + inner.offset) - mbuf.data
    // The ICV and what the link padded go.
    mbuf.keep(from: 0, count: offset &+ inner.length)
    guard
      carryCongestion(
        protected[index].trafficClass, mbuf.data + offset, length: inner.length, isIPv4: isIPv4)
    else { return discard(mbuf, .congestion) }
    if kind == .own { return answerOpened(mbuf, l3: offset, length: inner.length, isIPv4: isIPv4, port: port) }

    let hops = mbuf.data.load(
      fromByteOffset: offset &+ (isIPv4 ? IPv4Header.ttlOffset : IPv6Header.hopLimitOffset), as: UInt8.self)
    guard hops > 1 else { return puntOpened(mbuf, .hopLimit, l3: offset, port: port, mtu: 0) }
    var bytes = UnsafeMutableRawBufferPointer(start: mbuf.data + offset, count: inner.length).mutableBytes
    if isIPv4 { IPv4Header.decrementTTL(&bytes) } else { IPv6Header.decrementHopLimit(&bytes) }
    if !opened.pointee.isFromClient {
      learn(
        UnsafeRawPointer(mbuf.data + offset), isIPv4: isIPv4, group: opened.pointee.group, route,
        destination: destination)
    }
    deliver(
      mbuf, l3: offset, length: inner.length, isIPv4: isIPv4, route, destination: destination, fromProtected: true)
  }

  /// RFC 6040: congestion that the outer header met is the inner one's. False where the inner packet cannot say so.
  @inline(__always)
  mutating func carryCongestion(_ outer: UInt8, _ packet: UnsafeMutableRawPointer, length: Int, isIPv4: Bool) -> Bool {
    if outer & 3 == 0 { return true }
    let inner =
      isIPv4
      ? packet.load(fromByteOffset: IPv4Header.trafficClassOffset, as: UInt8.self)
      : UInt8(truncatingIfNeeded: UInt16(bigEndian: packet.loadUnaligned(as: UInt16.self)) >> 4)
    guard let ecn = ECN.leavingTunnel(inner: ECN(trafficClass: inner), outer: ECN(trafficClass: outer)) else {
      return false
    }
    let merged = inner & 0xFC | ecn.rawValue
    if merged == inner { return true }
    var bytes = UnsafeMutableRawBufferPointer(start: packet, count: length).mutableBytes
    if isIPv4 { IPv4Header.setTrafficClass(merged, &bytes) } else { IPv6Header.setTrafficClass(merged, &bytes) }
    return true
  }

  @inline(never)
  private mutating func answerOpened(_ mbuf: Mbuf, l3: Int, length: Int, isIPv4: Bool, port: Int) {
    let bytes = UnsafeRawBufferPointer(start: mbuf.data + l3, count: length).bytes
    let isEcho = InnerFlow(packet: bytes).map { flow in
      !flow.isFragment && flow.protocolNumber == (isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6)
        && length > flow.transportOffset
        && bytes.uint8(at: flow.transportOffset) == (isIPv4 ? ICMPv4.echoRequest : ICMPv6.echoRequest)
    }
    guard isEcho ?? false else { return discard(mbuf, .ownAddress) }
    puntOpened(mbuf, .openedEcho, l3: l3, port: port, mtu: 0)
  }

  @inline(never)
  private mutating func puntOpened(_ mbuf: Mbuf, _ punt: Punt, l3: Int, port: Int, mtu: Int) {
    self.punt(
      mbuf,
      PuntInfo(
        punt: punt, port: UInt16(truncatingIfNeeded: port), mtu: UInt16(truncatingIfNeeded: mtu), fromProtected: true,
        l3Offset: UInt16(truncatingIfNeeded: l3)))
  }

  /// An IP packet `l3` octets into the buffer leaves by a route to a host or router: MTU, Ethernet header, neighbour.
  @inline(__always)
  mutating func deliver(
    _ mbuf: Mbuf, l3: Int, length: Int, isIPv4: Bool, _ route: UnsafePointer<RouteEntry>, destination: IPAddress,
    fromProtected: Bool = false
  ) {
    let port = Int(route.pointee.port)
    guard port >= 0, port < view.portCount else { return discard(mbuf, .noRoute) }
    let entry = view.ports + port
    let isTooBig = length > Int(entry.pointee.mtu)
    if isTooBig {
      let word = UInt16(
        bigEndian: mbuf.data.loadUnaligned(fromByteOffset: l3 &+ IPv4Header.fragmentOffset, as: UInt16.self))
      guard isIPv4, word & IPv4Header.dontFragment == 0 else {
        return punt(
          mbuf,
          PuntInfo(
            punt: .tooBig, port: UInt16(truncatingIfNeeded: port), mtu: entry.pointee.mtu, fromProtected: fromProtected,
            l3Offset: UInt16(truncatingIfNeeded: l3)))
      }
    }
    let etherLength = entry.pointee.etherLength
    guard mbuf.reframe(from: l3, count: length, front: etherLength, back: 0) else { return discard(mbuf, .noBuffer) }
    Self.writeEthernet(entry, isIPv4: isIPv4, at: mbuf.data)
    let nextHop = route.pointee.nextHop.isUnspecified ? destination : route.pointee.nextHop
    if isTooBig {
      fragment(
        mbuf, etherLength: etherLength, isIPv4: isIPv4, mtu: Int(entry.pointee.mtu), port: port, nextHop: nextHop)
    } else {
      send(mbuf, port: port, nextHop: nextHop, etherLength: etherLength)
    }
  }

  /// Ethernet mode: the frame leaves by the port of its group.
  @inline(__always)
  private mutating func deliverFrame(_ item: ProtectedItem, _ opened: OpenItem, _ inner: InnerPayload) {
    var out = -1
    for port in 0..<view.portCount where Int(view.ports[port].frameGroup) == opened.group { out = port }
    // A frame need not have a source address, and a client may speak for one only.
    guard out >= 0, !opened.isFromClient else { return discard(item.mbuf, .policyInner) }
    let frame = UnsafeRawBufferPointer(start: opened.payload + inner.offset, count: inner.length).bytes
    guard let header = EthernetView(frame) else { return discard(item.mbuf, .malformedInner) }
    guard !view.limitsFrames(group: opened.group) || maySpeak(header, group: opened.group) else {
      return discard(item.mbuf, .policyInner)
    }
    item.mbuf.keep(from: (opened.payload + inner.offset) - item.mbuf.data, count: inner.length)
    transmitter.send(item.mbuf, port: out)
  }

  /// Where the group has prefixes and a frame carries IP or ARP, its sender must lie in them, and be there to read; link-local
  /// and unspecified senders, which no router passes on, may always speak.
  @inline(never)
  private mutating func maySpeak(_ frame: borrowing EthernetView, group: Int) -> Bool {
    let sender: IPAddress?
    switch frame.etherType {
    case EtherType.ipv4: sender = IPv4View(frame.payload)?.source
    // An IPv6 packet with mapped addresses would borrow the rights of an IPv4 prefix.
    case EtherType.ipv6:
      guard let packet = IPv6View(frame.payload), !packet.hasMappedAddress else { return false }
      sender = packet.source
    case EtherType.arp: sender = ARPPacket(frame.payload)?.sender
    // What a third tag hides cannot be read.
    case EtherType.vlan, EtherType.serviceVLAN: return false
    default: return true
    }
    guard let sender else { return false }
    return sender.isLinkLocal || sender.isUnspecified || view.maySpeak(group: group, entry(of: sender))
  }
}
