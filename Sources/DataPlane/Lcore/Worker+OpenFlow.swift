internal import CDPDK
internal import Keys
internal import Wire

/// The way of what hosts of a group send to a host, as the packets between them so far went it (`Worker+Deliver`).
struct OpenWay {
  /// Octets of the largest packet.
  var mtu: UInt16
  var port: UInt16
  /// The Ethernet header, and the octets of it that count.
  var ether: (UInt64, UInt64, UInt16)
  var etherLength: UInt8
}

/// A protected packet in a known frame, on its way through `Opener`.
struct KnownOpen {
  var mbuf: Mbuf
  /// The security header's first octet.
  var packet: UnsafeMutableRawPointer
  var known: UnsafeMutablePointer<KnownFrame>
  var id: UInt64 = 0
  /// Epoch and Counter.
  var sequence: UInt64 = 0
  /// Octets between header and ICV, and of them those in clear.
  var payloadLength = 0
  var clear = 0
  var trafficClass: UInt8

  // Of the opened packet.
  var group = 0
  var isIPv4 = true
  var isProxied = false
  /// Octets.
  var length = 0
  var openWay: UnsafeMutablePointer<OpenWay>?
}

/// Protected packets in known frames are opened without asking anew, and then, where the way between their hosts is known,
/// delivered; step by step for the whole burst, as `sealKnown` does it. Whatever is not as it was leaves at the point where it
/// differs: before it is opened to `openBurst`, which comes after, after that to `deliverOpened`, in its turn.
extension Worker {
  /// Opens the packets of a burst that are known. The others stay in `received`, in their order; gives their number.
  @inline(__always)
  mutating func openKnown(_ count: Int, port: Int) -> Int {
    guard state.connections.role != .client else { return count }
    let replay = state.replay
    opener.beginKnown()
    let (knownCount, others) = recogniseKnown(count, port: port, replay: replay)
    clock.end(.parse)
    if knownCount > 0 { finishOpening(knownCount, port: port, replay: replay) }
    return others
  }

  /// Notes those in `knownOpens`; gives their number, and that of the others. In a function of its own, where registers suffice.
  @inline(never)
  private mutating func recogniseKnown(_ count: Int, port: Int, replay: ReplayView?) -> (known: Int, others: Int) {
    let ip = view.ports[port].etherLength
    let openBoard = openBoard
    let knownOpens = knownOpens
    let received = received
    var others = 0
    var knownCount = 0
    for index in 0..<count {
      guard let mbuf = received[index] else { continue }
      let item = knownOpens + knownCount
      if opener.recognise(item, mbuf, ip: ip, port: port, place: knownCount, board: openBoard, replay: replay) {
        knownCount &+= 1
        continue
      }
      received[others] = mbuf
      others &+= 1
    }
    return (knownCount, others)
  }

  @inline(__always)
  private mutating func finishOpening(_ count: Int, port: Int, replay: ReplayView?) {
    opener.dataKeys.resolve(packets: count)
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

    let replacements = openFlows.replacements &+ sealFlows.replacements
    findWays(opened)
    var proxied = 0
    var others = 0
    var index = 0
    while index < opened {
      let item = knownOpens + index
      if item.pointee.openWay != nil {
        index = deliverKnown(from: index, below: opened)
      } else if item.pointee.isProxied {
        known[proxied] = known[index]
        let packet = known[proxied]
        Self.age(packet.mbuf.data + packet.l3, packet.length, isIPv4: item.pointee.isIPv4)
        counters.opened(group: item.pointee.group, 1)
        proxied &+= 1
        index &+= 1
      } else {
        // Those before it go first: packets of one flow keep their order.
        if proxied > 0 { sealKnownProxied(proxied) }
        proxied = 0
        let next = deliverOthers(from: index, below: opened, port: port)
        others &+= next &- index
        index = next
        // A flow that was learned may have taken the place of one that was found.
        if openFlows.replacements &+ sealFlows.replacements != replacements { forgetWays(from: index, below: opened) }
      }
    }
    counters.add(.opened, opened &- others)
    clock.end(.deliver)
    if proxied > 0 { sealKnownProxied(proxied) }
  }

  @inline(never)
  private mutating func forgetWays(from start: Int, below end: Int) {
    for index in start..<end {
      knownOpens[index].openWay = nil
      knownOpens[index].isProxied = false
    }
  }

  /// The ways of opened packets, where they are known and nothing about the packet speaks against them. The loop is in here, as
  /// the compiler would call what is in it for each packet.
  @inline(never)
  private mutating func findWays(_ count: Int) {
    for index in 0..<count {
      let item = knownOpens + index
      let payload = UnsafeRawPointer(item.pointee.packet + item.pointee.known.pointee.length)
      if PlainPacket.isIPv4(payload) {
        findWay(item, index, payload, isIPv4: true)
      } else {
        findWay(item, index, payload, isIPv4: false)
      }
    }
  }

