/// A table for people: aligned columns under a rule, drawn with box characters, no wider than its cells.
struct TextTable {
  enum Alignment { case left, right }

  private let header: [String]
  private let alignment: [Alignment]
  private let wrapAt: Int?
  private var rows: [[String]] = []

  /// Columns by title; those of `right` (numbers) are aligned to the right. With `wrapAt`, the last column's text is broken
  /// so that lines end before that column of the terminal.
  init(_ header: [String], right: Set<Int> = [], wrapAt: Int? = nil) {
    self.header = header
    self.wrapAt = wrapAt
    alignment = header.indices.map { right.contains($0) ? .right : .left }
  }

  var isEmpty: Bool { rows.isEmpty }

  /// Adds a row; missing cells are empty.
  mutating func add(_ cells: [String]) {
    rows.append(header.indices.map { $0 < cells.count ? cells[$0] : "" })
  }

  /// The lines of the table, each indented by two columns.
  var lines: [String] {
    let rows = wrappedRows
    let widths = widths(rows)
    let rule = "  " + widths.map { String(repeating: "─", count: $0) }.joined(separator: "──")
    return [line(header, widths), rule] + rows.map { line($0, widths) }
  }

  private func widths(_ rows: [[String]]) -> [Int] {
    header.indices.map { column in ([header] + rows).map { Self.width($0[column]) }.max() ?? 0 }
  }

  /// A row whose last cell is too long becomes several, of which the others hold only the rest of that cell.
  private var wrappedRows: [[String]] {
    guard let wrapAt else { return rows }
    let before = widths(rows).dropLast().reduce(2) { $0 + $1 + 2 }
    return rows.flatMap { row -> [[String]] in
      let pieces = Self.wrapped(row.last ?? "", to: wrapAt - before)
      return pieces.enumerated().map { index, piece in
        (index == 0 ? Array(row.dropLast()) : row.dropLast().map { _ in "" }) + [piece]
      }
    }
  }

  /// Breaks at spaces; a word that is longer than a line stands alone.
  static func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return lines + [line]
  }

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    let padded = cells.indices.map { column in
      let cell = cells[column]
      let space = String(repeating: " ", count: max(0, widths[column] - Self.width(cell)))
      return alignment[column] == .right ? space + cell : cell + space
    }
    var text = "  " + padded.joined(separator: "  ")
    while text.hasSuffix(" ") { text.removeLast() }
    return text
  }

  /// Columns on a terminal: escape sequences for colour take none.
  private static func width(_ cell: String) -> Int {
    guard cell.contains("\u{1B}") else { return cell.count }
    var columns = 0
    var inEscape = false
    for character in cell {
      if character == "\u{1B}" { inEscape = true }
      if !inEscape { columns += 1 }
      if inEscape && character == "m" { inEscape = false }
    }
    return columns
  }
}

/// Colour where a person looks at a terminal, plain text elsewhere (https://no-color.org).
struct Paint {
  let enabled: Bool

  func good(_ text: String) -> String { wrap(text, "32") }
  func bad(_ text: String) -> String { wrap(text, "1;31") }
  func doubtful(_ text: String) -> String { wrap(text, "33") }
  func faint(_ text: String) -> String { wrap(text, "2") }
  func strong(_ text: String) -> String { wrap(text, "1") }

  private func wrap(_ text: String, _ code: String) -> String {
    enabled ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}

/// Numbers as people read them.
enum Figures {
  /// 1234567 as "1,234,567".
  static func count<Number: BinaryInteger>(_ number: Number) -> String {
    let digits = Array(String(number.magnitude))
    var text = number < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return text
  }

  /// Bits per second as "3.61 Gb/s".
  static func rate(_ bits: Double) -> String {
    bits >= 1e9 ? fixed(bits / 1e9, 2) + " Gb/s" : fixed(bits / 1e6, bits >= 1e8 ? 0 : 1) + " Mb/s"
  }

  /// Octets as "104.9 MB".
  static func size<Number: BinaryInteger>(_ octets: Number) -> String {
    let value = Double(octets)
    if value >= 1e9 { return fixed(value / 1e9, 2) + " GB" }
    if value >= 1e6 { return fixed(value / 1e6, 1) + " MB" }
    if value >= 1e3 { return fixed(value / 1e3, 1) + " kB" }
    return "\(octets) B"
  }

  /// Seconds as "2 d 03:04:05", "04:05" or "12.3 s".
  static func time(_ seconds: Double) -> String {
    if seconds < 60 { return fixed(seconds, 1) + " s" }
    let whole = seconds < 1e15 ? Int(seconds) : 0
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let clock = two(whole / 60 % 60) + ":" + two(whole % 60)
    if whole < 3600 { return clock }
    let day = whole / 86400
    return (day > 0 ? "\(day) d " : "") + two(whole / 3600 % 24) + ":" + clock
  }

  /// With so many decimals, without Foundation's formats.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, value.magnitude < 1e15 else { return "-" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int64((value.magnitude * scale).rounded())
    let whole = "\(value < 0 && scaled != 0 ? "-" : "")\(scaled / Int64(scale))"
    guard decimals > 0 else { return whole }
    let fraction = String(scaled % Int64(scale))
    return whole + "." + String(repeating: "0", count: decimals - fraction.count) + fraction
  }
}
