internal import CDPDK
internal import Keys
internal import Wire

/// Packets in frames like those that were opened before (decision 0013): steps 1 to 7 by comparison with them.
extension Opener {
  /// The snapshot is another.
  mutating func forgetFrames() { frames.forget() }

  /// A packet was opened: others in frames like its own come to the same group and master key. Connections are not: who is
  /// served may differ from one to the next.
  ///
  /// - Parameters:
  ///   - frame: what it came in, and `port` where.
  ///   - ip: octets to the IP header, and `upper` to what follows it.
  @inline(never)
  mutating func remember(
    _ item: OpenItem, in frame: UnsafeRawPointer, ip: Int, upper: Int, port: Int, keys: KeyTableView
  ) {
    let header = item.header
    let layout = FrameLayout(frame, ip: ip)
    guard header.variant.context != .connection, header.ioffset == 0, layout.upper == upper,
      let group = keys.group(at: item.group),
      let master = header.optionCount > 0
        ? group.pointee.master(namedBy: header) : group.pointee.master(reserve: header.reserve)
    else { return }
    frames.enter(KnownFrame(frame, layout, header, group: group, master: master), frame, port: port)
  }

  @inline(__always) mutating func beginKnown() {
    dataKeys.begin()
    period = 0
  }

  /// Steps 1 to 7 and the request for step 8, for a packet in a known frame: what is left of the checks of `Worker.outerHeaders`,
  /// `Worker.protectedPart` and `check`. False, and nothing has changed, for a packet at which those must look, to name its drop
  /// if nothing else.
  ///
  /// Not for a client's own opener, which opens one connection.
  @inline(__always)
  mutating func recognise(
    _ item: UnsafeMutablePointer<KnownOpen>, _ mbuf: Mbuf, ip: Int, port: Int, place: Int, board: SealingBoard?,
    replay: ReplayView?
  ) -> Bool {
    let frame = UnsafeRawPointer(mbuf.data)
    guard mbuf.pointee.nb_segs == 1,
      let known = frames.find(frame, ip: ip, available: mbuf.length, port: port)
    else { return false }
    let layout = known.pointee.layout
    let start = known.pointee.start
    let length = known.pointee.length
    let packet = frame + layout.ip
    let header = UnsafeMutableRawPointer(mutating: frame) + start
    // What is stored at once needs no register until the end.
    item.pointee.mbuf = mbuf
    item.pointee.packet = header
    item.pointee.known = known
    let total: Int
    if layout.isIPv4 {
      guard PlainPacket.hasRightChecksum(packet) else { return false }
      total = Int(
        UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: IPv4Header.totalLengthOffset, as: UInt16.self)))
      item.pointee.trafficClass = packet.load(fromByteOffset: IPv4Header.trafficClassOffset, as: UInt8.self)
    } else {
      total =
        IPv6Header.length
        &+ Int(UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: IPv6Header.payloadLengthOffset, as: UInt16.self)))
      item.pointee.trafficClass = UInt8(
        truncatingIfNeeded: UInt16(bigEndian: packet.loadUnaligned(as: UInt16.self)) >> 4)
    }
    var count = total &- (layout.upper &- layout.ip)
    guard total <= mbuf.length &- layout.ip else { return false }
    if layout.isUDP {
      let datagram = Int(
        UInt16(
          bigEndian: frame.loadUnaligned(fromByteOffset: layout.upper &+ UDPHeader.lengthOffset, as: UInt16.self)))
      guard datagram <= count else { return false }
      count = datagram &- UDPHeader.length
    }

    let octets = UnsafeRawPointer(header)
    let group = known.pointee.group
    let clear = Int(UInt16(bigEndian: octets.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) &>> 2 & 0x3FC)
    guard clear <= Int(group.pointee.maxCOffset) &* 4, clear &+ length &+ SecurityHeader.icvLength <= count else {
      return false
    }
    item.pointee.payloadLength = count &- length &- SecurityHeader.icvLength
    item.pointee.clear = clear
    let sequence = UInt64(
      bigEndian: octets.loadUnaligned(fromByteOffset: length &- SecurityHeader.sequenceLength, as: UInt64.self))
    item.pointee.sequence = sequence
    let epoch = UInt16(truncatingIfNeeded: sequence >> 48)
    if let board {
      if group.pointee.epochPeriod != period {
        period = group.pointee.epochPeriod
        own = board.openEpoch(period: period)
      }
      guard let own, Epoch.isAccepted(epoch, own: own) else { return false }
    }
    let variant = known.pointee.variant
    let id =
      variant.isWide
      ? UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: SecurityHeader.idOffset, as: UInt64.self))
      : UInt64(UInt32(bigEndian: octets.loadUnaligned(fromByteOffset: SecurityHeader.idOffset, as: UInt32.self)))
    item.pointee.id = id
    guard replay == nil, variant.context != .sourceAddress else {
      return recogniseSource(item, frame, epoch, place: place, own: board == nil ? nil : own, replay: replay)
    }
    if known.pointee.sender.id == id, dataKeys.recall(place, known.pointee.sender.key, epoch: epoch) != nil {
      return true
    }
    request(item, KnownFrame.Sender(id: id, source: IPAddress(high: 0, low: 0)), epoch, place: place)
    return true
  }

  /// What is left for a packet whose source address or counter is to be looked at. In a function of its own, as is the next, so
  /// that other packets have the registers.
  @inline(never)
  private mutating func recogniseSource(
    _ item: UnsafeMutablePointer<KnownOpen>, _ frame: UnsafeRawPointer, _ epoch: UInt16, place: Int, own: UInt64?,
    replay: ReplayView?
  ) -> Bool {
    let known = item.pointee.known
    let layout = known.pointee.layout
    let group = known.pointee.group
    let variant = known.pointee.variant
    let id = item.pointee.id
    var source = IPAddress(high: 0, low: 0)
    if variant.context == .sourceAddress {
      source = layout.source(of: frame)
      guard layout.isIPv4 || !source.isIPv4 else { return false }
    }
    if let replay {
      subjects[place] = replay.subject(
        SecurityHeader(variant: variant, id: id, epoch: epoch, counter: item.pointee.sequence & 0xFFFF_FFFF_FFFF),
        group: group.pointee.index, period: group.pointee.epochPeriod, fingerprint: known.pointee.master.fingerprint,
        source: source, own: own)
      if subjects[place].isProtected {
        switch replay.look(&subjects[place]) {
        case .late, .duplicate: return false
        case .first, .tableFull, .connectionFull: break
        }
      }
    }
    let isSame =
      known.pointee.sender.id == id && (variant.context != .sourceAddress || known.pointee.sender.source == source)
    if isSame, dataKeys.recall(place, known.pointee.sender.key, epoch: epoch) != nil { return true }
    request(item, KnownFrame.Sender(id: id, source: source), epoch, place: place)
    return true
  }

  /// The key of a sender that is not the last packet's, or whose key is not remembered.
  @inline(never)
  private mutating func request(
    _ item: UnsafeMutablePointer<KnownOpen>, _ sender: KnownFrame.Sender, _ epoch: UInt16, place: Int
  ) {
    let known = item.pointee.known
    known.pointee.sender = sender
    dataKeys.request(
      place,
      DataKeyRequest(variant: known.pointee.variant, id: sender.id, epoch: epoch, source: sender.source),
      master: known.pointee.master, text: item.pointee.payloadLength &- item.pointee.clear,
      aad: known.pointee.length &+ item.pointee.clear, memo: &known.pointee.sender.key)
  }

  /// Step 9 for a packet that was recognised: why it is dropped, or nothing.
  @inline(__always)
  mutating func openKnown(_ item: UnsafePointer<KnownOpen>, place: Int, replay: ReplayView?) -> DropReason? {
    let length = item.pointee.known.pointee.length
    let clear = item.pointee.clear
    let payload = item.pointee.packet + length
    let slot = dataKeys.slot(place)
    var nonce = Nonce(id: item.pointee.id, sequence: item.pointee.sequence)
    let isAuthentic = withUnsafeBytes(of: &nonce) { nonce in
      guard let nonce = nonce.baseAddress else { return false }
      return dataKeys.engine.open(
        slot, suite: item.pointee.known.pointee.variant.suite, nonce: nonce, aad: UnsafeRawPointer(item.pointee.packet),
        aadLength: length &+ clear, text: payload + clear, length: item.pointee.payloadLength &- clear,
        tag: payload + item.pointee.payloadLength)
    }
    guard isAuthentic else { return .authentication }
    dataKeys.keep(place)
    if let replay { return mark(subjects[place], in: replay) }
    return nil
  }
}
