/// A packet's fields, one per line: offset, octets, name, meaning.
struct FieldTable {
  private var lines: [String] = []
  /// Octets of hexadecimal text before the name; longer values go on in the next line.
  private static let width = 32

  var text: String { lines.joined(separator: "\n") }

  mutating func add(_ line: String) { lines.append(line) }

  /// - Parameter octets: the field's hexadecimal digits, a single one for four bits.
  mutating func add(_ offset: Int, _ octets: String, _ name: String, _ meaning: String) {
    var rest = octets[...]
    let first = rest.prefix(Self.width)
    rest = rest.dropFirst(Self.width)
    lines.append("\(place(offset))  \(padded(first, Self.width))  \(padded(name[...], 14)) \(meaning)")
    while !rest.isEmpty {
      lines.append("        \(rest.prefix(Self.width))")
      rest = rest.dropFirst(Self.width)
    }
  }

  /// The first octets of `octets` as a dump with their ASCII characters.
  mutating func dump(_ octets: ArraySlice<UInt8>, limit: Int) {
    for start in stride(from: 0, to: min(octets.count, limit), by: 16) {
      let row = octets.dropFirst(start).prefix(min(16, limit - start))
      let digits = row.map { hex($0) }.joined(separator: " ")
      let characters = row.map { (0x20...0x7E).contains($0) ? String(UnicodeScalar($0)) : "." }.joined()
      lines.append("\(place(start))  \(padded(digits[...], 49)) \(characters)")
    }
    if octets.count > limit { lines.append("        and \(octets.count - limit) more octets") }
  }

  private func place(_ offset: Int) -> String {
    String(repeating: " ", count: max(0, 6 - String(offset).count)) + String(offset)
  }

  private func padded(_ text: Substring, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
