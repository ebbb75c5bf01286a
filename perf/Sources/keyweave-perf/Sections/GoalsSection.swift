import Foundation

/// The goals of the project's speed, each measured once; `Goals` makes five runs of it a table.
struct GoalsSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    var table = Table(
      id: "goals", title: "Goals", unit: "as each says", axis: "goal", columns: ["figure"])
    table.digits = 3
    func add(_ name: String, _ figure: Double) {
      table.rows.append(Table.Row(name: name, cells: [Cell(figure)]))
    }
    try cached(add)
    try derived(add)
    try flat(add)
    try bursts(add)
    try lcores(add)
    try proxy(add)
    try events(add)
    try openSSL(add)
    return [table]
  }

  private typealias Add = (String, Double) -> Void

  private func cached(_ add: Add) throws {
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction))
      let raw = try RawBenchmark(rig, samples: effort.samples)
      for sizes in Sizes.goals {
        // One after the other: whatever the clock does, it does to both.
        let bare = try raw.measure(sizes).median
        let gateway = try rig.measure(rig.frames(sizes), samples: effort.samples).median
        add("1 \(direction.rawValue) \(sizes.name)", gateway / bare)
      }
    }
  }

  private func derived(_ add: Add) throws {
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction) { $0.cachesKeys = false })
      let raw = try RawBenchmark(rig, samples: effort.samples)
      for sizes in Sizes.goals.dropLast() {
        let bare = try raw.measure(sizes).median
        let cost = try rig.measure(rig.frames(sizes), samples: effort.samples).median
        add("2 \(direction.rawValue) \(sizes.name)", cost / bare)
      }
    }
  }

  /// Senders by number, against as many as there can be without a cache: fed in the same way, in turn.
  private func flat(_ add: Add) throws {
    let uncached = try Rig(Kind(.open) { $0.cachesKeys = false })
    let strangers = try Senders(uncached, length: 64, count: 100_000_000, spread: .uniform)
    let rig = try Rig(Kind(.open))
    var memory: [Double] = []
    for (name, count) in [("1", UInt64(1)), ("1k", 1000), ("64k", 65536), ("1M", 1_000_000), ("100M", 100_000_000)] {
      let bound = try uncached.measure(strangers.frames, samples: effort.samples, refill: strangers.refill).median
      let senders = try Senders(rig, length: 64, count: count, spread: .uniform)
      let warmUp = Int(min(count, 100_000)) / 32 * 3 + 400
      let cost = try rig.measure(senders.frames, samples: effort.samples, warmUp: warmUp, refill: senders.refill)
      memory.append(KeysSection.residentMemory())
      add("3 open 64, \(name) senders", cost.median / bound)
    }
    add("3 resident memory", (memory.max() ?? 0) / (memory.min() ?? 1))
  }

  private func proxy(_ add: Add) throws {
    let table = try ProxySection(effort: effort).tables()[0]
    for (column, size) in table.columns.enumerated() { add("6 proxy \(size)", table.rows[2].cells[column]?.times ?? 0) }
  }

  private func bursts(_ add: Add) throws {
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction))
      let frames = try rig.frames(.fixed(64))
      let costs = try [4, 32].map { try rig.measure(frames, burst: $0, samples: effort.samples).median }
      add("4 \(direction.rawValue) 64", costs[0] / costs[1])
    }
  }

  private func lcores(_ add: Add) throws {
    let table = try LcoresSection(effort: Section.Effort(isQuick: true)).tables()[0]
    for row in table.rows { add("5 \(row.name)", row.cells[2]?.value ?? 0) }
  }

  private func events(_ add: Add) throws {
    let table = try EventsSection(effort: Section.Effort(isQuick: true)).tables()[0]
    for row in table.rows where !row.name.hasSuffix("quiet") { add("7 \(row.name)", row.cells[2]?.times ?? 0) }
  }

  private func openSSL(_ add: Add) throws {
    let rig = try Rig(Kind(.seal))
    let texts = try RawBenchmark(rig, samples: effort.samples).texts
    for work in EVPBenchmark.Work.allCases {
      for size in [64, 1420] {
        let (engine, bare) = try EVPBenchmark(texts: texts, samples: effort.samples).measure(work, length: size)
        add("8 \(work.rawValue) \(size)", engine / bare)
      }
    }
  }
}
