internal import CDPDK
internal import Keys
internal import Wire

/// The way of what hosts of a group send to a host, as the packets between them so far went it (`Worker+Deliver`).
struct OpenWay {
  var mtu: UInt16
  var port: UInt16
  var mac: MACAddress
}

/// An address of the gateway's own.
struct OwnAddress {
  var address = IPAddress(high: 0, low: 0)
  /// Whether packets to it are IPv4, which an IPv4-mapped address does not tell; no packet is for the address that is made
  /// without arguments.
  var isIPv4 = true

  @inline(__always) func takes(_ packet: PlainCarrier) -> Bool {
    packet.isIPv4 == isIPv4 && packet.destination == address
  }
}

/// A protected packet whose header is known, on its way through `Opener`.
struct KnownOpen {
  var mbuf: Mbuf
  /// The security header's first octet.
  var packet: UnsafeMutableRawPointer
  var known: UnsafeMutablePointer<KnownHeader>
  var id: UInt64 = 0
  /// Epoch and Counter.
  var sequence: UInt64 = 0
  /// Octets between header and ICV, and of them those in clear.
  var payloadLength = 0
  var clear = 0
  var trafficClass: UInt8
}

/// The outer headers of a packet to our UDP port or IP protocol without options, extension headers or fragments.
struct PlainCarrier {
  let isIPv4: Bool
  let trafficClass: UInt8
  let source: IPAddress
  let destination: IPAddress
  /// Octets from the IP header to the security header, and from there to the end of the ICV.
  let offset: Int
  let count: Int

