internal import CDPDK
internal import Wire

/// The way of a flow of clear packets that are sealed, as its packets so far went it (`Worker+Clear`).
struct SealWay {
  /// The first field, so that a pointer to the way is a pointer to it.
  var form: SealForm
  var peer: UnsafePointer<PeerEntry>
  /// Octets of the largest packet that needs no fragments.
  var room: UInt16
  /// What `SealingEntry` says of the outer header's class.
  var keptClass: UInt8
  var addedClass: UInt8
  /// The proxy policy's place in the plan.
  var policy: UInt8
  var headers: SealHeaders

  static var noPolicy: UInt8 { 0xFF }

  @inline(__always)
  static func headers(_ way: UnsafePointer<SealWay>) -> UnsafePointer<SealHeaders> {
    (UnsafeRawPointer(way) + (MemoryLayout<SealWay>.offset(of: \.headers) ?? 0))
      .assumingMemoryBound(to: SealHeaders.self)
  }
}

/// What comes before a payload, from the Ethernet header to the security header, as the packets of a flow have it in common.
struct SealHeaders {
  /// IPv4: the sum of the header's last three words, to which a packet's first two are added. IPv6: the first word.
  private let base: UInt32
  /// Octets to the IP header, to the security header and to the payload.
  private let ip: UInt8
  private let security: UInt8
  private let length: UInt8
  /// Bit 0: IPv4; bit 1: UDP. In one octet, so that with what is before them in a flow the headers begin a line of the cache.
  private let kind: UInt8
  /// The longest: a tagged frame's, 18; IPv6, 40; UDP, 8; security header, 128; in whole vectors of 16.
  private var octets: InlineArray<208, UInt8>

  private var isIPv4: Bool { @inline(__always) get { kind & 1 != 0 } }
  private var isUDP: Bool { @inline(__always) get { kind & 2 != 0 } }

  /// Those that `Worker.writeHeaders` wrote to a frame for one of the packets.
  init(_ frame: UnsafeRawPointer, to mac: MACAddress, peer: UnsafePointer<PeerEntry>, securityLength: Int) {
    let ip = peer.pointee.etherLength
    let count = peer.pointee.templateLength &+ securityLength
    self.ip = UInt8(truncatingIfNeeded: ip)
    security = UInt8(truncatingIfNeeded: peer.pointee.templateLength)
    length = UInt8(truncatingIfNeeded: count)
    kind = (peer.pointee.isIPv4 ? 1 : 0) | (peer.pointee.carriage == .udp ? 2 : 0)
    base =
      peer.pointee.isIPv4
      ? UInt32(Checksum.fold(peer.pointee.checksumBase))
      : UInt32(bigEndian: frame.loadUnaligned(fromByteOffset: ip, as: UInt32.self)) & 0xF00F_FFFF
    octets = InlineArray(repeating: 0)
    withUnsafeMutableBytes(of: &octets) { octets in
      octets.copyMemory(from: UnsafeRawBufferPointer(start: frame, count: min(count, octets.count)))
      octets.baseAddress?.store(mac)
    }
  }

  @inline(__always)
  private static func octets(_ headers: UnsafePointer<SealHeaders>) -> UnsafeRawPointer {
    UnsafeRawPointer(headers) + (MemoryLayout<SealHeaders>.offset(of: \.octets) ?? 0)
  }

  /// Makes a frame of the IP packet that lies `payload` octets into the buffer's data: sets all but epoch and counter. Gives the
  /// security header's place; nothing when the buffer is too small.
  ///
  /// By pointer, as the compiler would copy the value.
  @inline(__always)
  static func write(
    _ headers: UnsafePointer<SealHeaders>, _ mbuf: Mbuf, payload: Int, payloadLength: Int, trafficClass: UInt8,
    mayFragment: Bool, identification: inout UInt32
  ) -> UnsafeMutableRawPointer? {
    let count = Int(headers.pointee.length)
    guard mbuf.reframe(from: payload, count: payloadLength, front: count, back: SecurityHeader.icvLength) else {
      return nil
    }
    let frame = mbuf.data
    let total = count &+ payloadLength &+ SecurityHeader.icvLength
    frame.copyHeaders(from: octets(headers), count: count)
    let ip = Int(headers.pointee.ip)
    let place = frame + ip
    if headers.pointee.isIPv4 {
      identification &+= 1
      IPv4Fields(length: total &- ip, trafficClass: trafficClass, identification: mayFragment ? identification : nil)
        .write(at: place, base: UInt64(headers.pointee.base))
    } else {
      place.storeBytes(of: (headers.pointee.base | UInt32(trafficClass) << 20).bigEndian, as: UInt32.self)
      place.store16(total &- ip &- IPv6Header.length, at: IPv6Header.payloadLengthOffset)
    }
    let security = Int(headers.pointee.security)
    if headers.pointee.isUDP {
      let udp = security &- UDPHeader.length
      frame.store16(total &- udp, at: udp &+ UDPHeader.lengthOffset)
    }
    return frame + security
  }
}

