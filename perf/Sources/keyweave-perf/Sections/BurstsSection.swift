/// What a packet costs when few come at once.
struct BurstsSection {
  let effort: Section.Effort
  private var sizes: [Int] { effort.isQuick ? [64] : [64, 512, 1420] }

  func tables() throws -> [Table] {
    var table = Table(
      id: "bursts", title: "Small bursts", unit: "core cycles per packet; times the cost at bursts of 32",
      axis: "packets in a burst", columns: Burst.all.map { "\($0)" })
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction))
      for size in sizes {
        let frames = try rig.frames(.fixed(size))
        let results = try Burst.all.map { try rig.measure(frames, burst: $0, samples: effort.samples) }
        let base = results[Burst.all.firstIndex(of: 32) ?? 0].median
        table.rows.append(
          Table.Row(name: "\(direction.rawValue) \(size)", cells: results.map { Cell($0, raw: base) }))
      }
    }
    return [table]
  }
}
