internal import CDPDK
internal import Keys
internal import Synchronization
internal import Wire

/// What control and lcores share: one word each, nothing else.
struct LcoreShared {
  /// The `SnapshotStorage` in force.
  var snapshot: UnsafeMutableRawPointer?
  /// 0 run; 1 drain: receive nothing more, send what the slow path still hands back; 2 leave.
  var stopping: UInt64
}

/// One lcore: receives bursts, runs each packet to completion, sends.
///
/// The loop allocates nothing, locks nothing and touches no reference count: everything is a plain value or memory that
/// outlives the loop. The steps of a clear packet are in `Worker+Clear`, of a protected one in `Worker+Protected`.
///
/// Its methods are mutating, also those that change nothing: where a method that is not is called, and not inlined, the compiler
/// copies the whole value first, 1344 octets.
struct Worker<Engine: AEADEngine>: ~Copyable {
  /// Packets taken from a queue at once.
  static var burst: Int { 32 }

  let number: Int
  let shared: UnsafeMutablePointer<LcoreShared>
  let qsbr: UnsafeMutableRawPointer
  let counters: Counters
  let board: SealingBoard
  /// The receiver's epochs; nil accepts all, for old captures.
  let openBoard: SealingBoard?
  let flowKey: FlowKey
  var neighbours: NeighbourCache
  let slowPath: SlowPathRing
  /// Packets that the slow path hands back; only lcore 0 has one.
  let returned: UnsafeMutableRawPointer?
  let pool: UnsafeMutableRawPointer
  let isDedicated: Bool
  var clock = StageClock()

  var opener: Opener<Engine>
  var sealer: Sealer<Engine>
  var transmitter: Transmitter
  var reassembler: Reassembler
  let lookup: PrefixLookup
  /// Flows of clear packets whose way is known.
  var sealFlows: FlowTable<SealWay>
  /// Addresses of packets that were opened, whose way is known.
  var openFlows: FlowTable<OpenWay>
  /// Low 16 bits: the identification of outer IPv4 packets that may be fragmented.
  var identification: UInt32
  /// The last choice of a sealing that spreads by packet.
  var turn: UInt64

  // What one burst needs, made once.
  let received: UnsafeMutablePointer<Mbuf?>
  let clear: UnsafeMutablePointer<ClearItem>
  var clearCount = 0
  let pending: UnsafeMutablePointer<PendingSeal>
  let forms: UnsafeMutablePointer<SealForm>
  let known: UnsafeMutablePointer<KnownSeal>
  let sealItems: UnsafeMutablePointer<SealItem>
  var sealCount = 0
  let protected: UnsafeMutablePointer<ProtectedItem>
  var protectedCount = 0
  let openItems: UnsafeMutablePointer<OpenItem>
  let knownOpens: UnsafeMutablePointer<KnownOpen>
  let destinations: UnsafeMutablePointer<IPAddress>
  let sources: UnsafeMutablePointer<IPAddress>
  let routesTo: UnsafeMutablePointer<PrefixEntry>
  let routesFrom: UnsafeMutablePointer<PrefixEntry>
  private var snapshot: UnsafeMutablePointer<SnapshotStorage>
  private var nextHousekeeping: UInt64 = 0
  private let housekeepingInterval: UInt64
  /// The receiver's epochs of all groups when data keys were last looked through, added up.
  private var epochsSeen: UInt64 = 0

  var view: ForwardingView { @inline(__always) get { snapshot.pointee.forwarding } }
  var state: SnapshotStorage { @inline(__always) get { snapshot.pointee } }

  init(
    number: Int, shared: UnsafeMutablePointer<LcoreShared>, qsbr: UnsafeMutableRawPointer, counters: Counters,
    board: SealingBoard, openBoard: SealingBoard?, flowKey: FlowKey, neighbours: NeighbourMap, slowPath: SlowPathRing,
    returned: UnsafeMutableRawPointer?, pool: UnsafeMutableRawPointer, isDedicated: Bool,
    opener: consuming Opener<Engine>,
    sealer: consuming Sealer<Engine>, transmitter: consuming Transmitter, reassembler: consuming Reassembler,
    first: UnsafeMutablePointer<SnapshotStorage>
  ) {
    self.number = number
    self.shared = shared
    self.qsbr = qsbr
    self.counters = counters
    self.board = board
    self.openBoard = openBoard
    self.flowKey = flowKey
    self.neighbours = NeighbourCache(neighbours)
    self.slowPath = slowPath
    self.returned = returned
    self.pool = pool
    self.isDedicated = isDedicated
    self.opener = opener
    self.sealer = sealer
    self.transmitter = transmitter
    self.reassembler = reassembler
    lookup = PrefixLookup()
    sealFlows = FlowTable(placeBits: 11)
    openFlows = FlowTable(placeBits: 11)
    identification = UInt32.random(in: 0...UInt32.max)
    turn = UInt64.random(in: 0...UInt64.max)
    received = .allocateLines(capacity: Self.burst)
    received.initialize(repeating: nil, count: Self.burst)
    clear = .allocateLines(capacity: Self.burst)
    pending = .allocateLines(capacity: Self.burst)
    forms = .allocateLines(capacity: Self.burst)
    known = .allocateLines(capacity: Self.burst)
    sealItems = SealItem.allocate(capacity: Self.burst)
    protected = .allocateLines(capacity: Self.burst)
    openItems = .allocateLines(capacity: Self.burst)
    knownOpens = .allocateLines(capacity: Self.burst)
    destinations = .allocateLines(capacity: Self.burst + 1)
    sources = .allocateLines(capacity: Self.burst + 1)
    routesTo = .allocateLines(capacity: Self.burst + 1)
    routesFrom = .allocateLines(capacity: Self.burst + 1)
    snapshot = first
    housekeepingInterval = dpdk_get_tsc_hz() / 10
  }

