import Foundation

/// Runs of two commits, taken in turns: how many times the old figure the new one is, for everything that both measured.
struct Comparison {
  let base: [Run]
  let head: [Run]

  /// - Parameter files: base and head in turns, as they were run.
  init(_ files: [String]) throws {
    guard files.count >= 2, files.count % 2 == 0 else {
      throw PerfError("compare wants files in pairs: old, new, old, new")
    }
    let runs = try files.map { try JSONDecoder().decode(Run.self, from: Data(contentsOf: URL(filePath: $0))) }
    base = stride(from: 0, to: runs.count, by: 2).map { runs[$0] }
    head = stride(from: 1, to: runs.count, by: 2).map { runs[$0] }
  }

  var tables: [Table] {
    head[0].tables.compactMap { shape in
      let pairs = zip(base, head).compactMap { base, head -> (Table, Table)? in
        guard let old = base.tables.first(where: { $0.id == shape.id }),
          let new = head.tables.first(where: { $0.id == shape.id })
        else { return nil }
        return (old, new)
      }
      guard !pairs.isEmpty else { return nil }
      var table = Table(
        id: shape.id, title: shape.title, unit: "new / old, \(pairs.count) pairs", axis: shape.axis,
        columns: shape.columns)
      table.digits = 3
      table.notes = ["The spread is half of what lies between the least and the most."]
      for row in shape.rows {
        let cells = shape.columns.map { column -> Cell? in
          let ratios = pairs.compactMap { old, new -> Double? in
            guard let before = old[row.name, column]?.value, let after = new[row.name, column]?.value, before > 0 else {
              return nil
            }
            return after / before
          }.sorted()
          guard let least = ratios.first, let most = ratios.last else { return nil }
          return Cell(ratios[ratios.count / 2], spread: (most - least) / 2)
        }
        table.rows.append(Table.Row(name: row.name, cells: cells))
      }
      return table
    }
  }
}
