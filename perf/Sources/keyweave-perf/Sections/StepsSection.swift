import CPerf
import DataPlane

/// Where the cycles of a packet go, step by step of the loop, beside what the whole costs while nobody looks.
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
      var steps: [[Double]] = []
      var sums: [Double] = []
      var wholes: [Measurement] = []
      for (_, sizes, cachesKeys) in columns {
        let rig = try Rig(Kind(direction) { $0.cachesKeys = cachesKeys })
        let frames = try rig.frames(sizes)
        wholes.append(try rig.measure(frames, samples: effort.samples))
        steps.append(try rig.measureSteps(frames, samples: effort.samples))
        sums.append(steps[steps.count - 1].reduce(0, +))
      }
      for stage in Stage.allCases where steps.contains(where: { $0[stage.rawValue] >= 0.05 }) {
        table.rows.append(Table.Row(name: stage.title, cells: steps.map { Cell($0[stage.rawValue]) }))
      }
      table.rows.append(Table.Row(name: "together", cells: sums.map { Cell($0) }))
      table.rows.append(
        Table.Row(name: "the whole, measured apart", cells: wholes.map { Cell($0) }))
      table.rows.append(
        Table.Row(name: "together, of the whole", cells: zip(sums, wholes).map { Cell($0 / $1.median) }))
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
    /// Core cycles per packet of each `Stage`, without what the feeder and reading the clock take: medians.
    func measureSteps(_ frames: FrameSet, samples: Int) throws -> [Double] {
      feed(frames, isTimed: true)
      defer { feeders.forEach { $0.pointee.burst = 0 } }
      let words = UnsafeMutablePointer<UInt64>.allocate(capacity: Stage.allCases.count + 1)
      defer { words.deallocate() }
      gateway.time(stages: words, ofLcore: 0)
      defer { gateway.time(stages: nil, ofLcore: 0) }
      for _ in 0..<1000 { gateway.step(lcore: 0) }
      let rounds = 200
      // What a reading of the clock takes from the step that it ends.
      let overhead = Self.timerOverhead()
      var found: [[Double]] = Stage.allCases.map { _ in [] }
      for _ in 0..<samples {
        words.initialize(repeating: 0, count: Stage.allCases.count + 1)
        let fed = feeders[0].pointee.ticks
        let first = CoreClock.chain()
        var packets = 0
        for _ in 0..<rounds { packets += gateway.step(lcore: 0) }
        let cycles = CoreClock.cyclesPerTick(first, CoreClock.chain())
        for stage in Stage.allCases {
          var ticks = Double(words[stage.rawValue + 1])
          guard ticks > 0 else {
            found[stage.rawValue].append(0)
            continue
          }
          // The port that gives nothing is asked, and timed, too; a round begins and ends.
          let readings = stage == .receive || stage == .round ? 2.0 : 1.0
          ticks -= overhead * Double(rounds) * readings
          if stage == .receive { ticks -= Double(feeders[0].pointee.ticks - fed) + overhead * Double(rounds) }
          found[stage.rawValue].append(max(0, ticks) * cycles / Double(packets))
        }
      }
      return found.map { $0.sorted()[$0.count / 2] }
    }
  }
#endif
