internal import Keys
internal import Wire

/// One protected packet on its way through `Opener`: plain values.
struct OpenItem {
  /// The security header's first octet, and the octets from there to the end of the ICV.
  var packet: UnsafeMutableRawPointer
  var length: Int
  /// The outer source address.
  var source: IPAddress
  var sourceIsMapped: Bool
  var overUDP: Bool
  /// The group of packets without options, or -1.
  var defaultGroup: Int
  var header: SecurityHeader
  var group: Int
  /// Set by `open`: nothing to drop means that `inner` is valid and the payload is clear.
  var drop: DropReason?
  var inner: InnerPayload?

  init(
    packet: UnsafeMutableRawPointer, length: Int, source: IPAddress, sourceIsMapped: Bool, overUDP: Bool,
    defaultGroup: Int
  ) {
    self.packet = packet
    self.length = length
    self.source = source
    self.sourceIsMapped = sourceIsMapped
    self.overUDP = overUDP
    self.defaultGroup = defaultGroup
    header = SecurityHeader(variant: Variant(context: .device, suite: .aes256, isWide: false), id: 0)
    group = -1
    inner = nil
    drop = nil
  }

  var payload: UnsafeMutableRawPointer { packet + Int(header.length) }
  var payloadLength: Int { length &- Int(header.length) &- SecurityHeader.icvLength }
}

/// Which directions of connections a node opens (wire format, section 5).
enum ConnectionRole: UInt8 {
  /// Neither serves a pool nor is a client of one.
  case none
  /// `inspect` looks at both directions.
  case observer
  /// Serves clients: opens what they send to its pool.
  case member
  /// Is a client: opens what the pool sends on its one connection, and nothing else.
  case client
}

/// Which connections a node opens, and whether anything else: plain values of a snapshot.
struct ConnectionFilter {
  var role: ConnectionRole
  /// A member's pool: its device ID in the upper half. A client's connection, direction 1.
  var id: UInt64 = 0
  /// A member's clients, by group.
  var pools: UnsafePointer<ClientPoolEntry>?

  /// Asked for packets of a connection, and for all packets at a client. For a client that was taken off the list no data
  /// key is derived any more.
  @inline(never)
  func admits(_ header: SecurityHeader, of group: Int, under master: MasterKey) -> Bool {
    switch role {
    case .none: false
    case .observer: true
    case .member:
      header.id >> 32 == id >> 32 && header.id & 1 == 0 && (pools.map { $0[group].serves(header.id) } ?? false)
    case .client:
      header.variant.context == .connection && header.id == id
        && master.grants(
          DataKeyRequest(variant: header.variant, id: header.id, epoch: header.epoch, source: .unspecifiedIPv6))
    }
  }
}

/// Opens bursts of protected packets. Wire format, section 6:
///
/// 1. security header: version, lengths, variant, options, offsets   (`SecurityHeader.decode`)
/// 2. the group that the options name, or the port's default
/// 3. the epoch: the group's own, the one before, the one after
/// 4. the group's limits of both offsets
/// 5. the generation
/// 6. the direction of a connection, and whether its client is served
/// 7. replay, where the group has a window: only a look
/// 8. data keys of the burst: cached, or derived in one go
/// 9. the tag; then the packet is marked in its window, where another lcore may have been first
/// 10. the payload's form
///
/// `policy-inner` is the caller's, who knows routes and prefixes.
struct Opener<Engine: AEADEngine>: ~Copyable {
  var dataKeys: DataKeys<Engine>
  /// Packets that were opened without a window, as none was free; the caller takes them out.
  var untracked = UntrackedCount()
  let subjects: UnsafeMutablePointer<ReplaySubject>
  private let aad: UnsafeMutableRawPointer
  let frames = KnownFrames()
  /// The period that the burst's last known packet had, and the receiver's own epoch for it. No group has the period 0.
  var period: UInt32 = 0
  var own: UInt64?
  /// What the options of the burst's last packet named: those of the next one nearly always name the same.
  private var named: Named?

  private struct Named {
    let item: UnsafePointer<OpenItem>
    let group: UnsafePointer<GroupEntry>
    let master: MasterKey

    /// Whether a header has the same options, octet for octet.
    @inline(__always) func isNamed(by header: SecurityHeader, at octets: UnsafeRawPointer) -> Bool {
      let other = item.pointee.header
      guard header.length == other.length, header.variant == other.variant else { return false }
      // In words of eight octets, from behind a short ID to the epoch.
      var difference: UInt64 = 0
      var offset = SecurityHeader.idOffset &+ 4
      while offset < Int(header.length) &- SecurityHeader.sequenceLength {
        difference |=
          octets.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
          ^ item.pointee.packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        offset &+= 8
      }
      return difference == 0
    }
  }

  /// AAD that is not in one piece, when IOffset is above 0: the header, then at most 255 words of payload.
  private static var aadCapacity: Int { SecurityHeader.maximumLength + 255 * 4 }

  init(dataKeys: consuming DataKeys<Engine>) {
    self.dataKeys = dataKeys
    subjects = .allocateLines(capacity: DataKeys<Engine>.width)
    subjects.initialize(repeating: .none, count: DataKeys<Engine>.width)
    aad = .allocateLines(byteCount: Self.aadCapacity)
  }

  deinit {
    subjects.deallocate()
    aad.deallocate()
  }

