import DataPlane

/// Opening under one group's keys and sealing under another's in one pass, against the two alone: in turn, in one process.
struct ProxySection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    var table = Table(
      id: "proxy", title: "Proxy: open and seal in one pass", unit: "core cycles per packet", axis: "octets",
      columns: effort.sizes.map(\.name))
    let kinds = [Kind(.open), Kind(.seal), Kind(.open) { $0.isProxied = true }]
    let rigs = try kinds.map { try Rig($0) }
    var columns: [[Measurement]] = []
    for sizes in effort.sizes {
      let frames = try rigs.map { try $0.frames(sizes) }
      columns.append(try zip(rigs, frames).map { try $0.measure($1, samples: effort.samples) })
    }
    for (row, name) in ["open", "seal", "proxy"].enumerated() {
      table.rows.append(
        Table.Row(name: name, cells: columns.map { Cell($0[row], raw: $0[0].median + $0[1].median) }))
    }
    table.notes.append("In brackets: times opening and sealing together.")
    return [table]
  }
}
