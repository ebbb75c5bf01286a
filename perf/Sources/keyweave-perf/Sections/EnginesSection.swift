import DataPlane
import Keys
import Wire

/// What the engines' own calls cost, beside the libraries' bare ones.
struct EnginesSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    var table = Table(
      id: "engines", title: "Engines, called as lcores call them", unit: "core cycles per packet", axis: "octets",
      columns: effort.sizes.map(\.name))
    let rig = try Rig(Kind(.seal))
    let raw = try RawBenchmark(rig, samples: effort.samples)
    let bare = try effort.sizes.map { try raw.measure($0) }
    table.rows.append(Table.Row(name: RawBenchmark.name, cells: bare.map { Cell($0, raw: $0.median) }))
    #if IPSEC_MB
      table.rows += try rows(IPsecMBEngine.self, raw, bare)
    #endif
    table.rows += try rows(OpenSSLEngine.self, raw, bare)
    return [table]
  }

  private func rows<Engine: AEADEngine>(
    _: Engine.Type, _ raw: RawBenchmark, _ bare: [Measurement]
  ) throws -> [Table.Row] {
    let benchmark = try EngineBenchmark<Engine>(texts: raw.texts, samples: effort.samples)
    defer { benchmark.free() }
    return try EngineBenchmark<Engine>.Work.allCases.map { work in
      let cells = try zip(effort.sizes, bare).map { sizes, raw in
        Cell(try benchmark.measure(work, sizes: sizes), raw: raw.median)
      }
      return Table.Row(name: "\(Engine.name): \(work.rawValue)", cells: cells)
    }
  }
}
