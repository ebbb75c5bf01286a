import CDPDK
import CPerf
import DataPlane

/// Where the cycles of a packet go, step by step of the loop. What the steps have more together than the whole has while nobody
/// looks is what reading the clock costs: it is taken off every reading alike, so that the steps add up.
struct StepsSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    #if FLOOR
      try Direction.allCases.map { try table($0) }
    #else
      throw PerfError("steps are timed by a build with KEYWEAVE_FLOOR=1 only: use make perf")
    #endif
  }

  #if FLOOR
    private func table(_ direction: Direction) throws -> Table {
      let columns: [(String, Sizes, Bool)] = [64, 512, 1420, 8192].flatMap { length -> [(String, Sizes, Bool)] in
        [("\(length)", .fixed(length), true), ("\(length), new key", .fixed(length), false)]
      }
      var table = Table(
        id: "steps-\(direction.rawValue)", title: direction == .seal ? "Sealing, by step" : "Opening, by step",
        unit: "core cycles per packet", axis: "octets", columns: columns.map(\.0), digits: 1)
      var found: [Rig.Steps] = []
      for (_, sizes, cachesKeys) in columns {
        let rig = try Rig(Kind(direction) { $0.cachesKeys = cachesKeys })
        found.append(rig.measureSteps(try rig.frames(sizes), samples: effort.samples))
      }
      for stage in Stage.allCases where found.contains(where: { $0.cycles[stage.rawValue] >= 0.05 }) {
        table.rows.append(Table.Row(name: stage.title, cells: found.map { Cell($0.cycles[stage.rawValue]) }))
      }
      table.rows.append(Table.Row(name: "together", cells: found.map { Cell($0.cycles.reduce(0, +)) }))
      table.rows.append(Table.Row(name: "the whole, while nobody looks", cells: found.map { Cell($0.whole) }))
      table.rows.append(Table.Row(name: "reading the clock (taken off)", cells: found.map { Cell($0.reading) }))
      return table
    }
  #endif
}

#if FLOOR
  extension Stage {
    var title: String {
      switch self {
      case .receive: "receive"
      case .parse: "parse, look up"
      case .header: "headers"
      case .keys: "derive"
      case .cipher: "AEAD"
      case .deliver: "deliver"
      case .transmit: "transmit"
      case .round: "round"
      }
    }
  }

  extension Rig {
    struct Steps {
      /// Core cycles per packet by `Stage`.
      var cycles: [Double]
      var whole: Double
      /// Of all readings of the clock.
      var reading: Double
    }

    /// Medians; neither the feeder's writing nor reading the clock is in them.
    func measureSteps(_ frames: FrameSet, samples: Int) -> Steps {
      feed(frames, isTimed: true)
      defer { feeders.forEach { $0.pointee.burst = 0 } }
      let words = UnsafeMutablePointer<UInt64>.allocate(capacity: Stage.allCases.count + 1)
      defer { words.deallocate() }
      words.initialize(repeating: 0, count: Stage.allCases.count + 1)
      for _ in 0..<1000 { gateway.step(lcore: 0) }
      let rounds = 200
      var found: [[Double]] = Stage.allCases.map { _ in [] }
      var wholes: [Double] = []
      for _ in 0..<samples {
        let (ticks, fed, cycles) = run(rounds)
        wholes.append((ticks - fed) * cycles)
        words.update(repeating: 0, count: Stage.allCases.count + 1)
        gateway.time(stages: words, ofLcore: 0)
        let timed = run(rounds)
        gateway.time(stages: nil, ofLcore: 0)
        for stage in Stage.allCases {
          let ticks = Double(words[stage.rawValue + 1]) - (stage == .receive ? timed.fed : 0)
          found[stage.rawValue].append(max(0, ticks) * timed.cycles)
        }
      }
      let medians = found.map { $0.sorted()[$0.count / 2] }
      let whole = wholes.sorted()[wholes.count / 2]
      // The port that gives nothing is asked, and timed, too; a round begins and ends.
      let readings = Stage.allCases.map { stage in
        medians[stage.rawValue] == 0 ? 0.0 : stage == .receive || stage == .round ? 2 : 1
      }
      let reading = medians.reduce(0, +) - whole
      let each = reading / readings.reduce(0, +)
      return Steps(cycles: zip(medians, readings).map { $0 - each * $1 }, whole: whole, reading: reading)
    }

    /// Ticks of so many rounds, those that the feeder wrote in, and core cycles per packet that one tick stands for.
    private func run(_ rounds: Int) -> (ticks: Double, fed: Double, cycles: Double) {
      let before = feeders[0].pointee.ticks
      let first = CoreClock.chain()
      var packets = 0
      let start = dpdk_rdtsc()
      for _ in 0..<rounds { packets += gateway.step(lcore: 0) }
      let ticks = Double(dpdk_rdtsc() &- start) - Self.timerOverhead() * Double(rounds)
      let cycles = CoreClock.cyclesPerTick(first, CoreClock.chain()) / Double(packets)
      return (ticks, Double(feeders[0].pointee.ticks - before), cycles)
    }
  }
#endif