  /// The checks are those of `Worker.outerHeaders` and `protectedPart`.
  @inline(__always)
  init?(_ packet: UnsafeRawPointer, available: Int, udpPort: UInt16) {
    let start: Int
    let length: Int
    let protocolNumber: UInt8
    isIPv4 = packet.load(as: UInt8.self) >> 4 == 4
    let first = UInt64(bigEndian: packet.loadUnaligned(as: UInt64.self))
    if isIPv4 {
      start = IPv4Header.minimumLength
      guard available >= start &+ UDPHeader.length else { return nil }
      let second = UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: IPv4Header.ttlOffset, as: UInt64.self))
      guard PlainPacket.isPlain(first, second, packet) else { return nil }
      length = Int(truncatingIfNeeded: first >> 32 & 0xFFFF)
      trafficClass = UInt8(truncatingIfNeeded: first >> 48)
      protocolNumber = UInt8(truncatingIfNeeded: second >> 48)
      source = IPAddress(ipv4: UInt32(truncatingIfNeeded: second))
      destination = IPAddress(
        ipv4: UInt32(
          bigEndian: packet.loadUnaligned(fromByteOffset: IPv4Header.destinationOffset, as: UInt32.self)))
    } else {
      start = IPv6Header.length
      guard available >= start &+ UDPHeader.length, first >> 60 == 6 else { return nil }
      length = IPv6Header.length &+ Int(truncatingIfNeeded: first >> 16 & 0xFFFF)
      trafficClass = UInt8(truncatingIfNeeded: first >> 52)
      protocolNumber = UInt8(truncatingIfNeeded: first >> 8)
      source = Self.address(packet + IPv6Header.sourceOffset)
      destination = Self.address(packet + IPv6Header.destinationOffset)
      guard !source.isIPv4 else { return nil }
    }
    guard length <= available, length >= start &+ UDPHeader.length else { return nil }
    if protocolNumber == IPProtocol.udp {
      let header = UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: start, as: UInt64.self))
      let datagram = Int(truncatingIfNeeded: header >> 16 & 0xFFFF)
      guard UInt16(truncatingIfNeeded: header >> 32) == udpPort, datagram >= UDPHeader.length,
        datagram <= length &- start
      else { return nil }
      offset = start &+ UDPHeader.length
      count = datagram &- UDPHeader.length
    } else {
      guard protocolNumber == IPProtocol.statelessEESP else { return nil }
      offset = start
      count = length &- start
    }
  }

  @inline(__always) private static func address(_ octets: UnsafeRawPointer) -> IPAddress {
    IPAddress(
      high: UInt64(bigEndian: octets.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
}

/// Protected packets with known headers are opened without asking anew, and then, where the way between their hosts is known,
/// delivered; step by step for the whole burst, as `sealKnown` does it. Whatever is not as it was leaves at the point where it
/// differs: before it is opened to `openBurst`, after that to `deliverOpened`.
extension Worker {
  /// Opens the packets of a burst that are known. The others stay in `received`, in their order; gives their number.
  @inline(__always)
  mutating func openKnown(_ count: Int, port: Int) -> Int {
    guard state.connections.role != .client else { return count }
    let entry = view.ports + port
    let replay = state.replay
    opener.beginKnown()
    var others = 0
    var knownCount = 0
    for index in 0..<count {
      guard let mbuf = received[index] else { continue }
      if let l3 = entry.pointee.plainOffset(mbuf),
        let carrier = PlainCarrier(
          UnsafeRawPointer(mbuf.data + l3), available: mbuf.length &- l3, udpPort: entry.pointee.udpPort),
        ownAddresses[port].takes(carrier)
      {
        let item = knownOpens + knownCount
        item.pointee.mbuf = mbuf
        item.pointee.packet = mbuf.data + l3 + carrier.offset
        item.pointee.trafficClass = carrier.trafficClass
        if opener.recognise(
          item, place: knownCount, source: carrier.source, count: carrier.count,
          defaultGroup: Int(entry.pointee.defaultGroup), board: openBoard, replay: replay)
        {
          knownCount &+= 1
          continue
        }
      }
      received[others] = mbuf
      others &+= 1
    }
    clock.end(.parse)
    if knownCount > 0 { finishOpening(knownCount, port: port, l3: entry.pointee.etherLength, replay: replay) }
    return others
  }

  @inline(__always)
  private mutating func finishOpening(_ count: Int, port: Int, l3: Int, replay: ReplayView?) {
    opener.dataKeys.resolve()
    clock.end(.keys)
    var opened = 0
    for index in 0..<count {
      let item = knownOpens + index
      if let reason = opener.openKnown(item, place: index, replay: replay) {
        discard(item.pointee.mbuf, reason)
        continue
      }
      if opened < index { knownOpens[opened] = item.pointee }
      opened &+= 1
    }
    opener.dataKeys.end()
    clock.end(.cipher)
    if opener.untracked.any { countUntracked() }

    var delivered = 0
    var proxied = 0
    var others = 0
    for index in 0..<opened {
      switch deliverKnown(knownOpens + index, proxied: proxied) {
      case .delivered: delivered &+= 1
      case .proxied: proxied &+= 1
      case .other:
        if leaveOpened(knownOpens[index], l3: l3, port: port, at: others) { others &+= 1 }
      }
    }
    counters.add(.opened, delivered &+ proxied)
    clock.end(.deliver)
    if proxied > 0 { sealKnownProxied(proxied) }
    if others > 0 {
      deliverOpened(others, port: port)
      if sealCount > 0 { sealProxied() }
    }
  }

  private enum Delivery { case delivered, proxied, other }

  @inline(__always)
  private mutating func deliverKnown(_ item: UnsafePointer<KnownOpen>, proxied: Int) -> Delivery {
    let mbuf = item.pointee.mbuf
    let group = item.pointee.known.pointee.group.pointee.index
    let payload = item.pointee.packet + item.pointee.known.pointee.length
    let available = item.pointee.payloadLength
    // The outer header met congestion, or the packet is our own come back.
    guard item.pointee.trafficClass & 3 == 0, available >= IPv4Header.minimumLength,
      !state.own[group].sealed(item.pointee.known.pointee.variant, id: item.pointee.id, counter: item.pointee.sequence)
    else { return .other }
    let isIPv4 = payload.load(as: UInt8.self) >> 4 == 4
    let first = UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self))
    let length: Int
    if isIPv4 {
      length = Int(truncatingIfNeeded: first >> 32 & 0xFFFF)
      let headerLength = Int(truncatingIfNeeded: first >> 54 & 0x3C)
      guard headerLength >= IPv4Header.minimumLength, length >= headerLength, length <= available,
        payload.load(fromByteOffset: IPv4Header.ttlOffset, as: UInt8.self) > 1
      else { return .other }
    } else {
      length = IPv6Header.length &+ Int(truncatingIfNeeded: first >> 16 & 0xFFFF)
      guard first >> 60 == 6, length <= available, first & 0xFF > 1 else { return .other }
    }
    let id = FlowID(UnsafeRawPointer(payload), isIPv4: isIPv4, origin: .group(group))
    if let way = openFlows.find(id), length <= Int(way.pointee.mtu) {
      let port = Int(way.pointee.port)
      let entry = view.ports + port
      let etherLength = entry.pointee.etherLength
      let isReframed = mbuf.reframe(
        from: payload - mbuf.data, count: length, front: etherLength, back: 0)
      guard isReframed else { return .other }
      let frame = mbuf.data
      Self.writeEthernet(entry, isIPv4: isIPv4, at: frame)
      Self.store(way.pointee.mac, at: frame)
      var bytes = UnsafeMutableRawBufferPointer(start: frame + etherLength, count: length).mutableBytes
      if isIPv4 { IPv4Header.decrementTTL(&bytes) } else { IPv6Header.decrementHopLimit(&bytes) }
      counters.opened(group: group)
      transmitter.send(mbuf, port: port)
      return .delivered
    }
    guard view.isProxy,
      let packet = PlainPacket(UnsafeRawPointer(payload), available: length, origin: .group(group)),
      let way = sealFlows.find(packet.id), packet.length <= Int(way.pointee.room)
    else { return .other }
    counters.opened(group: group)
    known[proxied] = KnownSeal(mbuf, l3: payload - mbuf.data, way, packet)
    return .proxied
  }

  @inline(never)
  private mutating func sealKnownProxied(_ count: Int) { sealKnown(count) }

  /// An opened packet joins those that `deliverOpened` sends on their way. False if it was dropped.
  @inline(never)
  private mutating func leaveOpened(_ known: KnownOpen, l3: Int, port: Int, at place: Int) -> Bool {
    guard outerHeaders(known.mbuf, l3: l3, into: protected + place) else { return false }
    let item = protected[place]
    guard let part = protectedPart(item, udpPort: view.ports[port].udpPort) else {
      discard(known.mbuf, .malformed)
      return false
    }
    var opened = OpenItem(
      packet: known.packet, length: part.length, source: item.source, sourceIsMapped: false,
      overUDP: item.protocolNumber == IPProtocol.udp, defaultGroup: Int(view.ports[port].defaultGroup))
    let octets = UnsafeRawBufferPointer(start: known.packet, count: part.length).bytes
    opened.drop = opened.header.decode(octets, overUDP: opened.overUDP, sourceIsMapped: false)
    opened.group = known.known.pointee.group.pointee.index
    if opened.drop == nil {
      switch InnerPayload.classify(UnsafeRawBufferPointer(start: opened.payload, count: opened.payloadLength).bytes) {
      case .inner(let inner): opened.inner = inner
      case .drop(let reason): opened.drop = reason
      }
    }
    (openItems + place).initialize(to: opened)
    return true
  }

  /// An opened packet is on its way by `route`: those after it between its hosts can go the same way, once the next hop is
  /// known.
  @inline(never)
  mutating func learn(
    _ packet: UnsafeRawPointer, isIPv4: Bool, group: Int, _ route: UnsafePointer<RouteEntry>, destination: IPAddress
  ) {
    let port = Int(route.pointee.port)
    guard port >= 0, port < view.portCount,
      let mac = neighbours.mac(
        of: route.pointee.nextHop.isUnspecified ? destination : route.pointee.nextHop, port: port)
    else { return }
    openFlows.enter(
      FlowID(packet, isIPv4: isIPv4, origin: .group(group)),
      OpenWay(mtu: view.ports[port].mtu, port: UInt16(truncatingIfNeeded: port), mac: mac))
  }
}
