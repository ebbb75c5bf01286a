internal import CDPDK
internal import Wire

/// What happens to a packet once it is sealed.
struct PendingSeal {
  var mbuf: Mbuf
  var port: Int
  /// Index of the peer, or -1 in transport mode, where the frame's own MAC addresses stand.
  var peer: Int
  var etherLength: Int
  var isIPv4: Bool
  /// Octets that an outer packet may have before it is fragmented.
  var mtu: Int
}

/// Tunnel and Ethernet mode: outer headers and security header in front, room for the ICV behind.
///
/// 1. the peer, by the flow's hash, or the next one for each packet
/// 2. hop limit
/// 3. does it fit? If not: ICMP to the source where fragments are not allowed, else the outer packet is fragmented; MSS of
///    a SYN
/// 4. outer Ethernet, IP and UDP from the peer's template; lengths, DSCP, ECN, source port, checksum
/// 5. the security header from the sealing's template; COffset no further than the inner transport header's end
extension Worker {
  @inline(__always)
  mutating func encapsulate(_ item: UnsafePointer<ClearItem>, sealing index: Int, port: Int) {
    let sealing = view.sealings + index
    if sealing.pointee.mode == .transport { return encapsulateTransport(item.pointee, sealing: index, port: port) }
    guard sealing.pointee.mode == .tunnel else { return discard(item.pointee.mbuf, .noRoute) }
    let hash = choice(item.pointee.flow, sealing)
    let peerIndex = sealing.pointee.firstPeer &+ FlowChoice.index(hash, below: sealing.pointee.peerCount)
    let place = sealCount
    encapsulate(item, sealing: index, port: port, peer: peerIndex, hash: hash)
    if sealCount > place, sealing.pointee.spread == .flow { learn(place, item, sealing, port: port) }
  }

  /// What chooses peer, UDP source port and flow label.
  @inline(__always)
  mutating func choice(_ flow: InnerFlow, _ sealing: UnsafePointer<SealingEntry>) -> UInt64 {
    guard sealing.pointee.spread == .packet else { return flow.hash(flowKey) }
    turn = FlowChoice.next(turn)
    return turn
  }