/// Packets of known flows go the way that the flow's first packets went, without asking anew: in tunnel mode, the same checks
/// of what each packet has for itself, the same headers, then the same `Sealer`.
///
/// What the way depends on beside the packet (snapshot, neighbours, epoch) forgets all flows when it changes
/// (`Worker.forgetFlows`).
///
/// One step is taken for the whole burst before the next: so the steps of several packets are under way in a processor at once.
extension Worker {
  /// Seals the packets of a burst whose flow is known. The others stay in `received`, in their order; gives their number.
  @inline(__always)
  mutating func sealKnown(_ count: Int, port: Int) -> Int {
    let (knownCount, others) = noteKnown(count, port: port)
    clock.end(.parse)
    if knownCount > 0 { sealKnown(knownCount) }
    return others
  }

  /// Notes those in `known`; gives their number, and that of the others. The loop is in here, as the compiler would call what is
  /// in it for each packet.
  @inline(never)
  private mutating func noteKnown(_ count: Int, port: Int) -> (known: Int, others: Int) {
    let entry = view.ports + port
    let origin = FlowOrigin.port(port)
    var others = 0
    var knownCount = 0
    let station = (entry.pointee.mac.rawValue &<< 16).bigEndian
    let received = received
    for index in 0..<count {
      guard let mbuf = received[index] else { continue }
      if let l3 = entry.pointee.plainOffset(mbuf, station: station) {
        let octets = mbuf.data + l3
        let available = mbuf.length &- l3
        if PlainPacket.isIPv4(octets)
          ? noteKnown(mbuf, octets, l3: l3, available, isIPv4: true, origin, at: knownCount)
          : noteKnownIPv6(mbuf, octets, l3: l3, available, origin, at: knownCount)
        {
          knownCount &+= 1
          continue
        }
      }
      received[others] = mbuf
      others &+= 1
    }
    return (knownCount, others)
  }

  /// In a function of its own, so that IPv4 has the registers.
  @inline(never)
  private mutating func noteKnownIPv6(
    _ mbuf: Mbuf, _ octets: UnsafeMutableRawPointer, l3: Int, _ available: Int, _ origin: FlowOrigin, at place: Int
  ) -> Bool {
    noteKnown(mbuf, octets, l3: l3, available, isIPv4: false, origin, at: place)
  }

  @inline(__always)
  private mutating func noteKnown(
    _ mbuf: Mbuf, _ octets: UnsafeMutableRawPointer, l3: Int, _ available: Int, isIPv4: Bool, _ origin: FlowOrigin,
    at place: Int
  ) -> Bool {
    guard takeKnown(mbuf, octets, l3: l3, available: available, isIPv4: isIPv4, origin: origin, at: place) else {
      return false
    }
    Self.age(octets, available, isIPv4: isIPv4)
    return true
  }

  /// - Parameter available: octets from the IP header on.
  @inline(__always)
  mutating func takeKnown(
    _ mbuf: Mbuf, _ octets: UnsafeRawPointer, l3: Int, available: Int, isIPv4: Bool, origin: FlowOrigin, at place: Int
  ) -> Bool {
    guard let packet = PlainPacket(octets, available: available, isIPv4: isIPv4, origin: origin),
      let way = sealFlows.find(packet.id), packet.length <= Int(way.pointee.room)
    else { return false }
    known[place] = KnownSeal(mbuf, l3: l3, way, packet)
    return true
  }

  /// One hop less, of a packet that has some. Before its headers are written, as the cipher's load of it has to wait until such
  /// small stores have reached the cache.
  @inline(__always)
  static func age(_ octets: UnsafeMutableRawPointer, _ available: Int, isIPv4: Bool) {
    var bytes = UnsafeMutableRawBufferPointer(start: octets, count: available).mutableBytes
    if isIPv4 { IPv4Header.decrementTTL(&bytes) } else { IPv6Header.decrementHopLimit(&bytes) }
  }

  /// Of the packets in `known`. Each loop is in a function of its own, where registers suffice.
  @inline(__always)
  mutating func sealKnown(_ count: Int) {
    wrapKnown(count)
    clock.end(.header)
    sealer.seal(sealItems, count: sealCount, board: board, clock: clock)
    finishKnown()
  }

