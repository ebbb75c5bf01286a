import DataPlane
import Keys
import Testing

/// One sender's window against what a window is: the highest number, and the set of those seen.
@Suite struct ReplayWindowTests {
  private struct Model {
    let window: UInt64
    private var head: UInt64?
    private var seen: Set<UInt64> = []
    private static let circle: UInt64 = 1 << 37

    init(window: Int) { self.window = UInt64(window) }

    mutating func receive(_ sequence: UInt64) -> ReplayVerdict {
      guard let old = head else {
        head = sequence
        seen = [sequence]
        return .first
      }
      let behind = (old &- sequence) % Self.circle
      if behind >= Self.circle / 2 {
        head = sequence
        seen = seen.filter { (sequence &- $0) % Self.circle < window }
      } else if behind >= window {
        return .late
      }
      return seen.insert(sequence).inserted ? .first : .duplicate
    }
  }

  private static func number(_ start: UInt64, _ offset: Int) -> UInt64 {
    (start &+ UInt64(bitPattern: Int64(offset))) & (1 << 37 - 1)
  }

  /// Every size, from starts near the ends of 32 and 37 bits: reordering, repetition, losses, jumps.
  @Test(arguments: ReplayShape.windows)
  func followsTheModel(_ window: Int) {
    var random = Repeatable(UInt64(window))
    let lab = ReplayLab(windows: 4096, window: window)
    var verdicts: [ReplayVerdict: Int] = [:]
    for (round, start) in [0, 1, 31, 1 << 31, 1 << 32, 1 << 36, 1 << 37 - 1, 1 << 37 - 500, 1 << 37 - 100_000]
      .enumerated()
    {
      var model = Model(window: window)
      let sender = ReplayLab.Sender(id: UInt64(round))
      var head = 0
      for _ in 0..<20_000 {
        let offset: Int
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: offset = head + 1
        case 50..<70: offset = head - Int.random(in: 0..<window, using: &random)
        case 70..<80: offset = head - Int.random(in: window - 2...window + 2, using: &random)
        case 80..<90: offset = head - Int.random(in: 0..<4 * window, using: &random)
        case 90..<99: offset = head + Int.random(in: 0..<3 * window, using: &random)
        default: offset = head + Int.random(in: 0..<1 << 20, using: &random)
        }
        let sequence = Self.number(UInt64(start), offset)
        let expected = model.receive(sequence)
        verdicts[expected, default: 0] += 1
        let looked = lab.look(sender, sequence)
        #expect(looked == expected, "window \(window), start \(start), \(offset) with the head at \(head)")
        #expect(lab.look(sender, sequence) == looked, "a look changes nothing")
        guard lab.receive(sender, sequence) == expected else {
          Issue.record("window \(window), start \(start): \(offset) with the head at \(head) is \(expected)")
          return
        }
        head = max(head, offset)
      }
    }
    #expect(verdicts.count == 3 && verdicts.values.allSatisfy { $0 > 300 }, "\(verdicts)")
  }

  /// The edges, in words.
  @Test func edges() {
    let lab = ReplayLab(window: 64)
    let sender = ReplayLab.Sender()
    #expect(lab.receive(sender, 1000) == .first && lab.receive(sender, 1000) == .duplicate)
    #expect(lab.receive(sender, 937) == .first && lab.receive(sender, 937) == .duplicate)
    #expect(lab.receive(sender, 936) == .late && lab.receive(sender, 0) == .late)
    // Half of the numbers lie ahead, half behind.
    #expect(lab.look(sender, 1000 + 1 << 36) == .first)
    #expect(lab.look(sender, 1001 + 1 << 36) == .late)
    // The next number moves the window by one.
    #expect(lab.receive(sender, 938) == .first && lab.receive(sender, 1001) == .first)
    #expect(lab.receive(sender, 937) == .late && lab.receive(sender, 938) == .duplicate)
  }

  /// What a look let through may be late by the time it is marked: others were faster.
  @Test func overtaken() {
    let lab = ReplayLab(window: 64)
    let sender = ReplayLab.Sender()
    lab.receive(sender, 900)
    var slow = [936, 937, 1000].map { lab.subject(sender, $0) }
    for index in slow.indices { #expect(lab.view.look(&slow[index]) == .first) }
    #expect(lab.receive(sender, 1000) == .first)
    #expect(slow.map { lab.view.mark($0) } == [.late, .first, .duplicate])
  }

  /// The count passes 2^37 within an epoch: 2^37 - 1 and 0 are neighbours.
  @Test func wraps() {
    let lab = ReplayLab(window: 128)
    let sender = ReplayLab.Sender()
    let last: UInt64 = 1 << 37 - 1
    for step in 0..<400 { #expect(lab.receive(sender, Self.number(last, step - 200)) == .first) }
    for step in 0..<400 {
      #expect(lab.receive(sender, Self.number(last, step - 200)) == (step < 400 - 128 ? .late : .duplicate))
    }
  }

  /// A window that a reload makes smaller or larger remembers what it had.
  @Test func resized() {
    let large = ReplayLab(window: 4096)
    let small = ReplayLab(large.table, window: 64)
    let sender = ReplayLab.Sender()
    for sequence in 0..<5000 as Range<UInt64> where sequence != 4950 && sequence != 2000 {
      #expect((sequence % 2 == 0 ? large : small).receive(sender, sequence) == .first)
    }
    #expect(small.look(sender, 4950) == .first && small.look(sender, 4951) == .duplicate)
    #expect(small.look(sender, 4935) == .late && large.look(sender, 4935) == .duplicate)
    #expect(small.receive(sender, 2000) == .late && large.receive(sender, 2000) == .first)
    #expect(large.receive(sender, 2000) == .duplicate && large.look(sender, 903) == .late)
  }

  /// No size but those.
  @Test func shapes() {
    #expect(ReplayShape.windows == [64, 128, 256, 512, 1024, 2048, 4096])
    for window in ReplayShape.windows {
      let shape = ReplayShape(windows: 1000, largestWindow: window)
      #expect(shape.capacity == 1024 && shape.words * 32 == 2 * window && shape.stride % 8 == 0)
      #expect(shape.octets == 1024 * 8 * (1 + shape.stride))
    }
    #expect(ReplayShape(windows: 64, largestWindow: 64).capacity == 64)
    #expect(ReplayShape(windows: 65, largestWindow: 64).capacity == 128)
    #expect(ReplayShape(windows: 1 << 20, largestWindow: 64).capacity == 1 << 20)
    #expect(ReplayShape(windows: 1, largestWindow: 64).capacity == 64)
  }
}
