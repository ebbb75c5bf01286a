public import Synchronization  // public: the loads are inlined into the lcore loop

/// What the control thread tells lcores about epochs and counts: 64-bit words in shared memory, no lock.
///
/// Epochs are kept per period, not per group, since a group's depends on nothing else: changing groups touches nothing
/// here. The control thread stores the floor, then the epochs, then the limit; an lcore loads the limit
/// (`SealingCounter.begin`), then an epoch, then the floor (`SealingCounter.next`). So who seals in a new epoch starts
/// above its floor, and who uses a new limit is in the new epoch.
@usableFromInline package struct SealingBoard: @unchecked Sendable {
  /// Lcores that can seal: 5 bits of the counter.
  @inlinable package static var lcores: Int { 32 }
  /// No epoch: sealing waits, or the period is not in use.
  @inlinable static var none: UInt64 { UInt64.max }
  @inlinable static var shortestPeriod: UInt32 { 60 }
  @inlinable static var periods: Int { 1741 }

  /// Words: 0 limit, 1 floor, 8 + 8 x lcore that lcore's count (a cache line each), then seal and open epoch by period.
  @inlinable static var countsAt: Int { 8 }
  @inlinable static var epochsAt: Int { countsAt + 8 * lcores }
  static let size = epochsAt + 2 * periods

  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>

  init(words: UnsafeMutablePointer<Atomic<UInt64>>) { self.words = words }

  /// The epoch to seal in; nil while none may be used, which is `counter-exhausted`.
  @inlinable package func sealEpoch(period: UInt32) -> UInt64? { epoch(period, 0) }

  /// The receiver's own epoch; nil for a period that no group has.
  @inlinable package func openEpoch(period: UInt32) -> UInt64? { epoch(period, 1) }

  @inlinable func epoch(_ period: UInt32, _ word: Int) -> UInt64? {
    let position = Int(period &- Self.shortestPeriod)
    guard position < Self.periods else { return nil }
    let value = words[Self.epochsAt &+ 2 &* position &+ word].load(ordering: .acquiring)
    return value == Self.none ? nil : value
  }

  @inlinable var limit: UInt64 { words[0].load(ordering: .acquiring) }
  @inlinable var floor: UInt64 { words[1].load(ordering: .acquiring) }

  @inlinable func publish(count: UInt64, lcore: Int) {
    words[Self.countsAt &+ 8 &* (lcore & 31)].store(count, ordering: .relaxed)
  }
}

extension SealingBoard {
  func publish(limit: UInt64) { words[0].store(limit, ordering: .releasing) }
  func publish(floor: UInt64) { words[1].store(floor, ordering: .releasing) }

  /// Nil: none for now.
  func publish(sealEpoch: UInt64?, openEpoch: UInt64?, period: Int) {
    let position = period - Int(Self.shortestPeriod)
    guard position >= 0, position < Self.periods else { return }
    words[Self.epochsAt + 2 * position].store(sealEpoch ?? Self.none, ordering: .releasing)
    words[Self.epochsAt + 2 * position + 1].store(openEpoch ?? Self.none, ordering: .releasing)
  }

  /// The highest count that an lcore has told of.
  var highestCount: UInt64 {
    (0..<Self.lcores).reduce(0) { max($0, words[Self.countsAt + 8 * $1].load(ordering: .relaxed)) }
  }
}

/// Owns a board's memory; whoever gives boards to lcores keeps it as long as they run.
package final class SealingBoardMemory: @unchecked Sendable {
  package let board: SealingBoard

  /// Nothing may be sealed or opened yet.
  package init() {
    let words = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: SealingBoard.size)
    for word in 0..<SealingBoard.size {
      (words + word).initialize(to: Atomic(word < SealingBoard.epochsAt ? 0 : SealingBoard.none))
    }
    board = SealingBoard(words: words)
  }

  deinit { board.words.deallocate() }

  /// Sets the epochs for opening alone, without a record: for `open` and `inspect` at a chosen time.
  package func setOpenEpochs(at seconds: UInt64) {
    for period in TrustGroup.epochPeriods {
      board.publish(
        sealEpoch: nil, openEpoch: Epoch.number(at: seconds, period: UInt32(period)), period: period)
    }
  }
}
