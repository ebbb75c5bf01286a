internal import CDPDK
internal import Glibc
internal import Synchronization
internal import Wire

/// The slow path over DPDK: takes what lcores punt, hands frames back to lcore 0.
final class SlowPathThread: @unchecked Sendable {
  private let punted: UnsafeMutableRawPointer
  private var output: Output
  private let counters: Counters
  private let batch = UnsafeMutablePointer<Mbuf?>.allocate(capacity: 32)
  /// Guards everything below: the thread's rounds, and reloads and status from outside.
  private let lock = Mutex(())
  private var logic: SlowPath
  private var links: [Bool]
  private let ports: [LivePort]
  private let downs: PortDowns
  /// Of the plan: ports without whose link this gateway is of no use.
  private var tracked: [Int] = []
  private var watch = LcoreWatch()
  private var isLeaving = false
  private var hasKeys = true
  private var hold: Hold?
  private var nextTick: UInt64 = 0
  private var nextLook: UInt64 = 0

  init(
    punted: UnsafeMutableRawPointer, returned: UnsafeMutableRawPointer, pool: UnsafeMutableRawPointer,
    neighbours: NeighbourMap, qsbr: UnsafeMutableRawPointer, counters: Counters, ports: [LivePort], downs: PortDowns
  ) {
    self.downs = downs
    self.punted = punted
    self.counters = counters
    self.ports = ports
    links = ports.map { $0.isUp }
    logic = SlowPath()
    output = Output(pool: pool, returned: returned, neighbours: neighbours, qsbr: qsbr, counters: counters)
  }

  /// Nanoseconds of a clock that does not go back.
  private static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// Takes a plan over, the first or a reload's.
  func configure(_ plan: GatewayPlan) {
    var limits = SlowPathLimits()
    limits.errorRate = plan.icmpRate
    limits.errorBurst = max(1, plan.icmpRate / 2)
    let list = zip(plan.ports, ports).enumerated().map { index, port in
      SlowPathPort(
        index: UInt16(index), mac: port.1.mac, mtu: port.0.mtu, vlan: port.0.vlan,
        isProtected: port.0.role == .protected,
        addresses: port.1.addresses(of: port.0),
        neighbours: port.0.neighbours.map { SlowPathPort.StaticNeighbour(address: $0.address, mac: $0.mac) },
        shared: port.0.shared.map { shared in
          SlowPathPort.SharedAddress(
            address: shared.address, after: shared.after.map { plan.bfd.sessions[$0].neighbourWatched.key })
        })
    }
    var nextHops = Set(plan.peers.map { NeighbourKey(port: UInt16($0.port), address: $0.nextHop) })
    for route in plan.routes {
      switch route.action {
      case .forward(let port, let via): nextHops.insert(NeighbourKey(port: UInt16(port), address: via))
      case .bypass(let port, let via?): nextHops.insert(NeighbourKey(port: UInt16(port), address: via))
      default: break
      }
    }
    // Files neither ask nor answer.
    if plan.ports.contains(where: \.isCapture) { return }
    lock.withLock { _ in
      tracked = plan.bfd.tracked
      let now = Self.now
      settleHold(now: now)
      logic.configure(
        ports: list, nextHops: nextHops, bfd: plan.bfd.sessions.map(\.neighbourWatched), limits: limits, now: now,
        output: &output)
    }
  }

  /// One round: true when packets were there.
  func round() -> Bool {
    let count = Int(dpdk_ring_dequeue_burst(punted, batch, 32))
    let now = Self.now
    lock.withLock { _ in
      for index in 0..<count { if let mbuf = batch[index] { take(mbuf, now: now) } }
      if now >= nextLook {
        nextLook = now &+ 20_000_000
        watch.look(now: now)
        checkLinks(now: now)
        settleHold(now: now)
      }
      if now >= nextTick || now >= logic.bfdDue {
        nextTick = now &+ 100_000_000
        logic.tick(now: now, output: &output)
      }
    }
    return count > 0
  }

  private func take(_ mbuf: Mbuf, now: UInt64) {
    guard let info = SlowPathRing.info(of: mbuf) else { return output.discard(mbuf, .malformedFrame) }
    let held = HeldPacket(rawValue: UInt(bitPattern: mbuf))
    switch logic.receive(mbuf.bytes, info, held: held, now: now, output: &output) {
    case .consumed: output.discard(mbuf, .handled)
    case .dropped(let reason): output.discard(mbuf, reason)
    case .held: break
    }
  }

  /// A port that came back announces itself: switches and neighbours may have forgotten it.
  private func checkLinks(now: UInt64) {
    for (index, port) in ports.enumerated() {
      let isUp = port.isUp
      if isUp && !links[index] { logic.linkUp(port: UInt16(index), now: now, output: &output) }
      links[index] = isUp
      downs.set(index, isDown: !isUp)
    }
  }

  /// Why neighbours are told to send elsewhere. The most final one counts.
  enum Hold: Equatable {
    case leaving
    case stalled([Int])
    case noLink([Int])
    /// No trust group is in force, or none may be sealed or opened in.
    case noKeys

    var diagnostic: BFDPacket.Diagnostic {
      switch self {
      case .leaving: .administrativelyDown
      case .stalled: .forwardingPlaneReset
      case .noLink, .noKeys: .concatenatedPathDown
      }
    }
  }

  private func settleHold(now: UInt64) {
    let down = tracked.filter { !links[$0] }
    let next: Hold? =
      isLeaving
      ? .leaving
      : !watch.stalled.isEmpty
        ? .stalled(watch.stalled)
        : !down.isEmpty
          ? .noLink(down)
          : hasKeys ? nil : .noKeys
    guard next != hold else { return }
    hold = next
    logic.holdBFD(next?.diagnostic, now: now, output: &output)
  }

