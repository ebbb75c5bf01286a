import CPerf

/// Two lcores against one, each on a core of its own with its own feeder: both cores work.
struct LcoresSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    var table = Table(
      id: "lcores", title: "Lcores",
      unit: "core cycles per packet on each lcore, and packets as a multiple of one lcore's",
      axis: "octets", columns: ["one lcore", "two lcores", "times one"])
    table.digits = 2
    for direction in Direction.allCases {
      for size in effort.isQuick ? [64] : [64, 512, 1420, 8192] {
        let results = try (1...2).map { try measure(direction, size: size, lcores: $0) }
        let rate = { (lcores: [Measurement]) in lcores.reduce(0) { $0 + 1 / $1.median } }
        table.rows.append(
          Table.Row(
            name: "\(direction.rawValue) \(size)",
            cells: [
              Cell(results[0][0]), Cell(2 / rate(results[1]), spread: results[1].map(\.spread).max()),
              Cell(rate(results[1]) / rate(results[0])),
            ]))
      }
    }
    return [table]
  }

  private func measure(_ direction: Direction, size: Int, lcores: Int) throws -> [Measurement] {
    let rig = try Rig(Kind(direction) { $0.lcores = lcores })
    try rig.feed(rig.frames(.fixed(size)), isTimed: true)
    try rig.launch()
    defer { rig.feeders.forEach { $0.pointee.burst = 0 } }
    return rig.observe(seconds: effort.isQuick ? 0.3 : 1).map { samples in
      Measurement(sorted: samples.map(\.cycles).sorted())
    }
  }
}
