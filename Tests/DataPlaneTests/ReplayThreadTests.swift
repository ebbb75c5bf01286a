import DataPlane
import Foundation
import Glibc
import Synchronization
import Testing

/// Lcores that receive the same packets at the same time: every packet is new to exactly one of them.
@Suite struct ReplayThreadTests {
  private static let threads = 4

  /// Runs `body` on so many threads at once.
  private static func together(_ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    let ready = Counter()
    for number in 0..<threads {
      let thread = Thread {
        ready.add()
        while ready.value < threads { sched_yield() }
        body(number)
        group.leave()
      }
      group.enter()
      thread.start()
    }
    group.wait()
  }

  private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
    func add() { count.wrappingAdd(1, ordering: .acquiringAndReleasing) }
  }

  /// How often each packet was new, and how often something else than new or a duplicate was said.
  private final class Tally: Sendable {
    private let counts: [Counter]
    let others = Counter()
    init(_ packets: Int) { counts = (0..<packets).map { _ in Counter() } }
    func count(_ verdict: ReplayVerdict, _ packet: Int) {
      switch verdict {
      case .first: counts[packet].add()
      case .duplicate: break
      case .late, .tableFull, .connectionFull: others.add()
      }
    }
    var wrong: [Int] { counts.indices.filter { counts[$0].value != 1 } }
  }

  /// One window, from just before 2^37: each thread has the packets in an order of its own, out of place by less than the window.
  @Test(arguments: [64, 1024]) func oneSender(_ window: Int) {
    let packets = 200_000
    for round in 0..<3 {
      let lab = ReplayLab(window: window)
      let tally = Tally(packets)
      Self.together { number in
        var random = Repeatable(UInt64(round * 10 + number))
        let sender = ReplayLab.Sender()
        for chunk in stride(from: 0, to: packets, by: window / 2) {
          for packet in (chunk..<min(packets, chunk + window / 2)).shuffled(using: &random) {
            tally.count(lab.receive(sender, (1 << 37) - 1000 + UInt64(packet)), packet)
          }
        }
      }
      #expect(tally.wrong == [])
    }
  }

  /// Many senders' first packets at once, in a small table, over epochs: places are taken over all the time, and every sender
  /// always gets one. Threads are at most an epoch apart, as receivers are.
  @Test func newSendersAndNewEpochs() {
    let (senders, packets, epochs) = (20, 4, 400)
    let lab = ReplayLab(windows: 64)
    let tally = Tally(epochs * senders * packets)
    let done = (0..<epochs).map { _ in Counter() }
    Self.together { number in
      var random = Repeatable(UInt64(number))
      for epoch in 0..<epochs {
        while epoch > 0 && done[epoch - 1].value == 0 { sched_yield() }
        for packet in (0..<senders * packets).shuffled(using: &random) {
          let sender = ReplayLab.Sender(id: UInt64(packet / packets), epoch: ReplayLab.epoch + UInt64(epoch))
          tally.count(
            lab.receive(sender, UInt64(packet % packets)), epoch * senders * packets + packet)
        }
        done[epoch].add()
        // Nobody is two epochs ahead.
        while epoch > 0 && done[epoch - 1].value < Self.threads { sched_yield() }
      }
    }
    #expect(tally.wrong == [] && tally.others.value == 0)
  }

  /// A client's windows stay four when many lcores enter them at once.
  @Test func oneConnection() {
    for round in 0..<200 as Range<UInt64> {
      let lab = ReplayLab(windows: 64)
      let firsts = Counter()
      Self.together { number in
        for lcore in 0..<8 as Range<UInt64> {
          let sender = ReplayLab.Sender(
            id: round << 8, lcore: (lcore + 2 * UInt64(number)) & 7, variant: 10)
          if lab.receive(sender, UInt64(number)) == .first { firsts.add() }
        }
      }
      // Four windows, in which each thread's number is new once.
      #expect(lab.used() == 4 && firsts.value == 4 * Self.threads)
    }
  }
}