  /// Steps 2 to 5, towards a peer that is chosen.
  @inline(__always)
  mutating func encapsulate(
    _ item: UnsafePointer<ClearItem>, sealing index: Int, port: Int, peer peerIndex: Int, hash: UInt64
  ) {
    let sealing = view.sealings + index
    let peer = view.peers + peerIndex
    guard age(item.pointee, port: port) else { return }
    let mbuf = item.pointee.mbuf
    let payload = mbuf.data + item.pointee.l3
    let isIPv4 = item.pointee.isIPv4
    let length = item.pointee.length
    let overhead = peer.pointee.outerLength &+ sealing.pointee.headerLength &+ SecurityHeader.icvLength
    let room = peer.pointee.mtu &- overhead
    var mayFragment = false
    if isIPv4 {
      let word = UInt16(bigEndian: payload.loadUnaligned(fromByteOffset: IPv4Header.fragmentOffset, as: UInt16.self))
      mayFragment = word & IPv4Header.dontFragment == 0
    }
    if length > room {
      // No IPv6 link has less than 1280 octets (RFC 8200, section 5): up to there the outer packet is fragmented
      // instead.
      let smallest = isIPv4 ? 68 : 1280
      if !mayFragment && length > max(room, smallest) {
        return tell(item.pointee, .tooBig, port: port, mtu: max(room, smallest))
      }
      mayFragment = true
    }
    if view.mssClamp && item.pointee.flow.protocolNumber == IPProtocol.tcp { clamp(item.pointee, room: room) }

    let trafficClass =
      isIPv4
      ? payload.load(fromByteOffset: IPv4Header.trafficClassOffset, as: UInt8.self)
      : UInt8(truncatingIfNeeded: UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self)) >> 4)
    wrap(
      mbuf, payload: item.pointee.l3, payloadLength: length, prefix: 0, sealing: index, peer: peerIndex, hash: hash,
      trafficClass: trafficClass, mayFragment: mayFragment,
      coffset: item.pointee.flow.coffset(upTo: sealing.pointee.coffset))
  }

  /// Steps 4 and 5, for a payload that lies `payload` octets into `mbuf`'s data. `prefix` octets of Payload Info Header are
  /// yet to come before it.
  @inline(__always)
  mutating func wrap(
    _ mbuf: Mbuf, payload: Int, payloadLength: Int, prefix: Int, sealing index: Int, peer peerIndex: Int,
    hash: UInt64, trafficClass: UInt8, mayFragment: Bool, coffset: UInt8
  ) {
    let sealing = view.sealings + index
    let peer = view.peers + peerIndex
    let form = forms + sealCount
    form.initialize(
      to: SealForm(
        template: state.templates + index, source: peer.pointee.source, coffset: coffset,
        ioffset: min(sealing.pointee.ioffset, coffset)))
    guard
      let header = writeHeaders(
        mbuf, payload: payload, payloadLength: payloadLength, prefix: prefix, form: form, peer: peer, hash: hash,
        trafficClass: sealing.pointee.outerClass(trafficClass), mayFragment: mayFragment)
    else { return discard(mbuf, .noBuffer) }
    (pending + sealCount).initialize(
      to: PendingSeal(
        mbuf: mbuf, port: Int(peer.pointee.port), peer: peerIndex, etherLength: peer.pointee.etherLength,
        isIPv4: peer.pointee.isIPv4, mtu: peer.pointee.mtu))
    sealItems[sealCount].take(header, payloadLength: payloadLength &+ prefix, form: form)
    sealCount &+= 1
  }

  /// All that comes before a payload but for the next hop's MAC address, epoch and counter; gives the security header's place.
  /// Nothing when the buffer is too small.
  @inline(__always)
  mutating func writeHeaders(
    _ mbuf: Mbuf, payload: Int, payloadLength: Int, prefix: Int, form: UnsafePointer<SealForm>,
    peer: UnsafePointer<PeerEntry>, hash: UInt64, trafficClass: UInt8, mayFragment: Bool
  ) -> UnsafeMutableRawPointer? {
    let template = form.pointee.template
    let front = peer.pointee.templateLength &+ template.pointee.length &+ prefix
    guard mbuf.reframe(from: payload, count: payloadLength, front: front, back: SecurityHeader.icvLength) else {
      return nil
    }
    let total = mbuf.length
    let frame = mbuf.data
    // What this copies too much, the security header's 16 octets and more overwrite.
    frame.copyVectors(from: UnsafeRawPointer(peer), atLeast: peer.pointee.templateLength)
    writeOuter(
      frame + peer.pointee.etherLength, peer, length: total &- peer.pointee.etherLength, hash: hash,
      trafficClass: trafficClass, mayFragment: mayFragment)
    let header = frame + peer.pointee.templateLength
    header.copyVectors(from: UnsafeRawPointer(template), exactly: template.pointee.length)
    header.storeBytes(of: form.pointee.word.bigEndian, as: UInt32.self)
    return header
  }

  /// The fields of the outer IP and UDP header that the template leaves open. `length` counts from the IP header.
  @inline(__always)
  private mutating func writeOuter(
    _ place: UnsafeMutableRawPointer, _ peer: UnsafePointer<PeerEntry>, length: Int, hash: UInt64, trafficClass: UInt8,
    mayFragment: Bool
  ) {
    if peer.pointee.isIPv4 {
      identification &+= 1
      IPv4Fields(length: length, trafficClass: trafficClass, identification: mayFragment ? identification : nil)
        .write(at: place, base: peer.pointee.checksumBase)
    } else {
      // The flow label spreads what has no ports (RFC 6438).
      let word = 0x6000_0000 | UInt32(trafficClass) << 20 | UInt32(truncatingIfNeeded: hash >> 44)
      place.storeBytes(of: word.bigEndian, as: UInt32.self)
      place.store16(length &- IPv6Header.length, at: IPv6Header.payloadLengthOffset)
    }
    if peer.pointee.carriage == .udp {
      let udp = place + peer.pointee.ipLength
      udp.store16(Int(FlowChoice.sourcePort(hash)), at: UDPHeader.sourcePortOffset)
      udp.store16(length &- peer.pointee.ipLength, at: UDPHeader.lengthOffset)
    }
  }

  /// A SYN announces no segment that would not fit through the tunnel.
  @inline(never)
  mutating func clamp(_ item: ClearItem, room: Int) {
    let headers = (item.isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) + TCPView.minimumLength
    guard room > headers, !item.flow.isFragment else { return }
    var bytes = UnsafeMutableRawBufferPointer(start: item.mbuf.data + item.l3, count: item.length).mutableBytes
    _ = TCPView.clampMaximumSegmentSize(
      &bytes, at: item.flow.transportOffset, to: UInt16(truncatingIfNeeded: min(room &- headers, 0xFFFF)))
  }

  /// Ethernet mode: whatever arrives on the port goes to its peer as it is, tags included.
  @inline(__always)
  mutating func encapsulateFrame(_ mbuf: Mbuf, port: Int) {
    let index = Int(view.ports[port].frameSealing)
    guard index >= 0, let flow = InnerFlow(frame: mbuf.bytes.bytes) else { return discard(mbuf, .malformedFrame) }
    let sealing = view.sealings + index
    let hash = choice(flow, sealing)
    let peerIndex = sealing.pointee.firstPeer &+ FlowChoice.index(hash, below: sealing.pointee.peerCount)
    wrap(
      mbuf, payload: 0, payloadLength: mbuf.length, prefix: PayloadInfoHeader.length, sealing: index, peer: peerIndex,
      hash: hash,
      trafficClass: 0, mayFragment: true,
      coffset: flow.coffset(upTo: sealing.pointee.coffset, prefix: PayloadInfoHeader.length))
    guard sealCount > 0, pending[sealCount &- 1].mbuf == mbuf else { return }
    let item = sealItems + (sealCount &- 1)
    let info = PayloadInfoHeader(nextHeader: IPProtocol.ethernet)
    (item.pointee.packet + item.pointee.form.pointee.template.pointee.length)
      .storeBytes(of: info.word.bigEndian, as: UInt32.self)
  }

  /// Step 6 of the clear packet's way.
  @inline(__always)
  mutating func sealPending() {
    sealer.seal(sealItems, count: sealCount, board: board, clock: clock)
    var sealed = 0
    for index in 0..<sealCount {
      let done = pending[index]
      if let reason = sealItems[index].takeDrop() {
        discard(done.mbuf, reason)
        continue
      }
      sealed &+= 1
      if done.peer >= 0 { counters.sealed(peer: view.peers[done.peer].place) }
      if done.mbuf.length &- done.etherLength > done.mtu {
        sendFragments(done)
      } else if done.peer >= 0 {
        send(done.mbuf, port: done.port, nextHop: view.peers[done.peer].nextHop, etherLength: done.etherLength)
      } else {
        transmitter.send(done.mbuf, port: done.port)
      }
    }
    counters.add(.sealed, sealed)
    sealCount = 0
  }

  @inline(never)
  private mutating func sendFragments(_ done: PendingSeal) {
    fragment(
      done.mbuf, etherLength: done.etherLength, isIPv4: done.isIPv4, mtu: done.mtu, port: done.port,
      nextHop: done.peer >= 0 ? view.peers[done.peer].nextHop : nil)
  }

  /// Splits the IP packet of a frame and sends the pieces, each with the frame's Ethernet header: to the next hop, or as
  /// it is where there is none. The first counts as the packet, the others as generated.
  ///
  /// 64 KiB in pieces of 1280 octets are 53.
  static var fragmentCapacity: Int { 64 }

  @inline(never)
  mutating func fragment(
    _ mbuf: Mbuf, etherLength: Int, isIPv4: Bool, mtu: Int, port: Int, nextHop: IPAddress?
  ) {
    var ether = InlineArray<18, UInt8>(repeating: 0)
    for index in 0..<min(etherLength, 18) { ether[index] = mbuf.bytes[index] }
    let isGenerated = mbuf.isGenerated
    identification &+= 1
    mbuf.keep(from: etherLength, count: mbuf.length &- etherLength)
    withUnsafeTemporaryAllocation(of: Mbuf?.self, capacity: Self.fragmentCapacity) { pieces in
      guard let out = pieces.baseAddress else { return }
      let capacity = UInt16(truncatingIfNeeded: Self.fragmentCapacity)
      let count =
        isIPv4
        ? dpdk_ipv4_fragment_packet(mbuf, out, capacity, UInt16(truncatingIfNeeded: mtu), pool)
        : dpdk_ipv6_fragment_packet(mbuf, out, capacity, UInt16(truncatingIfNeeded: mtu), pool)
      guard count > 0 else { return discard(mbuf, .noBuffer) }
      for index in 0..<Int(count) {
        guard let piece = out[index] else { continue }
        if index > 0 || isGenerated {
          piece.markGenerated()
          if index > 0 { counters.add(.generated) }
        }
        guard piece.reserve(front: etherLength, back: 0) else {
          discard(piece, .noBuffer)
          continue
        }
        dpdk_pktmbuf_set(
          piece, UInt16(truncatingIfNeeded: piece.headroom &- etherLength),
          UInt16(truncatingIfNeeded: piece.length &+ etherLength))
        for octet in 0..<min(etherLength, 18) {
          piece.data.storeBytes(of: ether[octet], toByteOffset: octet, as: UInt8.self)
        }
        if isIPv4 {
          completeChecksum(piece.data + etherLength)
        } else {
          // The library gives every IPv6 datagram the identification 0.
          piece.data.storeBytes(
            of: identification.bigEndian, toByteOffset: etherLength &+ IPv6Header.length &+ 4, as: UInt32.self)
        }
        if let nextHop {
          send(piece, port: port, nextHop: nextHop, etherLength: etherLength)
        } else {
          transmitter.send(piece, port: port)
        }
      }
      dpdk_pktmbuf_free(mbuf)
    }
  }

  /// The library leaves the checksum of IPv4 fragments zero.
  private mutating func completeChecksum(_ header: UnsafeMutableRawPointer) {
    let length = Int(header.load(as: UInt8.self) & 0xF) &* 4
    header.storeBytes(of: 0, toByteOffset: IPv4Header.checksumOffset, as: UInt16.self)
    header.store16(
      Int(Checksum.compute(UnsafeRawBufferPointer(start: header, count: length).bytes)), at: IPv4Header.checksumOffset)
  }
}

/// What an outer IPv4 header's first two words say of one packet.
struct IPv4Fields {
  private let first: UInt32
  private let second: UInt32

  /// - Parameter identification: its low 16 bits; nothing for a packet that may not be fragmented, to which it does not matter
  ///   (RFC 6864).
  @inline(__always) init(length: Int, trafficClass: UInt8, identification: UInt32?) {
    first = 0x4500_0000 | UInt32(trafficClass) << 16 | UInt32(truncatingIfNeeded: length & 0xFFFF)
    second = identification.map { $0 << 16 } ?? UInt32(IPv4Header.dontFragment)
  }

  /// And the checksum, of which `base` is the sum of the header's other words.
  @inline(__always) func write(at place: UnsafeMutableRawPointer, base: UInt64) {
    place.storeBytes(of: first.bigEndian, as: UInt32.self)
    place.storeBytes(of: second.bigEndian, toByteOffset: IPv4Header.identificationOffset, as: UInt32.self)
    let checksum = ~Checksum.fold(base &+ UInt64(first) &+ UInt64(second))
    place.storeBytes(of: checksum.bigEndian, toByteOffset: IPv4Header.checksumOffset, as: UInt16.self)
  }
}
