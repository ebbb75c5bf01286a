import DataPlane
import Keys
import Testing

/// Who gets which window, and for how long.
@Suite struct ReplayTableTests {
  private typealias Sender = ReplayLab.Sender

  /// A window for everything that a data key is derived from, for each member and lcore: the same number is new in each.
  @Test func aWindowForEachKeyMemberAndLcore() {
    let lab = ReplayLab()
    let changes: [(inout Sender) -> Void] = [
      { _ in }, { $0.id = 43 }, { $0.id = 42 << 32 }, { $0.member = 1 }, { $0.member = 63 }, { $0.lcore = 1 },
      { $0.lcore = 31 },
      { $0.epoch += 1 }, { $0.epoch -= 1 }, { $0.variant = 1 }, { $0.variant = 8 }, { $0.variant = 9 },
      { $0.fingerprint = 8 },
      { $0.variant = 4 },
      {
        $0.variant = 4
        $0.source = 2
      },
    ]
    let senders = changes.map { change in
      var sender = Sender()
      change(&sender)
      return sender
    }
    for sender in senders { #expect(lab.receive(sender, 5, own: ReplayLab.epoch) == .first, "\(sender)") }
    for sender in senders { #expect(lab.receive(sender, 5, own: ReplayLab.epoch) == .duplicate, "\(sender)") }
    #expect(lab.used() == senders.count)
    // The source belongs to the key in its own context only.
    #expect(lab.look(Sender(source: 9), 5) == .duplicate)
  }

  /// Whatever a receiver's own epoch is, the packet's stays the same; 65535 and 0 are neighbours.
  @Test func theReceiversEpochChoosesNothing() {
    let edge = ReplayLab.epoch / 65536 * 65536
    for epoch in [edge - 1, edge, edge + 1, ReplayLab.epoch] {
      let table = ReplayTable(ReplayShape(windows: 64, largestWindow: 64), start: 0)
      let lab = ReplayLab(table, window: 64)
      let sender = Sender(epoch: epoch)
      #expect(lab.receive(sender, 1, own: epoch - 1) == .first)
      for own in epoch - 1...epoch + 1 { #expect(lab.receive(sender, 1, own: own) == .duplicate) }
      #expect(table.count(inUseAt: 0) == 1)
    }
  }

  /// Forged packets are looked at and never marked: nothing of the table changes, whoever they pretend to be.
  @Test func aFloodOfForgedIDsChangesNothing() {
    let lab = ReplayLab(windows: 64)
    let real = Sender()
    for sequence in 0..<100 as Range<UInt64> where sequence % 3 > 0 { #expect(lab.receive(real, sequence) == .first) }
    var random = Repeatable(1)
    for _ in 0..<200_000 {
      var forged = Sender(
        id: random.next(), member: random.next() & 63, lcore: random.next() & 31, variant: 8,
        fingerprint: random.next())
      #expect(lab.look(forged, random.next()) == .first)
      forged = real
      _ = lab.look(forged, random.next())
    }
    #expect(lab.used() == 1)
    for sequence in 40..<100 as Range<UInt64> {
      #expect(lab.look(real, sequence) == (sequence % 3 > 0 ? .duplicate : .first))
    }
    #expect(lab.receive(real, 99) == .first && lab.look(real, 35) == .late)
  }

  /// A member that has many IDs fills the table: whoever comes later has no window, whoever had one keeps it.
  @Test(arguments: [64, 128, 4096]) func fullTable(_ windows: Int) {
    let lab = ReplayLab(windows: windows)
    var kept: [Sender] = []
    var without = 0
    for id in 0..<UInt64(2 * windows) {
      let sender = Sender(id: id)
      switch lab.receive(sender, id) {
      case .first: kept.append(sender)
      case .tableFull: without += 1
      case let other: Issue.record("\(id): \(other)")
      }
    }
    #expect(kept.count == lab.used() && kept.count + without == 2 * windows)
    // Sixteen buckets are searched: a table of more than those is full for some before it is for all.
    #expect(kept.count == windows || windows > 128 && kept.count > windows * 98 / 100, "\(kept.count)")
    for sender in kept { #expect(lab.receive(sender, sender.id) == .duplicate) }
    let late = Sender(id: 1 << 40)
    #expect(lab.receive(late, 1) == .tableFull && lab.receive(late, 1) == .tableFull)
    // Two epochs later they are forgotten by none who may accept them; three later their places are free.
    for epoch in ReplayLab.epoch...ReplayLab.epoch + 2 {
      #expect(lab.receive(Sender(id: 1 << 41, epoch: epoch), 1, own: epoch - 1) == .tableFull)
    }
    #expect(lab.receive(Sender(id: 1 << 41, epoch: ReplayLab.epoch + 3), 1) == .first)
  }

  /// A load that the table is made for: three epochs of senders, each with its window all the time.
  @Test func roomForThreeEpochs() {
    let lab = ReplayLab(windows: 4096)
    for epoch in ReplayLab.epoch..<ReplayLab.epoch + 40 {
      for id in 0..<1024 as Range<UInt64> {
        let sender = Sender(id: id, epoch: epoch)
        #expect(lab.receive(sender, id) == .first)
        #expect(lab.receive(sender, id) == .duplicate)
      }
    }
  }

  /// Groups of different periods share the table: as long as any receiver may accept an epoch, its windows stay.
  @Test func noWindowOfAnAcceptableEpochGoes() {
    var random = Repeatable(5)
    for _ in 0..<20 {
      let lab = ReplayLab(windows: 128)
      let periods = (0..<3).map { _ in UInt64.random(in: 60...1800, using: &random) } + [600]
      var now = ReplayLab.epoch * ReplayLab.period
      var held: [(sender: Sender, sequence: UInt64)] = []
      var replaced = 0
      for step in 0..<3000 as Range<UInt64> {
        now += UInt64.random(in: 0...90, using: &random)
        func own(_ sender: Sender) -> UInt64 { now / sender.period }
        held.removeAll { $0.sender.epoch + 1 < own($0.sender) }
        let period = periods.randomElement(using: &random) ?? 600
        let epoch = now / period + UInt64.random(in: 0...2, using: &random) - 1
        let sender = Sender(id: step % 50, epoch: epoch, fingerprint: period, period: period)
        let before = lab.used()
        switch lab.receive(sender, step, own: own(sender)) {
        case .first:
          if let place = held.firstIndex(where: { $0.sender == sender }) { held.remove(at: place) }
          held.append((sender, step))
          if lab.used() == before { replaced += 1 }
        case .tableFull: #expect(held.count > 30, "a table of 128 is not full with \(held.count)")
        case let verdict: Issue.record("\(verdict) in step \(step)")
        }
        for (sender, sequence) in held {
          guard lab.look(sender, sequence, own: own(sender)) == .duplicate else {
            Issue.record("\(sender) lost its window at \(now)")
            return
          }
        }
      }
      #expect(replaced > 100)
    }
  }

  /// A client chooses all 48 bits of its counter: four of its 2048 windows in an epoch, whatever else it varies.
  @Test func fourWindowsForAConnection() {
    let lab = ReplayLab()
    let toPool: UInt64 = 0x2A02_0000_3000
    var verdicts: [ReplayVerdict: Int] = [:]
    for bits in 0..<2048 as Range<UInt64> {
      for (variant, fingerprint) in [(10, 1), (11, 1), (10, 2)] as [(UInt8, UInt64)] {
        let sender = Sender(
          id: toPool, member: bits >> 5, lcore: bits & 31, variant: variant, fingerprint: fingerprint)
        verdicts[lab.receive(sender, bits), default: 0] += 1
      }
    }
    #expect(verdicts == [.first: 4, .connectionFull: 3 * 2048 - 4] && lab.used() == 4)
    // Those four are protected; the next epoch has four of its own, and so has the next connection.
    #expect(lab.receive(Sender(id: toPool, variant: 10, fingerprint: 1), 0) == .duplicate)
    for lcore in 0..<5 as Range<UInt64> {
      let wanted: ReplayVerdict = lcore < 4 ? .first : .connectionFull
      #expect(lab.receive(Sender(id: toPool, lcore: lcore, epoch: ReplayLab.epoch + 1, variant: 10), 7) == wanted)
      #expect(lab.receive(Sender(id: toPool + 2, lcore: lcore, variant: 10), 7) == wanted)
    }
    // What the pool's members seal for a client is theirs: all of them have windows.
    for bits in 0..<100 as Range<UInt64> {
      #expect(
        lab.receive(Sender(id: toPool + 1, member: bits >> 5, lcore: bits & 31, variant: 10), bits) == .first)
    }
  }

  /// An lcore that comes back late with a packet of a sender whose place another has taken changes nothing there.
  @Test func theFormerSendersPackets() {
    let lab = ReplayLab(windows: 64)
    let olds = (0..<64 as Range<UInt64>).map { Sender(id: $0) }
    for sender in olds { #expect(lab.receive(sender, 100) == .first) }
    var late = olds.map { lab.subject($0, 90) }
    for index in late.indices { #expect(lab.view.look(&late[index]) == .first) }
    let news = (0..<64 as Range<UInt64>).map { Sender(id: 100 + $0, epoch: ReplayLab.epoch + 3) }
    for sender in news { #expect(lab.receive(sender, 1 << 36) == .first) }
    for subject in late { #expect(lab.view.mark(subject) == .late) }
    for sender in news {
      #expect(lab.receive(sender, 1 << 36) == .duplicate && lab.receive(sender, 1 << 36 - 10) == .first)
    }
    for sender in olds { #expect(lab.receive(sender, 100) == .tableFull) }
  }

  /// Before the table's years senders have no windows, and after them they take no other's; nothing is said to be late.
  @Test func outsideTheTablesTime() {
    let lab = ReplayLab(windows: 64)
    for epoch in [0, 1, 2, ReplayLab.epoch - 200, UInt64.max - 1, .max] {
      #expect(lab.receive(Sender(epoch: epoch), 1) == .tableFull, "\(epoch)")
    }
    #expect(lab.receive(Sender(), 1) == .first && lab.receive(Sender(), 1) == .duplicate)
    for step in 0..<200 as Range<UInt64> {
      let sender = Sender(epoch: ReplayLab.epoch + 1 << 30 + step)
      #expect(lab.receive(sender, 1) == (step < 64 ? .first : .tableFull))
    }
  }
}