  deinit {
    lookup.deallocate()
    received.deallocate()
    clear.deallocate()
    pending.deallocate()
    forms.deallocate()
    known.deallocate()
    sealItems.deallocate()
    protected.deallocate()
    openItems.deallocate()
    knownOpens.deallocate()
    destinations.deallocate()
    sources.deallocate()
    routesTo.deallocate()
    routesFrom.deallocate()
  }

  /// Until control says stop. Idle lcores sleep, unless their cores are theirs alone.
  mutating func run() {
    dpdk_rcu_qsbr_thread_online(qsbr, UInt32(truncatingIfNeeded: number))
    var idlePolls = 0
    while true {
      let stopping = dpdk_load_relaxed(&shared.pointee.stopping)
      if stopping >= 2 { break }
      if iterate(receiving: stopping == 0) > 0 {
        idlePolls = 0
        counters.add(.busy)
        continue
      }
      counters.add(.idle)
      idlePolls &+= 1
      if !isDedicated && idlePolls >= 16 { pause(idlePolls) }
    }
    dpdk_rcu_qsbr_thread_offline(qsbr, UInt32(truncatingIfNeeded: number))
  }

  /// After the lcore has left: what waited for more fragments waits no longer.
  mutating func finish() {
    reassembler.abandon()
    transmitter.flushAll()
  }

  /// 10 to 80 microseconds: a floating lcore gives its core to whom it serves.
  private mutating func pause(_ idlePolls: Int) {
    dpdk_pause_us(UInt32(truncatingIfNeeded: min(80, 10 &+ (idlePolls &- 16) &* 2)))
  }

  /// One round over all ports; the number of packets it met.
  @inline(never)
  mutating func iterate(receiving: Bool) -> Int {
    clock.begin()
    takeSnapshot()
    if neighbours.begin() { forgetFlows() }
    clock.end(.round)
    var total = 0
    if receiving {
      for port in 0..<view.portCount {
        let count = transmitter.receive(port: port, into: received, count: Self.burst)
        clock.end(.receive)
        guard count > 0 else { continue }
        total &+= count
        counters.add(.received, count)
        counters.received(port: port, count)
        if view.ports[port].isProtected {
          openBurst(count, port: port)
        } else {
          sealBurst(count, port: port)
        }
      }
    }
    if let returned, !dpdk_ring_empty(returned) { total &+= takeReturned(returned) }
    transmitter.flushAll()
    clock.end(.transmit)
    let now = dpdk_rdtsc()
    if now >= nextHousekeeping {
      nextHousekeeping = now &+ housekeepingInterval
      housekeep()
    }
    dpdk_rcu_qsbr_quiescent(qsbr, UInt32(truncatingIfNeeded: number))
    clock.end(.round)
    return total
  }

  @inline(__always) private mutating func takeSnapshot() {
    guard let latest = dpdk_load_pointer(&shared.pointee.snapshot) else { return }
    let storage = latest.assumingMemoryBound(to: SnapshotStorage.self)
    if storage != snapshot { adopt(storage) }
  }

  /// Data keys of master keys that are gone go with them.
  @inline(never) private mutating func adopt(_ storage: UnsafeMutablePointer<SnapshotStorage>) {
    snapshot = storage
    forgetFlows()
    opener.forgetFrames()
    opener.dataKeys.adopt(serials: storage.pointee.serials)
    sealer.dataKeys.adopt(serials: storage.pointee.serials)
  }

  /// What flows know is of the snapshot, of the neighbours and of the epoch.
  @inline(never) private mutating func forgetFlows() {
    sealFlows.forget()
    openFlows.forget()
  }

  @inline(never) private mutating func housekeep() {
    reassembler.expire()
    erasePastKeys()
    opener.dataKeys.housekeep()
    sealer.dataKeys.housekeep()
    // Tells the record's keeper how far this lcore is, also when nothing was sealed for a while.
    sealer.counter.begin()
    counters.set(.cacheHits, opener.dataKeys.hitCount &+ sealer.dataKeys.hitCount)
    counters.set(.cacheMisses, opener.dataKeys.missCount &+ sealer.dataKeys.missCount)
    counters.set(.cacheCapacity, opener.dataKeys.capacity &+ sealer.dataKeys.capacity)
    counters.set(.cacheEntries, opener.dataKeys.count &+ sealer.dataKeys.count)
  }

