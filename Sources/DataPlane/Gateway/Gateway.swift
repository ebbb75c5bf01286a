internal import CDPDK
internal import Glibc
package import Keys
internal import Synchronization
internal import Wire

/// A gateway that runs, whatever its engine.
package protocol RunningGateway: AnyObject, Sendable {
  /// Takes a new plan and new keys over without losing a packet, or refuses both whole.
  func reload(plan: GatewayPlan, groups: [TrustGroup]) throws
  var status: GatewayStatus { get }
  /// Epochs and counts; nil for a gateway that never seals.
  var keeper: RecordKeeper? { get }
  /// Tells neighbours (BFD, shared addresses) to send elsewhere; goes on forwarding.
  func leave()
  /// Receives nothing more, finishes what is under way, and ends the lcores. The gateway is of no use afterwards.
  func stop()
}

extension GatewaySettings {
  /// Starts a gateway: environment, ports, lcores.
  package func start(plan: GatewayPlan, groups: [TrustGroup]) throws -> any RunningGateway {
    let gateway = try prepare(plan: plan, groups: groups)
    try gateway.launch()
    return gateway
  }

  /// Everything but the lcores and threads: for an owner that moves them himself, or launches them later.
  package func prepare(plan: GatewayPlan, groups: [TrustGroup]) throws -> any SteppedGateway {
    try engine.decide().engine.run(Maker(settings: self, plan: plan, groups: groups))
  }
}

private struct Maker: EngineUser {
  let settings: GatewaySettings
  let plan: GatewayPlan
  let groups: [TrustGroup]

  func use<Engine: LcoreEngine>(_: Engine.Type) throws -> any SteppedGateway {
    try Gateway<Engine>(settings: settings, plan: plan, groups: groups)
  }
}

/// Owner of everything that lcores use: it makes it before they start, swaps tables under them by RCU, frees it after
/// them.
final class Gateway<Engine: LcoreEngine>: SteppedGateway, @unchecked Sendable {
  let settings: GatewaySettings
  let startedAt = NodeSystem.clock()
  /// For key tables; lcores have engines of their own.
  let engine: Engine
  let ports: [LivePort]
  let pool: UnsafeMutableRawPointer
  /// Buffers of datagrams put together from fragments.
  let wholes: UnsafeMutableRawPointer
  let neighbours: NeighbourMap
  let lcoreCounters: [Counters]
  let slowPathCounters = Counters()
  let slowPath: SlowPathThread
  let keeper: RecordKeeper?
  let capture: CaptureFile?
  let replayTable: ReplayTable?
  private let fixedBoard: SealingBoardMemory?
  private let punted: UnsafeMutableRawPointer
  private let returned: UnsafeMutableRawPointer
  private let qsbr: UnsafeMutableRawPointer
  private let shared: UnsafeMutablePointer<LcoreShared>
  let workers: [UnsafeMutablePointer<Worker<Engine>>]
  /// For `step`, which would look up the generic type of the workers for each round.
  let rounds: [UnsafeMutableRawPointer]
  let round = Engine.lcoreRound
  private let flow = FlowKey.random()
  private var threads: [ControlThread] = []
  private let lock = Mutex(())
  private var current: Snapshot
  private var plan: GatewayPlan
  private var isStopped = false
  /// Of the groups in force, for the record's thread, which must not wait for a reload.
  private let periods: KeptPeriods
  private let buffersAtStart: Int
  private(set) var buffersLost = 0

