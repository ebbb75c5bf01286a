import Foundation

/// A plot of a table: lines over sizes where the columns are numbers, bars otherwise.
struct SVG {
  private static let colours = [
    "#1f4e79", "#c0504d", "#4f8a10", "#8064a2", "#d98c00", "#2c9fa3", "#7f7f7f", "#a0522d", "#d46a9f", "#000000",
  ]
  private var elements: [String] = []
  private let width = 860.0
  private var height = 480.0

  /// The file's text.
  static func plot(_ table: Table, machine: String) -> String {
    var svg = SVG()
    let places = table.columns.map { Double($0) }
    let numbers = places.compactMap(\.self)
    if numbers.count >= 3, numbers == numbers.sorted() {
      svg.lines(table, places)
    } else {
      svg.bars(table)
    }
    svg.text(table.title, x: 20, y: 26, size: 17, isBold: true)
    svg.text(table.unit, x: 20, y: 44, size: 12)
    svg.text(machine, x: 20, y: svg.height - 10, size: 10, colour: "#666")
    let frame = "xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(svg.width))\" height=\"\(Int(svg.height))\""
    return "<svg \(frame) font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      + svg.elements.joined(separator: "\n") + "\n</svg>\n"
  }

  /// Both axes logarithmic: a straight line is a cost in proportion to the size.
  private mutating func lines(_ table: Table, _ places: [Double?]) {
    let xs = places.compactMap(\.self)
    let ys = table.rows.flatMap { row in zip(row.cells, places).compactMap { $1 == nil ? nil : $0?.value } }.filter {
      $0 > 0
    }
    guard let left = xs.first, let right = xs.last, let low = ys.min(), let high = ys.max() else { return }
    let (bottom, top) = (pow(10, floor(log10(low) * 3) / 3), pow(10, ceil(log10(high) * 3) / 3))
    let area = (left: 70.0, right: 590.0, top: 64.0, bottom: height - 60)
    func x(_ value: Double) -> Double {
      area.left + (log(value) - log(left)) / (log(right) - log(left)) * (area.right - area.left)
    }
    func y(_ value: Double) -> Double {
      area.bottom - (log(value) - log(bottom)) / (log(top) - log(bottom)) * (area.bottom - area.top)
    }
    for value in xs {
      line(x(value), area.top, x(value), area.bottom, colour: "#eee")
      text(String(Int(value)), x: x(value), y: area.bottom + 16, size: 11, anchor: "middle")
    }
    for decade in Int(floor(log10(bottom)))...Int(ceil(log10(top))) {
      for step in [1.0, 2, 5] {
        let value = step * pow(10, Double(decade))
        guard value >= bottom * 0.999, value <= top * 1.001 else { continue }
        line(area.left, y(value), area.right, y(value), colour: "#ddd")
        text(value >= 1 ? String(Int(value)) : "\(value)", x: area.left - 6, y: y(value) + 4, size: 11, anchor: "end")
      }
    }
    text(table.axis, x: (area.left + area.right) / 2, y: area.bottom + 34, size: 12, anchor: "middle")
    for (index, row) in table.rows.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let points = zip(places, row.cells).compactMap { place, cell -> (Double, Double)? in
        guard let place, let cell, cell.value > 0 else { return nil }
        return (x(place), y(cell.value))
      }
      let path = points.map { String(format: "%.1f,%.1f", $0.0, $0.1) }.joined(separator: " ")
      elements.append("<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>")
      for point in points {
        elements.append(
          String(format: "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%@\"/>", point.0, point.1, colour))
      }
      let legend = area.top + 10 + Double(index) * 19
      line(606, legend - 4, 628, legend - 4, colour: colour, width: 3)
      text(row.name, x: 634, y: legend, size: 11)
    }
  }

  private mutating func bars(_ table: Table) {
    let bar = 15.0
    let gap = 10.0
    let rows = table.rows.filter { $0.cells.contains { $0 != nil } }
    height = 100 + rows.reduce(0) { $0 + Double($1.cells.count) * bar + gap }
    let area = (left: 300.0, right: width - 110)
    let high = rows.flatMap { $0.cells.compactMap { $0?.value } }.max() ?? 1
    var place = 70.0
    for row in rows {
      text(row.name, x: area.left - 8, y: place + Double(row.cells.count) * bar / 2 + 4, size: 11, anchor: "end")
      for (index, cell) in row.cells.enumerated() {
        defer { place += bar }
        guard let cell else { continue }
        let length = max(1, cell.value / high * (area.right - area.left))
        elements.append(
          String(
            format: "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%@\"/>", area.left, place,
            length,
            bar - 2, Self.colours[index % Self.colours.count]))
        let value = String(format: "%.\(table.digits)f", cell.value)
        text(
          table.columns.count > 1 ? "\(value)  \(table.columns[index])" : value, x: area.left + length + 5,
          y: place + bar - 4, size: 10)
      }
      place += gap
    }
  }

  private mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String, width: Double = 1)
  {
    elements.append(
      String(
        format: "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%@\" stroke-width=\"%.0f\"/>", x1, y1,
        x2, y2,
        colour, width))
  }

  private mutating func text(
    _ text: String, x: Double, y: Double, size: Int, anchor: String = "start", isBold: Bool = false,
    colour: String = "#222"
  ) {
    let escaped = text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    let weight = isBold ? " font-weight=\"bold\"" : ""
    elements.append(
      String(
        format: "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%@\" fill=\"%@\"", x, y, size, anchor,
        colour)
        + "\(weight)>\(escaped)</text>")
  }
}