  @inline(never)
  private mutating func wrapKnown(_ count: Int) {
    let items = sealItems
    var wrapped = 0
    for index in 0..<count {
      if wrapKnown(at: index, in: items + wrapped) {
        if wrapped < index { known[wrapped] = known[index] }
        wrapped &+= 1
      }
    }
    sealCount = wrapped
  }

  /// Writes the headers of one packet, which `sealItem` then is; false if it was dropped.
  @inline(__always)
  private mutating func wrapKnown(at index: Int, in sealItem: UnsafeMutablePointer<SealItem>) -> Bool {
    let item = known + index
    let way = item.pointee.way
    guard
      let header = SealHeaders.write(
        SealWay.headers(way), item.pointee.mbuf, payload: item.pointee.l3, payloadLength: item.pointee.length,
        trafficClass: item.pointee.trafficClass & way.pointee.keptClass | way.pointee.addedClass,
        mayFragment: item.pointee.mayFragment, identification: &identification)
    else {
      discard(item.pointee.mbuf, .noBuffer)
      return false
    }
    let form = UnsafeMutableRawPointer(way).assumingMemoryBound(to: SealForm.self)
    sealItem.pointee.take(header, payloadLength: item.pointee.length, form: form)
    return true
  }

  @inline(never)
  private mutating func finishKnown() {
    var sealed = 0
    // Packets to one peer in a row are counted together.
    var peer = known[0].way.pointee.peer
    var port = Int(peer.pointee.port)
    var buffer = transmitter.buffer(port)
    var counted = 0
    for index in 0..<sealCount {
      let done = known + index
      if let reason = sealItems[index].takeDrop() {
        discard(done.pointee.mbuf, reason)
        continue
      }
      let way = done.pointee.way
      if way.pointee.peer != peer {
        counters.sealed(peer: peer.pointee.place, sealed &- counted)
        counted = sealed
        peer = way.pointee.peer
        port = Int(peer.pointee.port)
        buffer = transmitter.buffer(port)
      }
      sealed &+= 1
      if way.pointee.policy != SealWay.noPolicy { counters.proxied(policy: Int(way.pointee.policy)) }
      transmitter.forward(done.pointee.mbuf, port: port, by: buffer)
    }
    counters.sealed(peer: peer.pointee.place, sealed &- counted)
    counters.add(.sealed, sealed)
    sealCount = 0
  }

  /// The packet at `place` of the burst stands ready to be sealed: those of its flow that come after it can go the same way,
  /// once its next hop is known.
  @inline(never)
  mutating func learn(
    _ place: Int, _ item: UnsafePointer<ClearItem>, _ sealing: UnsafePointer<SealingEntry>, port: Int
  ) {
    guard let origin = item.pointee.origin(port), item.pointee.policy < Int(SealWay.noPolicy) else { return }
    let form = forms[place]
    let octets = UnsafeRawPointer(sealItems[place].packet + form.template.pointee.length)
    let peer = view.peers + pending[place].peer
    let overhead = peer.pointee.outerLength &+ sealing.pointee.headerLength &+ SecurityHeader.icvLength
    guard
      let packet = PlainPacket(
        octets, available: item.pointee.length, isIPv4: PlainPacket.isIPv4(octets), origin: origin),
      let mac = neighbours.mac(of: peer.pointee.nextHop, port: Int(peer.pointee.port))
    else { return }
    // Most flows that come once, or seldom, end here.
    guard let way = sealFlows.enter(packet.id) else { return }
    way.initialize(
      to: SealWay(
        form: form, peer: peer, room: UInt16(clamping: peer.pointee.mtu &- overhead),
        keptClass: sealing.pointee.keptClass, addedClass: sealing.pointee.addedClass,
        policy: UInt8(truncatingIfNeeded: item.pointee.policy),
        headers: SealHeaders(
          pending[place].mbuf.data, to: mac, peer: peer, securityLength: form.template.pointee.length)))
  }
}

/// A packet of a known flow.
struct KnownSeal {
  var mbuf: Mbuf
  var way: UnsafeMutablePointer<SealWay>
  /// Octets from the frame's start to the IP packet, and of that packet.
  var l3: Int
  var length: Int
  var trafficClass: UInt8
  var mayFragment: Bool

  @inline(__always) init(_ mbuf: Mbuf, l3: Int, _ way: UnsafeMutablePointer<SealWay>, _ packet: PlainPacket) {
    self.mbuf = mbuf
    self.l3 = l3
    self.way = way
    length = packet.length
    trafficClass = packet.trafficClass
    mayFragment = packet.mayFragment
  }
}
