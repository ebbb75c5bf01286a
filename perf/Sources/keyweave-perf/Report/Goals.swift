import Foundation

/// A number to reach, with its bound.
struct Goal {
  let name: String
  let bound: Double
  /// At least, instead of at most.
  var isLeast = false

  func isMet(_ figure: Double) -> Bool { isLeast ? figure >= bound : figure <= bound }
}

/// Five runs, each in a process of its own, as a table of goals.
enum Goals {
  static let runs = 5

  /// By the beginnings of the names that `GoalsSection` gives.
  private static func bound(_ name: String) -> Goal {
    let cached = ["64": 2.0, "512": 1.35, "1420": 1.12, "8192": 1.05]
    let derived = ["64": 3.5, "512": 2.2, "1420": 1.7]
    let size = name.split(separator: " ").last.map(String.init) ?? ""
    switch name.first {
    case "1": return Goal(name: name, bound: cached[size] ?? 0)
    case "2": return Goal(name: name, bound: derived[size] ?? 0)
    case "3": return Goal(name: name, bound: name.contains("memory") ? 1.01 : 1.03)
    case "4": return Goal(name: name, bound: 1.3)
    case "5": return Goal(name: name, bound: 1.95, isLeast: true)
    case "8": return Goal(name: name, bound: 1.1)
    default: return Goal(name: name, bound: 1.05)
    }
  }

  static func table(_ runs: [Table]) -> Table {
    var table = Table(
      id: "goals", title: "Goals: median of \(runs.count) runs, least and most of them",
      unit: "1, 2: times raw; others: as a ratio", axis: "goal", columns: ["bound", "figure", "least", "most", "met"])
    table.digits = 3
    for (index, row) in (runs.first?.rows ?? []).enumerated() {
      let figures = runs.compactMap { $0.rows[index].cells[0]?.value }.sorted()
      guard let least = figures.first, let most = figures.last else { continue }
      let goal = bound(row.name)
      let median = figures[figures.count / 2]
      table.rows.append(
        Table.Row(
          name: "\(row.name) \(goal.isLeast ? "at least" : "at most")",
          cells: [Cell(goal.bound), Cell(median), Cell(least), Cell(most), Cell(goal.isMet(median) ? 1 : 0)]))
    }
    return table
  }
}