  /// `count` is at most `DataKeys.width`. `board` has the receiver's epochs; nil accepts every epoch. `replay` is nil where no
  /// group has a window.
  @inline(__always)
  mutating func open(
    _ items: UnsafeMutablePointer<OpenItem>, count: Int, keys: KeyTableView, board: SealingBoard?,
    connections: ConnectionFilter, replay: ReplayView?
  ) {
    dataKeys.begin()
    named = nil
    var wanted = 0
    for index in 0..<count {
      items[index].drop = check(
        items + index, place: index, keys: keys, board: board, connections: connections, replay: replay)
      if items[index].drop == nil { wanted &+= 1 }
    }
    dataKeys.resolve(packets: wanted)
    for index in 0..<count where items[index].drop == nil {
      let item = items + index
      if !verify(item, slot: dataKeys.slot(index)) {
        item.pointee.drop = .authentication
        continue
      }
      dataKeys.keep(index)
      if let replay, let reason = mark(subjects[index], in: replay) {
        item.pointee.drop = reason
        continue
      }
      switch InnerPayload.classify(
        UnsafeRawBufferPointer(start: item.pointee.payload, count: item.pointee.payloadLength).bytes)
      {
      case .inner(let inner): item.pointee.inner = inner
      case .drop(let reason): item.pointee.drop = reason
      }
    }
    dataKeys.end()
  }

  /// Steps 1 to 7, and the request for step 8.
  @inline(__always)
  private mutating func check(
    _ item: UnsafeMutablePointer<OpenItem>, place: Int, keys: KeyTableView, board: SealingBoard?,
    connections: ConnectionFilter, replay: ReplayView?
  ) -> DropReason? {
    let octets = item.pointee.packet
    let packet = UnsafeRawBufferPointer(start: octets, count: max(0, item.pointee.length)).bytes
    if let fault = item.pointee.header.decode(
      packet, overUDP: item.pointee.overUDP, sourceIsMapped: item.pointee.sourceIsMapped)
    {
      return fault
    }
    let header = item.pointee.header
    let hasOptions = header.optionCount > 0

    let known = hasOptions && named?.isNamed(by: header, at: octets) ?? false ? named : nil
    let found =
      known?.group
      ?? (hasOptions ? keys.group(namedBy: header, at: octets) : keys.group(at: item.pointee.defaultGroup))
    guard let group = found else { return .unknownKey }
    item.pointee.group = group.pointee.index

    var own: UInt64?
    if let board {
      own = board.openEpoch(period: group.pointee.epochPeriod)
      guard let own, Epoch.isAccepted(header.epoch, own: own) else { return .epoch }
    }
    guard header.coffset <= group.pointee.maxCOffset, header.ioffset <= group.pointee.maxIOffset else {
      return .policyOffset
    }

    let generation =
      known?.master
      ?? (hasOptions ? group.pointee.master(namedBy: header) : group.pointee.master(reserve: header.reserve))
    guard let master = generation else { return .unknownKey }
    if hasOptions { named = Named(item: item, group: group, master: master) }
    if header.variant.context == .connection || connections.role == .client,
      !connections.admits(header, of: item.pointee.group, under: master)
    {
      return .unknownKey
    }

    if let replay {
      subjects[place] = replay.subject(
        header, group: group.pointee.index, period: group.pointee.epochPeriod, fingerprint: master.fingerprint,
        source: item.pointee.source, own: own)
      if subjects[place].isProtected {
        switch replay.look(&subjects[place]) {
        case .late: return .replayLate
        case .duplicate: return .replayDuplicate
        case .first, .tableFull, .connectionFull: break
        }
      }
    }

    dataKeys.request(
      place,
      DataKeyRequest(variant: header.variant, id: header.id, epoch: header.epoch, source: item.pointee.source),
      master: master, text: item.pointee.payloadLength &- header.clearLength, aad: header.aadLength)
    return nil
  }

  /// The end of step 9: why an authenticated packet is dropped after all.
  @inline(__always)
  mutating func mark(_ subject: ReplaySubject, in replay: ReplayView) -> DropReason? {
    guard subject.isProtected else { return nil }
    switch replay.mark(subject) {
    case .first: return nil
    case .late: return .replayLate
    case .duplicate: return .replayDuplicate
    case .tableFull: untracked.tableFull &+= 1
    case .connectionFull: untracked.connectionFull &+= 1
    }
    return nil
  }

  /// Step 9.
  @inline(__always)
  private func verify(_ item: UnsafeMutablePointer<OpenItem>, slot: UnsafeMutableRawPointer) -> Bool {
    let header = item.pointee.header
    let payload = item.pointee.payload
    let clear = header.clearLength
    let offsets = PayloadOffsets(coffset: header.coffset, ioffset: header.ioffset)
    var nonce = Nonce(
      id: header.id, sequence: SecurityHeader.sequenceWord(epoch: header.epoch, counter: header.counter))
    return withUnsafeBytes(of: &nonce) { nonce in
      guard let nonce = nonce.baseAddress else { return false }
      return dataKeys.engine.open(
        slot, suite: header.variant.suite, nonce: nonce,
        aad: offsets.protected(of: item.pointee.packet, headerLength: Int(header.length), scratch: aad),
        aadLength: header.aadLength, text: payload + clear,
        length: item.pointee.payloadLength &- clear, tag: payload + item.pointee.payloadLength)
    }
  }
}

/// Packets of groups with replay protection that had no window, by why: their epoch alone bounds their replays.
struct UntrackedCount {
  var tableFull = 0
  var connectionFull = 0

  var any: Bool { @inline(__always) get { tableFull | connectionFull != 0 } }
}