  /// From now on lcores run by themselves, and one that makes no round is noticed.
  func watch(_ lcores: [Counters]) { lock.withLock { _ in watch = LcoreWatch(lcores, now: Self.now) } }

  /// Whether packets that neighbours send here can be opened and answered: a member that starts has its keys a moment later.
  func note(hasKeys: Bool) {
    lock.withLock { _ in
      guard hasKeys != self.hasKeys else { return }
      self.hasKeys = hasKeys
      settleHold(now: Self.now)
    }
  }

  /// The gateway is going to stop: neighbours learn it now.
  func leave() {
    lock.withLock { _ in
      isLeaving = true
      settleHold(now: Self.now)
    }
  }

  /// Sessions and shared addresses, why the sessions are held down, and lcores that stand still.
  struct Health {
    var sessions: [BFDStatus]
    var shared: [SharedStatus]
    var hold: Hold?
    var stalled: [Int]
  }

  func health() -> Health {
    lock.withLock { _ in
      Health(
        sessions: logic.bfdStatus(now: Self.now), shared: logic.sharedStatus, hold: hold, stalled: watch.stalled)
    }
  }

  func entries() -> [NeighbourStatus] { lock.withLock { _ in logic.entries(now: Self.now) } }

  /// The gateway stops: packets that wait for a neighbour wait no longer.
  func giveUp() { lock.withLock { _ in logic.stop(output: &output) } }

  /// After lcores and threads have stopped: nobody takes what is still in the rings.
  func drain() {
    for ring in [punted, output.returned] {
      while case let count = Int(dpdk_ring_dequeue_burst(ring, batch, 32)), count > 0 {
        for index in 0..<count { if let mbuf = batch[index] { output.discard(mbuf, .stopping) } }
      }
    }
  }

  deinit {
    batch.deallocate()
    downs.deallocate()
  }

  struct Output: SlowPathOutput {
    let pool: UnsafeMutableRawPointer
    let returned: UnsafeMutableRawPointer
    let neighbours: NeighbourMap
    let qsbr: UnsafeMutableRawPointer
    let counters: Counters
    /// Slots of neighbours that are gone, and when lcores will have stopped looking at them.
    private var withdrawn: [(position: Int32, token: UInt64)] = []

    init(
      pool: UnsafeMutableRawPointer, returned: UnsafeMutableRawPointer, neighbours: NeighbourMap,
      qsbr: UnsafeMutableRawPointer, counters: Counters
    ) {
      self.pool = pool
      self.returned = returned
      self.neighbours = neighbours
      self.qsbr = qsbr
      self.counters = counters
    }

    func transmit(_ frame: UnsafeRawBufferPointer, port: UInt16) {
      generate(frame, behind: 0, intent: .transmit, port: port)
    }

    func route(_ packet: UnsafeRawBufferPointer) {
      // The lcore takes it like a frame: an Ethernet header that nobody reads stands before it.
      generate(packet, behind: EthernetHeader.minimumLength, intent: .route, port: 0)
    }

    private func generate(_ bytes: UnsafeRawBufferPointer, behind: Int, intent: SlowPathRing.Intent, port: UInt16) {
      counters.add(.generated)
      guard let source = bytes.baseAddress, let mbuf = dpdk_pktmbuf_alloc(pool) else {
        return counters.add(.generatedDropped)
      }
      mbuf.markGenerated()
      guard behind + bytes.count <= mbuf.tailroom else { return discard(mbuf, .noBuffer) }
      dpdk_pktmbuf_set(mbuf, UInt16(mbuf.headroom), UInt16(behind + bytes.count))
      mbuf.data.initializeMemory(as: UInt8.self, repeating: 0, count: behind)
      (mbuf.data + behind).copyMemory(from: source, byteCount: bytes.count)
      give(mbuf, intent: intent, port: port)
    }

    private func give(_ mbuf: Mbuf, intent: SlowPathRing.Intent, port: UInt16) {
      mbuf.note.pointee.intent = intent.rawValue
      mbuf.note.pointee.port = port
      var one: Mbuf? = mbuf
      if dpdk_ring_enqueue_burst(returned, &one, 1) == 0 { discard(mbuf, .slowPathFull) }
    }

    func release(_ held: HeldPacket, mac: MACAddress) {
      guard let mbuf = Mbuf(bitPattern: held.rawValue) else { return }
      for (index, octet) in mac.octets.enumerated() where index < mbuf.length {
        mbuf.data.storeBytes(of: octet, toByteOffset: index, as: UInt8.self)
      }
      give(mbuf, intent: .transmit, port: mbuf.note.pointee.port)
    }

    func drop(_ held: HeldPacket, _ reason: DropReason) {
      guard let mbuf = Mbuf(bitPattern: held.rawValue) else { return }
      discard(mbuf, reason)
    }

    mutating func publish(port: UInt16, address: IPAddress, mac: MACAddress?) {
      withdrawn.removeAll { slot in
        guard dpdk_rcu_qsbr_check(qsbr, slot.token) else { return false }
        neighbours.reuse(slot.position)
        return true
      }
      if let mac {
        _ = neighbours.publish(address, port: Int(port), mac: mac)
      } else if let position = neighbours.withdraw(address, port: Int(port)) {
        withdrawn.append((position, dpdk_rcu_qsbr_start(qsbr)))
      }
    }

    func discard(_ mbuf: Mbuf, _ reason: DropReason) {
      if mbuf.isGenerated { counters.add(.generatedDropped) } else { counters.drop(reason) }
      dpdk_pktmbuf_free(mbuf)
    }
  }
}
