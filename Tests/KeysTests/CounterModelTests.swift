import Keys
import Testing

/// Random lives of a node - packets, kills at any write, reboots, losses of power, records put back and deleted, clocks
/// set back and forward, disks that fail - after which no (epoch, counter) was used twice (wire format, section 4).
@Suite struct CounterModelTests {
  /// Numbers that a seed repeats (SplitMix64).
  private final class Seeded {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
      return z ^ z >> 31
    }
    func below(_ bound: UInt64) -> UInt64 { next() % bound }
  }

  private struct Nonce: Hashable {
    let period: UInt32
    let epoch: UInt16
    let counter: UInt64
  }

  private final class Node {
    let random: Seeded
    let disk = SimulatedDisk()
    var clock: UInt64 = 1_800_000_000
    var keeper: RecordKeeper?
    var counters: [SealingCounter] = []
    var used: Set<Nonce> = []
    var repeats = 0
    var lastOpen: [UInt32: UInt64] = [:]
    var lastSeal: [UInt32: UInt64] = [:]
    var epochsBack = 0
    var saved: [[UInt8]] = []
    let periods = [60, 600, 1800]

    init(seed: UInt64) { random = Seeded(seed) }

    func start() throws {
      disk.diesAt = random.below(8) == 0 ? Int(random.below(4)) + 1 : nil
      let random = random
      let keeper = try RecordKeeper(
        medium: disk.opened(), path: "r", periods: periods, clock: clock, bootID: disk.bootID, random: { random.next() }
      )
      if disk.isDead { return }
      self.keeper = keeper
      counters = try (0..<2).map { try SealingCounter(lcore: $0, board: keeper.board) }
    }

    func forgetEpochs() {
      lastOpen = [:]
      lastSeal = [:]
    }

    /// kill -9: nothing is written, nothing is undone.
    func kill() {
      keeper = nil
      counters = []
    }

    /// The control thread and the lcores, with a kill at any of the record's writes.
    func tick() {
      guard let keeper else { return }
      disk.diesAt = random.below(10) == 0 ? disk.steps + Int(random.below(3)) + 1 : nil
      keeper.tick(clock: clock)
      // What was published before the kill counts; a dead process's failure handling does not.
      if disk.isDead { return kill() }
      for period in periods.map(UInt32.init) {
        let open = keeper.board.openEpoch(period: period) ?? 0
        if open < lastOpen[period] ?? 0 { epochsBack += 1 }
        lastOpen[period] = open
      }
    }

    func seal() {
      guard let keeper else { return }
      for period in periods.map(UInt32.init) {
        guard let epoch = keeper.board.sealEpoch(period: period) else { continue }
        if epoch < lastSeal[period] ?? 0 { epochsBack += 1 }
        lastSeal[period] = epoch
      }
      for lcore in counters.indices {
        counters[lcore].begin()
        for _ in 0..<random.below(20) {
          let period = UInt32(periods[Int(random.below(3))])
          guard let epoch = keeper.board.sealEpoch(period: period), let counter = counters[lcore].next(member: 3) else {
            continue
          }
          let nonce = Nonce(period: period, epoch: UInt16(truncatingIfNeeded: epoch), counter: counter)
          if !used.insert(nonce).inserted { repeats += 1 }
        }
      }
    }
  }

  @Test(arguments: 0..<80)
  func noNonceTwice(seed: Int) throws {
    let node = Node(seed: UInt64(seed))
    let disk = node.disk
    for _ in 0..<600 {
      switch node.random.below(40) {
      case 0...15:
        node.clock += node.random.below(60)
        node.tick()
      case 16, 17: node.clock += node.random.below(3000)
      case 18: node.clock -= node.random.below(3000)
      case 19...21: node.kill()
      case 22:
        node.kill()
        disk.reboot()
      case 23:
        node.kill()
        disk.losePower(random: node.random.next)
      case 24, 25: if let octets = disk.cached.record?.octets { node.saved.append(octets) }
      case 26:
        node.kill()
        guard !node.saved.isEmpty else { continue }
        let old = node.saved[Int(node.random.below(UInt64(node.saved.count)))]
        disk.putBack(old, asNewFile: node.random.below(2) == 0)
        node.forgetEpochs()
      case 27:
        node.kill()
        disk.putBack(nil, asNewFile: true)
        node.forgetEpochs()
      case 28:
        disk.failsToSync = node.random.below(3) == 0
        disk.failsToWrite = node.random.below(3) == 0
      default: if node.keeper == nil { try node.start() }
      }
      // An epoch that only opened could not be written down on a disk that fails: sealing stopped, opening went on.
      if disk.failsToSync || disk.failsToWrite { node.lastOpen = [:] }
      node.seal()
    }
    #expect(node.repeats == 0)
    #expect(node.epochsBack == 0)
    #expect(node.used.count > 100)
  }

  /// The model sees a node that forgets what it wrote: else the test above would prove nothing.
  @Test func theModelSeesARepeat() throws {
    let node = Node(seed: 1)
    func live() throws {
      node.keeper = try RecordKeeper(
        medium: node.disk.opened(), path: "r", periods: node.periods, clock: node.clock, bootID: node.disk.bootID)
      node.counters = try [SealingCounter(lcore: 0, board: #require(node.keeper).board)]
      for _ in 0..<20 { node.seal() }
      node.kill()
    }
    try live()
    let snapshot = (node.disk.cached, node.disk.durable)
    try live()
    #expect(node.repeats == 0)
    // The machine's memory brought back with the disk, which section 4 names as what remains.
    (node.disk.cached, node.disk.durable) = snapshot
    try live()
    #expect(node.repeats > 0)
  }
}