  init(settings: GatewaySettings, plan: GatewayPlan, groups: [TrustGroup]) throws {
    self.settings = settings
    self.plan = plan
    guard (1...SealingBoard.lcores).contains(settings.lcores) else {
      throw GatewayError(
        "\(settings.lcores) lcores; the counter has numbers for 1 to \(SealingBoard.lcores) (lcores.count)")
    }
    let build = try GatewayParts<Engine>(settings: settings, plan: plan)
    engine = build.engine
    pool = build.pool
    wholes = build.wholes
    ports = build.ports
    neighbours = build.neighbours
    punted = build.punted
    returned = build.returned
    buffersAtStart = build.bufferCount
    qsbr = build.qsbr
    lcoreCounters = (0..<settings.lcores).map { _ in Counters() }

    let keys = try KeyTable(groups, with: engine)
    let board: SealingBoard
    switch settings.time {
    case .record(let path):
      let keeper = try RecordKeeper(
        medium: RecordFile(path: path), path: path, periods: groups.map(\.epochPeriod),
        waitsForClock: settings.waitsForClock)
      self.keeper = keeper
      fixedBoard = nil
      board = keeper.board
    case .connection:
      let keeper = try RecordKeeper(connectionPeriods: groups.map(\.epochPeriod))
      self.keeper = keeper
      fixedBoard = nil
      board = keeper.board
    case .fixed(let time):
      let memory = SealingBoardMemory()
      memory.setOpenEpochs(at: time)
      (keeper, fixedBoard, board) = (nil, memory, memory.board)
    case .any:
      let memory = SealingBoardMemory()
      (keeper, fixedBoard, board) = (nil, memory, memory.board)
    }
    // Eight years before, as the clock may be wrong at first.
    let start = max(startedAt, 1 << 28) - 1 << 28
    replayTable = settings.replay.map { ReplayTable($0, start: start) }
    current = try Self.snapshot(plan: plan, keys: keys, ports: ports, replay: replayTable)
    capture = try settings.capture.map {
      try CaptureFile(
        path: $0.path, port: $0.port, limit: $0.limit, largest: Int(plan.ports[$0.port].mtu) + 22, name: plan.name)
    }

    let downs = PortDowns(count: ports.count)
    shared = .allocate(capacity: 1)
    shared.initialize(to: LcoreShared(snapshot: UnsafeMutableRawPointer(current.storage), stopping: 0))
    var openBoard: SealingBoard? = board
    if case .any = settings.time { openBoard = nil }
    let budget = KeyMemory.budget(
      lcores: settings.cachesKeys ? settings.lcores : 0,
      interfaces: plan.ports.count { PortDevice.isInterface($0.device) })
    var workers: [UnsafeMutablePointer<Worker<Engine>>] = []
    for number in 0..<settings.lcores {
      let worker = try Worker<Engine>(
        number: number, shared: shared, qsbr: qsbr, counters: lcoreCounters[number], board: board, openBoard: openBoard,
        flowKey: flow, neighbours: neighbours, slowPath: SlowPathRing(ring: punted),
        returned: number == 0 ? returned : nil,
        pool: pool, isDedicated: settings.isDedicated,
        opener: Opener(dataKeys: DataKeys(engine: Engine(), octets: budget.open)),
        sealer: Sealer(
          dataKeys: DataKeys(engine: Engine(), octets: budget.seal),
          counter: SealingCounter(lcore: number, board: board)),
        transmitter: Transmitter(
          ports: ports.map(\.dpdkPort), queue: UInt16(number), counters: lcoreCounters[number],
          capture: capture?.tap ?? .none, downs: downs),
        reassembler: build.reassembler(counters: lcoreCounters[number]), first: current.storage)
      let place = UnsafeMutablePointer<Worker<Engine>>.allocateLines(capacity: 1)
      place.initialize(to: worker)
      workers.append(place)
    }
    self.workers = workers
    rounds = workers.map { UnsafeMutableRawPointer($0) }
    periods = KeptPeriods(groups.map(\.epochPeriod))
    slowPath = SlowPathThread(
      punted: punted, returned: returned, pool: pool, neighbours: neighbours, qsbr: qsbr,
      counters: slowPathCounters, ports: ports,
      downs: downs)
    noteKeys()
    slowPath.configure(plan)
  }

  /// Starts the threads and the lcores.
  func launch() throws {
    threads.append(ControlThread(name: "slow path", interval: 100) { [slowPath] in slowPath.round() })
    if let keeper {
      threads.append(
        ControlThread(name: "record", interval: 20_000) { [weak self] in
          keeper.tick()
          self?.noteKeys()
          return false
        })
    }
    if let capture { threads.append(ControlThread(name: "capture", interval: 500) { capture.write() }) }
    for (number, worker) in workers.enumerated() {
      dpdk_rcu_qsbr_thread_register(qsbr, UInt32(number))
      let error = dpdk_eal_remote_launch(Engine.lcoreEntry, worker, EAL.ealNumber(of: number))
      guard error == 0 else { throw GatewayError("lcore \(number) did not start (error \(-error))") }
    }
    slowPath.watch(lcoreCounters)
  }

  /// - Parameter old: whose forwarding table is taken over where the plan did not change: a rotation of keys does not.
  private static func snapshot(
    plan: GatewayPlan, keys: KeyTable, ports: [LivePort], replay table: ReplayTable?,
    replacing old: (GatewayPlan, Snapshot)? = nil
  ) throws -> Snapshot {
    guard plan.ports.count == ports.count else {
      throw GatewayError("\(plan.ports.count) ports instead of \(ports.count): a restart is needed for that (ports)")
    }
    if let fault = plan.identityFault ?? plan.connectionFault(keys.groups) ?? plan.proxyFault(keys.groups) {
      throw GatewayError(fault)
    }
    let largest = plan.policies.map(\.replayWindow).max() ?? 0
    guard largest <= table?.shape.largestWindow ?? 0 else {
      throw GatewayError(
        "a replay window of \(largest) packets; the table that was made at start is for windows of at most "
          + "\(table?.shape.largestWindow ?? 0): a restart is needed for that (groups.replay_window)")
    }
    let sealings = CompiledRoutes(plan: plan, ports: ports).sealingOrder
    let lengths = try sealings.map { sealing in
      guard let length = Snapshot.headerLength(sealing, keys: keys, plan: plan) else {
        throw GatewayError(
          "a route names trust group number \(sealing.group), which the keys file does not have, or its header does not fit 128 octets"
        )
      }
      return length
    }
    let kept = old.flatMap { $0.0 == plan && $0.1.forwarding.fits(keys.groups.count, lengths) ? $0.1.forwarding : nil }
    let forwarding =
      try kept ?? ForwardingTable(plan: plan, ports: ports, groupCount: keys.groups.count, headerLengths: lengths)
    return Snapshot(keys: keys, forwarding: forwarding, sealings: sealings, plan: plan, replay: table)
  }

