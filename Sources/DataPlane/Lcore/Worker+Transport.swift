internal import CDPDK
internal import Keys
internal import Glibc
internal import Wire

/// Transport mode, a bump in the wire: the frame and its IP header stay, what follows the IP header is protected.
///
/// Sealing moves Ethernet and IP header forward by the room that UDP, security header and Payload Info Header take;
/// opening moves them back. Neighbour traffic passes in clear, as hosts on both sides must find each other.
extension Worker {
  /// Steps 1 and 2 of a clear packet's way on the clear side of a bump.
  @inline(__always)
  mutating func classifyBump(_ mbuf: Mbuf, port: Int, isMended: Bool = false) {
    guard let frame = EthernetView(mbuf.bytes.bytes) else { return discard(mbuf, .malformedFrame) }
    guard frame.etherType == EtherType.ipv4 || frame.etherType == EtherType.ipv6 else {
      return passBump(mbuf, etherType: frame.etherType, port: port)
    }
    let l3 = frame.headerLength
    let bytes = frame.payload
    if let fault = Self.headerFault(bytes) { return discard(mbuf, fault) }
    guard let flow = InnerFlow(packet: bytes) else { return discard(mbuf, .malformedFrame) }
    let isIPv4 = bytes.uint8(at: 0) >> 4 == 4
    if flow.isFragment { return mend(mbuf, l3: l3, isIPv4: isIPv4, port: port) }
    if !isIPv4, flow.protocolNumber == IPProtocol.icmpv6, bytes.byteCount > flow.transportOffset,
      Self.isNeighbourDiscovery(bytes.uint8(at: flow.transportOffset))
    {
      return passBump(mbuf, etherType: EtherType.arp, port: port)
    }
    destinations[clearCount] = flow.destination
    (clear + clearCount).initialize(
      to: ClearItem(
        mbuf: mbuf, l3: l3, length: Self.packetLength(bytes, isIPv4: isIPv4), isIPv4: isIPv4, flow: flow,
        isMended: isMended))
    clearCount &+= 1
  }

  /// Transport mode protects whole datagrams (RFC 4301, section 7.1): fragments are put together first.
  @inline(never)
  private mutating func mend(_ mbuf: Mbuf, l3: Int, isIPv4: Bool, port: Int) {
    var fragmentHeader: Int?
    if !isIPv4 {
      let bytes = UnsafeRawBufferPointer(rebasing: mbuf.bytes[l3...]).bytes
      guard let view = IPv6View(bytes), let extensions = IPv6Extensions.walk(view) else {
        return discard(mbuf, .malformedFrame)
      }
      fragmentHeader = l3 &+ extensions.fragmentHeaderOffset
    }
    guard let whole = reassembler.add(mbuf, l3: l3, fragmentHeader: fragmentHeader) else { return }
    guard let flow = InnerFlow(packet: UnsafeRawBufferPointer(rebasing: whole.bytes[l3...]).bytes), !flow.isFragment
    else {
      return discard(whole, .outerFragment)
    }
    classifyBump(whole, port: port, isMended: true)
  }

  /// ARP and neighbour discovery cross a bump as they are; other traffic that is not IP only where unmatched traffic
  /// may.
  @inline(never)
  mutating func passBump(_ mbuf: Mbuf, etherType: UInt16, port: Int) {
    guard view.ports[port].pair >= 0, etherType == EtherType.arp || view.bypassUnmatched else {
      return discard(mbuf, .etherType)
    }
    transmitter.send(mbuf, port: Int(view.ports[port].pair))
  }