  /// Looks whether an epoch of any group has ended.
  private mutating func erasePastKeys() {
    guard let openBoard else { return }
    let keys = state.keys
    var epochs: UInt64 = 0
    for index in 0..<keys.groupCount {
      guard let group = keys.group(at: index) else { continue }
      epochs &+= openBoard.openEpoch(period: group.pointee.epochPeriod) ?? 0
    }
    guard epochs != epochsSeen else { return }
    epochsSeen = epochs
    endEpoch(openBoard)
  }

  @inline(never) private mutating func endEpoch(_ board: SealingBoard) {
    forgetFlows()
    opener.dataKeys.erasePast(board, keys: state.keys)
    sealer.dataKeys.erasePast(board, keys: state.keys)
  }

  /// Frames that the slow path made or completed, and packets that it wants routed like clear traffic.
  @inline(never) private mutating func takeReturned(_ ring: UnsafeMutableRawPointer) -> Int {
    let count = Int(dpdk_ring_dequeue_burst(ring, received, UInt32(Self.burst)))
    clearCount = 0
    for index in 0..<count {
      guard let mbuf = received[index] else { continue }
      let note = mbuf.note.pointee
      if note.intent == SlowPathRing.Intent.transmit.rawValue, Int(note.port) < view.portCount {
        transmitter.send(mbuf, port: Int(note.port))
      } else {
        classifyOwn(mbuf)
      }
    }
    routeClear(port: -1)
    return count
  }

  /// One address outside the burst's lookups, whose arrays have a place for it at their end.
  @inline(never) mutating func entry(of address: IPAddress) -> PrefixEntry {
    sources[Self.burst] = address
    lookup.find(sources + Self.burst, count: 1, in: view, into: routesFrom + Self.burst)
    return routesFrom[Self.burst]
  }

  /// A received frame, if it lies in one buffer: ports are set up so that it does, but a driver may chain what is
  /// longer.
  @inline(__always) mutating func takeWhole(_ index: Int) -> Mbuf? {
    guard let mbuf = received[index] else { return nil }
    if mbuf.pointee.nb_segs == 1 { return mbuf }
    discard(mbuf, .malformedFrame)
    return nil
  }

  // MARK: Ends of a packet's way

  @inline(__always) mutating func discard(_ mbuf: Mbuf, _ reason: DropReason) {
    if mbuf.isGenerated { counters.add(.generatedDropped) } else { counters.drop(reason) }
    dpdk_pktmbuf_free(mbuf)
  }

  @inline(never) mutating func punt(_ mbuf: Mbuf, _ info: PuntInfo) {
    if !slowPath.punt(mbuf, info) { discard(mbuf, .slowPathFull) }
  }

  /// A frame that is ready but for its destination MAC address.
  @inline(__always) mutating func send(_ mbuf: Mbuf, port: Int, nextHop: IPAddress, etherLength: Int) {
    if let mac = neighbours.mac(of: nextHop, port: port) {
      mbuf.data.store(mac)
      transmitter.send(mbuf, port: port)
    } else {
      sendUnresolved(mbuf, port: port, nextHop: nextHop, etherLength: etherLength)
    }
  }

  @inline(never) private mutating func sendUnresolved(_ mbuf: Mbuf, port: Int, nextHop: IPAddress, etherLength: Int) {
    if view.ports[port].isCapture {
      // Locally administered, with the end of the IP address: nobody answers ARP in a file.
      mbuf.data.store(MACAddress(rawValue: 0x0200_0000_0000 | nextHop.low & 0xFFFF_FFFF))
      return transmitter.send(mbuf, port: port)
    }
    punt(
      mbuf,
      PuntInfo(
        punt: .unresolved, port: UInt16(truncatingIfNeeded: port), nextHop: nextHop,
        l3Offset: UInt16(truncatingIfNeeded: etherLength)))
  }

  /// Writes destination (zero for now), source, tag and type; the frame's first octet is at `place`.
  @inline(__always) static func writeEthernet(
    _ port: UnsafePointer<PortEntry>, isIPv4: Bool, at place: UnsafeMutableRawPointer
  ) {
    place.store(.zero)
    (place + EthernetHeader.sourceOffset).store(port.pointee.mac)
    writeType(port, isIPv4: isIPv4, at: place + EthernetHeader.typeOffset)
  }

  /// Writes tag and type.
  @inline(__always) static func writeType(
    _ port: UnsafePointer<PortEntry>, isIPv4: Bool, at place: UnsafeMutableRawPointer
  ) {
    var type = place
    if port.pointee.vlan != PortEntry.untagged {
      type.storeBytes(of: (UInt32(EtherType.vlan) << 16 | UInt32(port.pointee.vlan)).bigEndian, as: UInt32.self)
      type += 4
    }
    type.storeBytes(of: (isIPv4 ? EtherType.ipv4 : EtherType.ipv6).bigEndian, as: UInt16.self)
  }
}