  func reload(plan new: GatewayPlan, groups: [TrustGroup]) throws {
    let keys = try KeyTable(groups, with: engine)
    let next = try Self.snapshot(
      plan: new, keys: keys, ports: ports, replay: replayTable, replacing: snapshotForStatus)
    let isSamePlan = lock.withLock { _ in
      // Epochs of both tables' periods are known before, and until after, lcores change over.
      keeper?.use(periods: (current.keys.groups + groups).map(\.epochPeriod))
      let old = current
      dpdk_store_pointer(&shared.pointee.snapshot, UnsafeMutableRawPointer(next.storage))
      awaitLcores()
      current = next
      let isSame = plan == new
      plan = new
      keeper?.use(periods: groups.map(\.epochPeriod))
      periods.value = groups.map(\.epochPeriod)
      withExtendedLifetime(old) {}
      return isSame
    }
    noteKeys()
    if !isSamePlan { slowPath.configure(new) }
  }

  /// Neighbours send here while there is a group in which it is sealed and opened.
  private func noteKeys() {
    slowPath.note(hasKeys: periods.value.contains { keeper?.isUsable(period: $0) ?? true })
  }

  /// Until every lcore has begun a round after this call: what it held of an old table, it holds no more.
  private func awaitLcores() {
    let token = dpdk_rcu_qsbr_start(qsbr)
    while !dpdk_rcu_qsbr_check(qsbr, token) { usleep(50) }
  }

  var snapshotForStatus: (GatewayPlan, Snapshot) { lock.withLock { _ in (plan, current) } }

  func leave() { slowPath.leave() }

  func stop() {
    let isFirst = lock.withLock { _ in
      defer { isStopped = true }
      return !isStopped
    }
    guard isFirst else { return }
    dpdk_store_release(&shared.pointee.stopping, 1)
    // What lcores punted may still become packets that they must send.
    for _ in 0..<200 {
      usleep(500)
      if dpdk_ring_empty(punted) && dpdk_ring_empty(returned) { break }
    }
    slowPath.giveUp()
    usleep(2000)
    dpdk_store_release(&shared.pointee.stopping, 2)
    for number in workers.indices { _ = dpdk_eal_wait_lcore(EAL.ealNumber(of: number)) }
    threads.forEach { $0.stop() }
    slowPath.giveUp()
    slowPath.drain()
    for worker in workers {
      worker.pointee.finish()
      worker.deinitialize(count: 1)
      worker.deallocate()
    }
    capture?.finish()
    ports.forEach { $0.close() }
    buffersLost = buffersAtStart - freeBuffers.reduce(0, +)
    free()
  }

  /// Counters stay, for the status of a gateway that has stopped.
  private func free() {
    dpdk_ring_free(punted)
    dpdk_ring_free(returned)
    dpdk_rcu_qsbr_free(qsbr)
    neighbours.free()
    dpdk_mempool_free(wholes)
    dpdk_mempool_free(pool)
    shared.deallocate()
  }
}

/// Epoch periods in seconds, shared by threads.
private final class KeptPeriods: Sendable {
  private let state: Mutex<[Int]>
  init(_ value: [Int]) { state = Mutex(value) }
  var value: [Int] {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

/// How much locked memory an lcore's data-key caches may take.
enum KeyMemory {
  /// Octets for everything else that is locked: key table, root keys, scratch pages, OpenSSL's arena at rest.
  private static let reserve = 512 << 10
  private static let most = 4 << 20

  /// - Parameter lcores: 0 for no cache at all.
  static func budget(lcores: Int, interfaces: Int) -> (open: Int, seal: Int) {
    guard lcores > 0 else { return (0, 0) }
    let limit = LockedMemory.limit.map { Int(clamping: $0) } ?? Int.max
    // The packet sockets' rings take what they are allowed to.
    let left = interfaces > 0 ? min(limit, PacketRings.keptForKeys) : limit
    let octets = min(most, max(0, left - reserve) / lcores)
    return (octets / 8 * 7, octets / 8)
  }
}