  /// The checks are those of `InnerPayload.classify`, `deliverOpened` and `deliverInner`; what depends on nothing but group and
  /// hosts was checked for their first packet.
  @inline(__always)
  private mutating func findWay(
    _ item: UnsafeMutablePointer<KnownOpen>, _ index: Int, _ payload: UnsafeRawPointer, isIPv4: Bool
  ) {
    item.pointee.openWay = nil
    item.pointee.isProxied = false
    item.pointee.isIPv4 = isIPv4
    let group = item.pointee.known.pointee.group.pointee.index
    item.pointee.group = group
    let available = item.pointee.payloadLength
    // The outer header met congestion, or the packet is our own come back.
    guard item.pointee.trafficClass & 3 == 0,
      available >= (isIPv4 ? IPv4Header.minimumLength : IPv6Header.length),
      !state.own[group].sealed(item.pointee.known.pointee.variant, id: item.pointee.id, counter: item.pointee.sequence)
    else { return }
    let first = UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self))
    let length: Int
    if isIPv4 {
      length = Int(truncatingIfNeeded: first >> 32 & 0xFFFF)
      guard length >= IPv4Header.minimumLength, length <= available,
        payload.load(fromByteOffset: IPv4Header.ttlOffset, as: UInt8.self) > 1
      else { return }
    } else {
      length = IPv6Header.length &+ Int(truncatingIfNeeded: first >> 16 & 0xFFFF)
      guard first >> 60 == 6, length <= available, first & 0xFF > 1 else { return }
    }
    if let way = openFlows.find(FlowID(payload, isIPv4: isIPv4, origin: .group(group))),
      length <= Int(way.pointee.mtu)
    {
      item.pointee.openWay = way
      item.pointee.length = length
      return
    }
    guard view.isProxy else { return }
    let mbuf = item.pointee.mbuf
    item.pointee.isProxied = takeKnown(
      mbuf, payload, l3: payload - UnsafeRawPointer(mbuf.data), available: length, isIPv4: isIPv4,
      origin: .group(group),
      at: index)
  }

  /// Packets whose way is known, as far as they follow each other; gives the place of the first that is not one of them. In a
  /// function of its own, where registers suffice.
  @inline(never)
  private mutating func deliverKnown(from start: Int, below end: Int) -> Int {
    let items = knownOpens
    var index = start
    // Packets of one group in a row are counted together.
    var group = items[start].group
    var counted = start
    while index < end, let way = items[index].openWay {
      if items[index].group != group {
        counters.opened(group: group, index &- counted)
        group = items[index].group
        counted = index
      }
      deliverKnown(items + index, way)
      index &+= 1
    }
    counters.opened(group: group, index &- counted)
    return index
  }

  @inline(__always)
  private mutating func deliverKnown(_ item: UnsafePointer<KnownOpen>, _ way: UnsafePointer<OpenWay>) {
    let mbuf = item.pointee.mbuf
    let etherLength = Int(way.pointee.etherLength)
    let length = item.pointee.length
    let payload = item.pointee.packet + item.pointee.known.pointee.length
    guard mbuf.reframe(from: payload - mbuf.data, count: length, front: etherLength, back: 0) else {
      return discard(mbuf, .noBuffer)
    }
    let frame = mbuf.data
    frame.storeBytes(of: way.pointee.ether.0, as: UInt64.self)
    if etherLength == EthernetHeader.minimumLength {
      frame.storeBytes(of: UInt32(truncatingIfNeeded: way.pointee.ether.1), toByteOffset: 8, as: UInt32.self)
      frame.storeBytes(of: UInt16(truncatingIfNeeded: way.pointee.ether.1 >> 32), toByteOffset: 12, as: UInt16.self)
    } else {
      frame.storeBytes(of: way.pointee.ether.1, toByteOffset: 8, as: UInt64.self)
      frame.storeBytes(of: way.pointee.ether.2, toByteOffset: 16, as: UInt16.self)
    }
    var bytes = UnsafeMutableRawBufferPointer(start: frame + etherLength, count: length).mutableBytes
    if item.pointee.isIPv4 { IPv4Header.decrementTTL(&bytes) } else { IPv6Header.decrementHopLimit(&bytes) }
    transmitter.forward(mbuf, port: Int(way.pointee.port))
  }

  /// Packets whose way is not known, as far as they follow each other; gives the place of the first that is not one of them.
  @inline(never)
  private mutating func deliverOthers(from start: Int, below end: Int, port: Int) -> Int {
    var count = 0
    var index = start
    while index < end, knownOpens[index].openWay == nil, !knownOpens[index].isProxied {
      if leaveOpened(knownOpens[index], port: port, at: count) { count &+= 1 }
      index &+= 1
    }
    deliverOpened(count, port: port)
    if sealCount > 0 { sealProxied() }
    return index
  }

  @inline(never)
  private mutating func sealKnownProxied(_ count: Int) { sealKnown(count) }

  /// An opened packet joins those that `deliverOpened` sends on their way. False if it was dropped.
  @inline(never)
  private mutating func leaveOpened(_ known: KnownOpen, port: Int, at place: Int) -> Bool {
    guard outerHeaders(known.mbuf, l3: known.known.pointee.layout.ip, into: protected + place) else { return false }
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
    guard let way = openFlows.enter(FlowID(packet, isIPv4: isIPv4, origin: .group(group))) else { return }
    let entry = view.ports + port
    var ether: (UInt64, UInt64, UInt16) = (0, 0, 0)
    withUnsafeMutableBytes(of: &ether) { octets in
      guard let first = octets.baseAddress else { return }
      Self.writeEthernet(entry, isIPv4: isIPv4, at: first)
      first.store(mac)
    }
    way.initialize(
      to: OpenWay(
        mtu: entry.pointee.mtu, port: UInt16(truncatingIfNeeded: port), ether: ether,
        etherLength: UInt8(truncatingIfNeeded: entry.pointee.etherLength)))
  }
}
