internal import Synchronization

/// How the node's counts and epochs began at this start (wire format, section 4).
package enum RecordStart: Equatable, Sendable, CustomStringConvertible {
  /// Same boot, record witnessed: counts go on at the bound.
  case continued
  case first
  case otherBoot
  /// Same boot, but the record is not the last one that was written.
  case putBack
  /// Neither slot is whole.
  case broken

  package var description: String {
    switch self {
    case .continued: "the counter record is the last one of this boot: counts go on at its bound"
    case .first: "there was no counter record: counts start at random, one epoch ahead"
    case .otherBoot: "the counter record is from another boot: counts jump ahead, one epoch ahead"
    case .putBack:
      "the counter record is not the last one written, an old one may have been put back: "
        + "counts jump ahead, one epoch ahead"
    case .broken: "the counter record is damaged and counts as missing: counts start at random, one epoch ahead"
    }
  }
}

/// Keeps the counter record ahead of what the lcores seal, and tells them through the board how far they may go.
///
/// Epochs come from node time: max(clock, record's time, what it was), which never goes back.
///
/// At most 2^37 counts in one epoch: the lcores' limit is min(bound, previous base + 2^37). Windows last at least 1800
/// s of node time, the longest period, so the running epoch began after the previous window did and all its counts lie
/// above that window's base. Counts of two windows share the 2^37: 2^37 / 3600 s = 38 million packets a second and
/// lcore. A lead epoch lasts up to two periods: as long as one is ahead of node time, no window ends.
package final class RecordKeeper: @unchecked Sendable {
  /// Counts that one write of the record lets every lcore use.
  package static let block: UInt64 = 1 << 24
  static let window = UInt64(TrustGroup.epochPeriods.upperBound)
  static let sequences: UInt64 = 1 << SealingCounter.sequenceBits

  package let start: RecordStart
  private let memory = SealingBoardMemory()
  private var slots: RecordSlots
  private let lock = Mutex(())
  /// What was found, and the random numbers for a start that cannot trust it.
  private let found: CounterRecord?
  private let freshBound: UInt64
  private let jump: UInt64
  private let bootID: [UInt8]
  /// The first record of this start, to be written until it is durable; made when the clock may be used.
  private var first: CounterRecord?
  /// Somebody who remembers more than the record does said that it was rolled back.
  private var isDistrusted = false
  private let waitsForClock: Bool
  private var reference: ClockReference?
  /// The last record of this start that is durable.
  private var durable: CounterRecord?
  private var time: UInt64
  private var periods: Set<UInt32> = []
  private var failure: RecordError?

  /// Takes the record over and writes the first one of this start.
  ///
  /// A record that cannot be made durable throws nothing: opening works, sealing waits, `tick` tries again.
  /// - Parameters:
  ///   - periods: the epoch periods of the groups in seconds.
  ///   - clock: Unix seconds.
  ///   - bootID: 16 octets; others stand for an unknown boot.
  ///   - waitsForClock: nothing is written, sealed or opened before `follow` has said what time others have.
  ///   - random: uniform 64-bit numbers, for the start of the count.
  package init(
    medium: any RecordMedium, path: String, periods: some Sequence<Int>, clock: UInt64 = NodeSystem.clock(),
    bootID: [UInt8] = NodeSystem.bootID(), waitsForClock: Bool = false,
    random: () -> UInt64 = { UInt64.random(in: 0...UInt64.max) }
  ) throws(RecordError) {
    var slots = RecordSlots(medium: medium)
    let boot = bootID.count == 16 ? bootID : Array(repeating: 0, count: 16)
    freshBound = random() >> 2
    jump = random() % Self.sequences
    switch try slots.load() {
    case .foreign: throw .notARecord(path: path)
    case .nothing: (start, found) = (.first, nil)
    case .broken: (start, found) = (.broken, nil)
    case .record(let record, let isWitnessed):
      found = record
      start = record.bootID != boot || bootID.count != 16 ? .otherBoot : isWitnessed ? .continued : .putBack
    }
    self.slots = slots
    self.bootID = boot
    self.waitsForClock = waitsForClock
    time = found?.time ?? 0
    self.periods = Set(periods.map { UInt32(clamping: $0) })
    if !waitsForClock { lock.withLock { _ in writeFirst(clock: min(clock, CounterRecord.mostSeconds - 1)) } }
  }

  /// The first record of this start, as of `time`.
  private func firstRecord(clock: UInt64) -> CounterRecord {
    var record = found ?? CounterRecord(sequence: 0, time: clock, bound: freshBound, bootID: bootID)
    record.time = max(clock, record.time)
    if start != .continued || isDistrusted {
      // The jump is more than section 4 asks for: a second rollback within one epoch then meets used counts by chance
      // only.
      if found != nil {
        let jumped = record.bound + jump
        record.bound = jumped < CounterRecord.mostCounts / 2 ? jumped : freshBound
      }
      record.startAnew()
    }
    record.bound += Self.block
    record.bootID = bootID
    record.sequence += 1
    return record
  }

  /// What lcores read; valid as long as the keeper is.
  package var board: SealingBoard { memory.board }

  /// Why sealing stands still, when the record cannot be written.
  package var problem: RecordError? { lock.withLock { _ in failure } }

  /// No epoch that begins after it, in Unix seconds, has been sealed in; may lie ahead of the clock, never goes back.
  package var nodeTime: UInt64 { lock.withLock { _ in durable?.time ?? time } }

  /// Why nothing is sealed or opened: the clock is not where others have it, or nobody said yet where that is.
  package func clockProblem(
    clock: UInt64 = NodeSystem.clock(), sinceBoot: Int64 = NodeSystem.sinceBoot()
  ) -> ClockProblem? {
    lock.withLock { _ in problemOfClock(clock, sinceBoot) }
  }

  /// Holds the clock against the time that others have, from now on and at every tick: while it is off, nothing is
  /// sealed or opened and the record stays as it is, so that whoever moves a clock gets neither an old epoch accepted
  /// nor a record in the future.
  package func follow(
    _ reference: ClockReference, clock: UInt64 = NodeSystem.clock(), sinceBoot: Int64 = NodeSystem.sinceBoot()
  ) {
    lock.withLock { _ in self.reference = reference }
    tick(clock: clock, sinceBoot: sinceBoot)
  }

  /// Somebody who remembers more than this record does says that the node was set back, or runs twice: the record is
  /// treated as one that was rolled back (wire format, section 4), with an epoch of its own and counts that jump.
  ///
  /// - Parameter atStart: it was learned before anything was sealed; a start that did not trust the record anyway has
  ///   done this already.
  package func distrust(
    atStart: Bool, clock: UInt64 = NodeSystem.clock(), sinceBoot: Int64 = NodeSystem.sinceBoot(),
    random: UInt64 = UInt64.random(in: 0...UInt64.max)
  ) {
    lock.withLock { _ in
      if atStart, start != .continued { return }
      guard var next = durable else {
        // Nothing was sealed yet: the first record will say it.
        isDistrusted = true
        first = nil
        return
      }
      // The epoch in use may not go on; see `sealEpoch`.
      for period in periods {
        memory.board.publish(
          sealEpoch: nil, openEpoch: memory.board.openEpoch(period: period), period: Int(period))
      }
      let jumped = next.bound + random % Self.sequences
      if jumped < CounterRecord.mostCounts / 2 { next.bound = jumped }
      next.time = time
      next.startAnew()
      let floor = next.bound
      next.bound += Self.block
      next.sequence += 1
      write(next, floor: floor, clock: min(clock, CounterRecord.mostSeconds - 1))
      if problemOfClock(clock, sinceBoot) != nil { holdEpochs() }
    }
  }

  /// Whether groups of this period are sealed and opened in now.
  package func isUsable(period: Int) -> Bool {
    let period = UInt32(clamping: period)
    return board.sealEpoch(period: period) != nil && board.openEpoch(period: period) != nil
  }

  /// How long a start that leads by more than one epoch still waits before it may seal in groups of this period.
  package func secondsUntilSealing(period: Int, clock: UInt64 = NodeSystem.clock()) -> UInt64 {
    lock.withLock { _ in
      let period = UInt32(clamping: period)
      guard let durable, memory.board.sealEpoch(period: period) == nil else { return 0 }
      let from = (max(durable.leadEpoch(period: period), 1) - 1) * UInt64(period)
      return from > clock ? from - clock : 0
    }
  }

  /// To be called every 50 ms or so, from any thread: half a block must outlast the time between two calls, which it
  /// does up to 160 million packets a second and lcore.
  package func tick(clock: UInt64 = NodeSystem.clock(), sinceBoot: Int64 = NodeSystem.sinceBoot()) {
    lock.withLock { _ in
      guard problemOfClock(clock, sinceBoot) == nil else { return holdEpochs() }
      let clock = min(clock, CounterRecord.mostSeconds - 1)
      time = max(time, clock)
      guard let durable else { return writeFirst(clock: clock) }
      var next = durable
      next.time = time
      var floor: UInt64?
      if memory.board.highestCount + Self.block / 2 > next.bound { next.bound += Self.block }
      if time >= next.windowStart + Self.window, !isLeading(durable) {
        floor = next.bound
        next.previousBase = next.currentBase
        next.currentBase = next.bound
        next.windowStart = time
        next.bound += Self.block
      }
      let entersEpoch = periods.contains { period in
        Epoch.number(at: time, period: period) > Epoch.number(at: durable.time, period: period)
      }
      guard entersEpoch || next.bound != durable.bound || failure != nil else { return publishEpochs(clock) }
      next.sequence = durable.sequence + 1
      write(next, floor: floor, clock: clock)
    }
  }

  /// Names the epoch periods of the groups in use, before lcores get a key table with a new one.
  package func use(periods: some Sequence<Int>, clock: UInt64 = NodeSystem.clock()) {
    let used = Set(periods.map { UInt32(clamping: $0) })
    lock.withLock { _ in
      for period in self.periods.subtracting(used) {
        memory.board.publish(sealEpoch: nil, openEpoch: nil, period: Int(period))
      }
      self.periods = used
    }
    tick(clock: clock)
  }

  private func problemOfClock(_ clock: UInt64, _ sinceBoot: Int64) -> ClockProblem? {
    guard let reference else { return waitsForClock ? .unknown : nil }
    return reference.problem(clock: clock, sinceBoot: sinceBoot)
  }

  private func holdEpochs() {
    for period in periods { memory.board.publish(sealEpoch: nil, openEpoch: nil, period: Int(period)) }
  }

  private func writeFirst(clock: UInt64) {
    time = max(time, clock)
    var record = first ?? firstRecord(clock: clock)
    first = record
    record.time = time
    write(record, floor: record.bound - Self.block, clock: clock)
  }

  /// Makes the record durable, then tells the lcores; or stops sealing, while opening goes on.
  ///
  /// - Parameter floor: where the lcores go on, when a start or a window lifts them.
  private func write(_ next: CounterRecord, floor: UInt64?, clock: UInt64) {
    do throws(RecordError) {
      try slots.save(next)
      let oldBase = durable?.previousBase ?? next.previousBase
      durable = next
      failure = nil
      // Limit, floor, epochs, limit: see SealingBoard. The first limit is the old window's, so that the floor finds
      // room.
      memory.board.publish(limit: min(next.bound, oldBase + Self.sequences))
      if let floor { memory.board.publish(floor: floor) }
      publishEpochs(clock)
      memory.board.publish(limit: min(next.bound, next.previousBase + Self.sequences))
    } catch {
      failure = error
      memory.board.publish(limit: 0)
      publishEpochs(clock)
    }
  }

  private func publishEpochs(_ clock: UInt64) {
    for period in periods {
      memory.board.publish(
        sealEpoch: sealEpoch(period: period, clock: clock), openEpoch: Epoch.number(at: time, period: period),
        period: Int(period))
    }
  }

  /// The epoch to seal in: the durable time's, or the lead's as soon as that is at most one ahead of the clock.
  private func sealEpoch(period: UInt32, clock: UInt64) -> UInt64? {
    guard let durable else { return nil }
    let own = Epoch.number(at: durable.time, period: period)
    let lead = durable.leadEpoch(period: period)
    // A period that was let go stays so: its epoch may not go back, and it need not when the clock does.
    guard lead > own, memory.board.sealEpoch(period: period) == nil else { return max(own, lead) }
    return lead <= Epoch.number(at: clock, period: period) + 1 ? lead : nil
  }

  private func isLeading(_ record: CounterRecord) -> Bool {
    periods.contains { record.leadEpoch(period: $0) > Epoch.number(at: time, period: $0) }
  }
}