  @inline(__always)
  mutating func encapsulateTransport(_ item: ClearItem, sealing index: Int, port: Int) {
    guard port >= 0, view.ports[port].pair >= 0 else { return discard(item.mbuf, .noRoute) }
    let out = Int(view.ports[port].pair)
    let sealing = view.sealings + index
    let template = state.templates + index
    let mbuf = item.mbuf
    let upper = item.l3 &+ item.flow.transportOffset
    let segment = item.length &- item.flow.transportOffset
    let udp = sealing.pointee.carriage == .udp ? UDPHeader.length : 0
    let added = udp &+ template.pointee.length &+ PayloadInfoHeader.length

    let mtu = Int(view.ports[out].mtu)
    let total = item.length &+ added &+ SecurityHeader.icvLength
    if total > mtu {
      let room = mtu &- added &- SecurityHeader.icvLength
      let smallest = item.isIPv4 ? 68 : 1280
      let word = UInt16(
        bigEndian: mbuf.data.loadUnaligned(fromByteOffset: item.l3 &+ IPv4Header.fragmentOffset, as: UInt16.self))
      let mayFragment = item.isMended || item.isIPv4 && word & IPv4Header.dontFragment == 0
      // What the source cannot make smaller, or did already, is fragmented outside: no path carries IPv6 in less than
      // 1280 octets.
      if !mayFragment && item.length > max(room, smallest) {
        return tell(item, .tooBig, port: port, mtu: max(room, smallest))
      }
    }
    guard total <= 0xFFFF, total <= mtu || canFragment(isIPv4: item.isIPv4, headers: item.flow.transportOffset) else {
      return discard(mbuf, .tooBig)
    }
    if view.mssClamp && item.flow.protocolNumber == IPProtocol.tcp {
      clamp(item, room: mtu &- added &- SecurityHeader.icvLength)
    }

    mbuf.keep(from: 0, count: item.l3 &+ item.length)
    guard mbuf.reserve(front: added, back: SecurityHeader.icvLength) else { return discard(mbuf, .noBuffer) }
    let hash = choice(item.flow, sealing)
    let nextHeader = item.flow.protocolNumber
    let old = mbuf.data
    dpdk_pktmbuf_set(
      mbuf, UInt16(truncatingIfNeeded: mbuf.headroom &- added),
      UInt16(truncatingIfNeeded: item.l3 &+ total))
    let frame = mbuf.data
    memmove(frame, old, upper)
    rewriteHeader(
      frame + item.l3, isIPv4: item.isIPv4, protocolNumber: udp > 0 ? IPProtocol.udp : IPProtocol.statelessEESP,
      length: total)
    var place = frame + upper
    if udp > 0 {
      place.store16(Int(FlowChoice.sourcePort(hash)), at: UDPHeader.sourcePortOffset)
      place.store16(Int(sealing.pointee.udpPort), at: UDPHeader.destinationPortOffset)
      place.store16(total &- item.flow.transportOffset, at: UDPHeader.lengthOffset)
      place.store16(0, at: UDPHeader.checksumOffset)
      place += udp
    }
    place.copyMemory(from: UnsafeRawPointer(template), byteCount: template.pointee.length)
    // The payload begins with the transport header: what lies before it in the packet stays outside.
    var flow = item.flow
    flow.headersEnd &-= flow.transportOffset
    let coffset = flow.coffset(upTo: sealing.pointee.coffset, prefix: PayloadInfoHeader.length)
    let form = forms + sealCount
    form.initialize(
      to: SealForm(
        template: template, source: item.flow.source, coffset: coffset,
        ioffset: min(sealing.pointee.ioffset, coffset)))
    place.storeBytes(of: form.pointee.word.bigEndian, as: UInt32.self)
    let info = PayloadInfoHeader(nextHeader: nextHeader)
    (place + template.pointee.length).storeBytes(of: info.word.bigEndian, as: UInt32.self)
    (pending + sealCount).initialize(
      to: PendingSeal(mbuf: mbuf, port: out, peer: -1, etherLength: item.l3, isIPv4: item.isIPv4, mtu: mtu))
    sealItems[sealCount].take(place, payloadLength: PayloadInfoHeader.length &+ segment, form: form)
    sealCount &+= 1
  }

  /// The kept IP header says what follows it now, and how long the packet is.
  @inline(__always)
  private mutating func rewriteHeader(
    _ header: UnsafeMutableRawPointer, isIPv4: Bool, protocolNumber: UInt8, length: Int
  ) {
    if isIPv4 {
      var bytes = UnsafeMutableRawBufferPointer(start: header, count: length).mutableBytes
      IPv4Header.setProtocol(protocolNumber, totalLength: UInt16(truncatingIfNeeded: length), &bytes)
      return
    }
    header.store16(length &- IPv6Header.length, at: IPv6Header.payloadLengthOffset)
    let place = lastNextHeader(header, length: length)
    header.storeBytes(of: protocolNumber, toByteOffset: place, as: UInt8.self)
  }

  /// Where an IPv6 packet names its upper layer: found before the headers change, as their walk ends at the same
  /// octet after.
  @inline(__always)
  private mutating func lastNextHeader(_ header: UnsafeMutableRawPointer, length: Int) -> Int {
    guard let view = IPv6View(UnsafeRawBufferPointer(start: header, count: length).bytes),
      let extensions = IPv6Extensions.walk(view)
    else { return IPv6Header.nextHeaderOffset }
    return extensions.nextHeaderOffset
  }

  /// The library puts the Fragment header right behind the IPv6 header, where extension headers may have to come first.
  @inline(__always)
  private mutating func canFragment(isIPv4: Bool, headers: Int) -> Bool { isIPv4 || headers == IPv6Header.length }

  /// An opened segment gets its IP header back and leaves on the other side of the bump.
  @inline(__always)
  mutating func deliverTransport(_ item: ProtectedItem, _ opened: OpenItem, _ inner: InnerPayload, port: Int) {
    let pair = Int(view.ports[port].pair)
    guard pair >= 0 else { return discard(item.mbuf, .policyInner) }
    guard maySpeak(opened, from: item.source, entry(of: item.source)), !item.sourceIsMapped else {
      return discard(item.mbuf, .policyInner)
    }
    let mbuf = item.mbuf
    let segment = (opened.payload + inner.offset) - mbuf.data
    let moved = segment &- item.upper
    let length = item.upper &- item.l3 &+ inner.length
    let place = item.nextHeaderPlace
    memmove(mbuf.data + moved, mbuf.data, item.upper)
    mbuf.keep(from: moved, count: item.l3 &+ length)
    let header = mbuf.data + item.l3
    if item.isIPv4 {
      var bytes = UnsafeMutableRawBufferPointer(start: header, count: length).mutableBytes
      IPv4Header.setProtocol(inner.nextHeader, totalLength: UInt16(truncatingIfNeeded: length), &bytes)
    } else {
      header.store16(length &- IPv6Header.length, at: IPv6Header.payloadLengthOffset)
      mbuf.data.storeBytes(of: inner.nextHeader, toByteOffset: place, as: UInt8.self)
    }
    let mtu = Int(view.ports[pair].mtu)
    if length > mtu {
      // A datagram that came in fragments and was put together before it was sealed.
      guard canFragment(isIPv4: item.isIPv4, headers: item.upper &- item.l3) else { return discard(mbuf, .tooBig) }
      return fragment(
        mbuf, etherLength: item.l3, isIPv4: item.isIPv4, mtu: mtu, port: pair, nextHop: nil)
    }
    transmitter.send(mbuf, port: pair)
  }
}
