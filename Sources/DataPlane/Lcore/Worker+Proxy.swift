internal import CDPDK
internal import Wire

/// From one trust group into another (docs/proxy.md): what was opened under one group's keys is sealed under another's, in
/// the buffer that it came in, together with the rest of its burst.
///
/// 1. a policy lets the group, with these inner addresses, into the group that the destination's route seals for
/// 2. congestion that the outer header met is the inner one's
/// 3. hop limit, MTU, MSS, outer headers, security header: as of a clear packet (`Worker+Encapsulate`)
/// 4. when the whole burst is opened: sealed at once, sent
///
/// Ethernet frames have no hop limit that would end a loop, and never come here; nor do transport mode's segments.
extension Worker {
  /// Steps 1 to 3 for an opened packet whose source may speak, and whose route leads back to the protected side.
  @inline(never)
  mutating func proxy(_ index: Int, _ inner: InnerPayload, _ route: UnsafePointer<RouteEntry>) {
    let opened = openItems[index]
    let mbuf = protected[index].mbuf
    guard let policy = policy(for: opened, from: routesFrom[index], to: routesTo[index], route) else {
      return discard(mbuf, view.isProxy ? .policyDomain : .policyInner)
    }
    guard destinations[index].isRoutable, sources[index].isRoutable else { return discard(mbuf, .noRoute) }
    let isIPv4 = inner.form == .ipv4
    let offset = (opened.payload + inner.offset) - mbuf.data
    mbuf.keep(from: 0, count: offset &+ inner.length)
    let packet = mbuf.data + offset
    guard carryCongestion(protected[index].trafficClass, packet, length: inner.length, isIPv4: isIPv4) else {
      return discard(mbuf, .congestion)
    }
    guard let flow = InnerFlow(packet: UnsafeRawBufferPointer(start: packet, count: inner.length).bytes) else {
      return discard(mbuf, .malformedFrame)
    }
    // A place for a clear packet, of which a burst from the protected side has none.
    let item = clear + index
    item.initialize(
      to: ClearItem(
        mbuf: mbuf, l3: offset, length: inner.length, isIPv4: isIPv4, flow: flow, openedGroup: opened.group,
        policy: policy))
    if view.mssClamp, isSYN(item.pointee) { clamp(item.pointee, room: roomBack(to: routesFrom[index])) }
    let place = sealCount
    if route.pointee.kind == .clients {
      encapsulateForClient(item, sealing: Int(route.pointee.sealing), port: -1)
    } else {
      encapsulate(item, sealing: Int(route.pointee.sealing), port: -1)
    }
    if sealCount > place { counters.proxied(policy: policy) }
  }

  /// Step 4.
  @inline(never)
  mutating func sealProxied() { sealPending() }

  /// The place in the plan of the first policy that lets the packet through.
  @inline(__always)
  private mutating func policy(
    for opened: OpenItem, from source: PrefixEntry, to destination: PrefixEntry, _ route: UnsafePointer<RouteEntry>
  ) -> Int? {
    guard route.pointee.kind == .seal || route.pointee.kind == .clients else { return nil }
    let sealing = view.sealings + Int(route.pointee.sealing)
    guard sealing.pointee.mode == .tunnel else { return nil }
    let isClients = route.pointee.kind == .clients || opened.isFromClient
    let range = view.proxyRanges[opened.group]
    for index in Int(range.first)..<Int(range.end) {
      let policy = view.proxies + index
      if policy.pointee.to == sealing.pointee.group, policy.pointee.admitsClients || !isClients,
        policy.pointee.sources < 0 || view.isCovered(source, by: policy.pointee.sources),
        policy.pointee.destinations < 0 || view.isCovered(destination, by: policy.pointee.destinations)
      {
        return policy.pointee.place
      }
    }
    return nil
  }

  /// An ICMP error quotes the packet that it is about: it goes only into the group that the packet came from.
  @inline(never)
  mutating func leadsHome(_ item: ClearItem) -> Bool {
    let route = view.routes[Int(entry(of: item.flow.source).route)]
    return (route.kind == .seal || route.kind == .clients)
      && view.sealings[Int(route.sealing)].group == item.openedGroup
  }

  // MARK: Segments of the way back

  /// What a SYN announces bounds the segments that come back, and they are sealed for the other side, with other overhead
  /// and another MTU than those that follow the SYN.
  @inline(__always)
  private mutating func isSYN(_ item: ClearItem) -> Bool {
    item.flow.protocolNumber == IPProtocol.tcp && !item.flow.isFragment
      && item.length >= item.flow.transportOffset &+ TCPView.minimumLength
      && item.mbuf.bytes[item.l3 &+ item.flow.transportOffset &+ TCPView.flagsOffset] & TCPView.syn != 0
  }

  /// Octets of the largest packet that goes whole to each of the peers of an address's route; Int.max where it is not
  /// sealed.
  @inline(never)
  private mutating func roomBack(to source: PrefixEntry) -> Int {
    let route = view.routes[Int(source.route)]
    guard route.kind == .seal else { return Int.max }
    let sealing = view.sealings + Int(route.sealing)
    var room = Int.max
    for peer in sealing.pointee.firstPeer..<sealing.pointee.firstPeer &+ sealing.pointee.peerCount {
      let overhead =
        view.peers[peer].outerLength &+ sealing.pointee.headerLength &+ SecurityHeader.icvLength
      room = min(room, view.peers[peer].mtu &- overhead)
    }
    return room
  }
}
