import Foundation

/// A figure with half of what lies between its tenth and ninetieth percentile, and how many times raw it is.
struct Cell: Codable {
  var value: Double
  var spread: Double?
  var times: Double?

  init(_ measurement: Measurement, raw: Double? = nil) {
    value = measurement.median
    spread = measurement.spread
    times = raw.map { measurement.median / $0 }
  }

  init(_ value: Double, spread: Double? = nil, times: Double? = nil) {
    self.value = value
    self.spread = spread
    self.times = times
  }
}

/// What is printed, plotted and compared.
struct Table: Codable {
  struct Row: Codable {
    var name: String
    var cells: [Cell?]
  }

  /// A word that names it in files and on the command line.
  var id: String
  var title: String
  var unit: String
  /// What the columns are: "octets", "packets in a burst".
  var axis: String
  var columns: [String]
  var rows: [Row] = []
  var notes: [String] = []
  /// Sentences about what must not be so: with one, the program fails. Nil and none in most tables.
  var faults: [String]?
  /// Digits after the point.
  var digits = 0

  subscript(_ row: String, _ column: String) -> Cell? {
    guard let at = columns.firstIndex(of: column), let row = rows.first(where: { $0.name == row }) else { return nil }
    return row.cells[at]
  }
}

/// All that one run gave.
struct Run: Codable {
  var machine: Machine
  var tables: [Table]
}

extension Table {
  var text: String {
    let all = rows.flatMap(\.cells)
    let form =
      (all.contains { $0?.spread != nil } ? "; median ± spread" : "")
      + (all.contains { $0?.times != nil } ? ", times raw" : "")
    var lines = ["", "\(title) (\(unit)\(form))", ""]
    let names = max(axis.count, rows.map(\.name.count).max() ?? 0)
    let cells = rows.map { $0.cells.map { $0.map(text(of:)) ?? "-" } }
    let widths = columns.indices.map { column in max(columns[column].count, cells.map { $0[column].count }.max() ?? 0) }
    func line(_ name: String, _ cells: [String]) -> String {
      name.padded(names) + zip(cells, widths).map { "  " + $0.padded($1, left: true) }.joined()
    }
    lines.append(line(axis, columns))
    lines += zip(rows, cells).map { line($0.name, $1) }
    lines += notes.map { "  " + $0 }
    return lines.joined(separator: "\n") + "\n"
  }

  private func text(of cell: Cell) -> String {
    var text = String(format: "%.\(digits)f", cell.value)
    if let spread = cell.spread { text += String(format: " ±%.\(digits)f", spread) }
    if let times = cell.times { text += String(format: " (%.2f)", times) }
    return text
  }

  /// The same as a table of a Markdown page.
  var markdown: String {
    var lines = ["| \(axis) | " + columns.joined(separator: " | ") + " |"]
    lines.append("|---|" + columns.map { _ in "--:|" }.joined())
    lines += rows.map { row in
      "| \(row.name) | " + row.cells.map { $0.map(text(of:)) ?? "-" }.joined(separator: " | ") + " |"
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension String {
  func padded(_ width: Int, left: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - count))
    return left ? space + self : self + space
  }
}
