import CPerf

/// What a packet of 64 octets costs by the number of flows: an lcore knows 4,096 of each kind, the others go the general way.
struct FlowsSection {
  let effort: Section.Effort

  private static let counts = [1, 256, 1024, 2048, 4096, 16_384, 49_152]

  func tables() throws -> [Table] {
    var table = Table(
      id: "flows", title: "Flows in turn, 64 octets", unit: "core cycles per packet; times one flow", axis: "flows",
      columns: Self.counts.map { "\($0)" })
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction))
      // Every flow three times before anything is timed: it is known at the second.
      let found = try Self.counts.map {
        try rig.measure(rig.frames(.flows($0)), samples: effort.samples, warmUp: max(400, 3 * $0 / 32))
      }
      table.rows.append(
        Table.Row(name: direction.rawValue, cells: found.map { Cell($0, raw: found[0].median) }))
    }
    table.notes.append("The frames of many flows are read from further caches, which a device's would not be.")
    return [table]
  }
}
