internal import Yams

/// A YAML value with its place, free of the parser's own types: texts are not interpreted, so that an ID or a key that
/// looks like a number (`00112233`, `1e10`, `0x2a`) stays the text that was written.
struct YAMLNode {
  enum Content {
    /// `isPlain`: written without quotes.
    case scalar(String, isPlain: Bool)
    case list([YAMLNode])
    case fields([(name: String, at: Position?, node: YAMLNode)])
  }

  let content: Content

  /// Nothing was meant: `~` or `null`. An empty value is not that, it is most often a slip.
  var isNull: Bool {
    if case .scalar(let text, true) = content { ["~", "null", "Null", "NULL"].contains(text) } else { false }
  }
}

/// Reads one YAML document into a tree and notes every path's position.
///
/// Refused: more than `limit` octets, other than UTF-8, several documents, anchors and aliases (a few lines of them can
/// stand for billions of values), more than 16 levels, fields given twice, fields that are no plain names.
struct YAMLDocument {
  static let deepest = 16
  /// Rounds of `renameDuplicates`; a file with more mappings that repeat a field is reported in part.
  static let mostDuplicates = 64

  private let findings: Findings
  /// Names that stand for the second of two equal fields, already reported.
  private var renamed: Set<String> = []

  /// The document's tree; nil when it could not be read at all (then findings say why).
  static func read(_ octets: UnsafeRawBufferPointer, limit: Int, _ findings: Findings) -> YAMLNode? {
    findings.positions[""] = Position(line: 1, column: 1)
    guard octets.count <= limit else {
      findings.mistake(
        "", found: "more octets than that", expected: "at most \(limit) octets",
        fix: "split the file or remove what is unused")
      return nil
    }
    guard let text = String(validating: octets, as: UTF8.self) else {
      findings.mistake("", found: "octets that are not UTF-8", expected: "UTF-8 text", fix: "save the file as UTF-8")
      return nil
    }
    var document = YAMLDocument(findings: findings)
    return document.read(text)
  }

  private init(findings: Findings) { self.findings = findings }

  private mutating func read(_ original: String) -> YAMLNode? {
    guard !reportReferences(original) else { return nil }
    var text = original
    for round in 0...Self.mostDuplicates {
      do {
        let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
        guard let root = try parser.singleRoot() else { break }
        // The parser owns the anchors, the nodes only point at them.
        return withExtendedLifetime(parser) { convert(root, path: "", depth: 0) }
      } catch YamlError.duplicatedKeysInMapping(let names, let context) {
        guard let next = renameDuplicate(names, context.mark, round, in: text) else { return nil }
        text = next
      } catch {
        report(error)
        return nil
      }
    }
    if findings.mistakes.isEmpty {
      findings.mistake("", found: "no content", expected: "fields", fix: "start from one of the examples in config/")
    }
    return nil
  }

  /// The parser stops at a field given twice. To find the other mistakes too, the field at the mark is renamed to
  /// as many private-use characters, which keeps every position, and the text is read again.
  private mutating func renameDuplicate(_ names: [String], _ mark: Mark, _ round: Int, in text: String) -> String? {
    let name = names.first ?? ""
    findings.mistake(
      "", at: Position(line: mark.line, column: mark.column), found: "the field \(findings.quote(name)) twice",
      expected: "each field once",
      fix: "keep one of them")
    guard round < Self.mostDuplicates, let stand = Unicode.Scalar(0xE000 + round) else { return nil }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.indices.contains(mark.line - 1) else { return nil }
    var scalars = Array(lines[mark.line - 1].unicodeScalars)
    var start = mark.column - 1
    if scalars.indices.contains(start), scalars[start] == "\"" || scalars[start] == "'" { start += 1 }
    let old = Array(name.unicodeScalars)
    guard !old.isEmpty, start >= 0, start + old.count <= scalars.count,
      Array(scalars[start..<start + old.count]) == old
    else { return nil }
    scalars.replaceSubrange(start..<start + old.count, with: Array(repeating: stand, count: old.count))
    lines[mark.line - 1] = String(String.UnicodeScalarView(scalars))
    renamed.insert(String(String.UnicodeScalarView(Array(repeating: stand, count: old.count))))
    return lines.joined(separator: "\n")
  }

  private func report(_ error: any Error) {
    // Only the parser's own sentence and the place: its error also carries the file's text, which may hold keys.
    let (problem, mark): (String, Mark?) =
      switch error {
      case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
        YamlError.composer(_, let problem, let mark, _):
        (problem, mark)
      case YamlError.reader(let problem, _, _, _): (problem, nil)
      default: ("text that the YAML parser refuses", nil)
      }
    findings.positions[""] = mark.map { Position(line: $0.line, column: $0.column) } ?? Position(line: 1, column: 1)
    findings.mistake(
      "", found: "broken YAML (\(problem))", expected: "one YAML document",
      fix: "look at the indentation, colons, brackets and quotes here and just above")
  }
}

extension YAMLDocument {
  /// Looks for anchors and aliases before the parser resolves them, since it compares whole expanded values.
  /// Line by line with the line's own quotes: what a quoted text over several lines could hide, `convert` finds.
  private func reportReferences(_ text: String) -> Bool {
    var found = false
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      guard let column = Self.reference(in: Array(line.unicodeScalars)) else { continue }
      found = true
      reportReference("", at: Position(line: index + 1, column: column))
    }
    return found
  }

  private func reportReference(_ path: String, at place: Position? = nil) {
    findings.mistake(
      path, at: place, found: "a YAML anchor or alias (& or *)", expected: "plain values",
      fix: "write the value out, or quote the text")
  }

  /// The column, from 1, of the first `&name` or `*name` of a line that stands where a value may begin.
  private static func reference(in line: [Unicode.Scalar]) -> Int? {
    var quote: Unicode.Scalar?
    for (index, scalar) in line.enumerated() {
      let previous = index == 0 ? " " : line[index - 1]
      let begins = " \t[{,:-?".unicodeScalars.contains(previous)
      if let closing = quote {
        if scalar == closing && !(closing == "\"" && previous == "\\") { quote = nil }
      } else if scalar == "#" && (previous == " " || previous == "\t") {
        return nil
      } else if begins && (scalar == "\"" || scalar == "'") {
        quote = scalar
      } else if begins && (scalar == "&" || scalar == "*") && index + 1 < line.count
        && !" \t".unicodeScalars.contains(line[index + 1])
      {
        return index + 1
      }
    }
    return nil
  }

  private func convert(_ node: Node, path: String, depth: Int) -> YAMLNode? {
    if let mark = node.mark, findings.positions[path] == nil || node.scalar != nil || path.isEmpty {
      findings.positions[path] = Position(line: mark.line, column: mark.column)
    }
    guard node.anchor == nil, node.alias == nil else {
      reportReference(path)
      return nil
    }
    guard depth < Self.deepest else {
      findings.mistake(
        path, found: "more than \(Self.deepest) levels", expected: "fewer", fix: "compare with the examples in config/")
      return nil
    }
    switch node {
    case .scalar(let scalar):
      return YAMLNode(content: .scalar(scalar.string, isPlain: scalar.style == .plain))
    case .sequence(let nodes):
      var list: [YAMLNode] = []
      for (index, node) in nodes.enumerated() {
        if let node = convert(node, path: "\(path)[\(index)]", depth: depth + 1) { list.append(node) }
      }
      return list.count == nodes.count ? YAMLNode(content: .list(list)) : nil
    case .mapping(let pairs):
      return convert(pairs, path: path, depth: depth)
    case .alias:
      return nil
    }
  }

  private func convert(_ pairs: Node.Mapping, path: String, depth: Int) -> YAMLNode {
    var fields: [(name: String, at: Position?, node: YAMLNode)] = []
    for (key, value) in pairs {
      guard let name = key.scalar, key.anchor == nil else {
        findings.mistake(
          path, found: "a field whose name is not a plain text", expected: "name: value", fix: "write a plain name")
        continue
      }
      guard !renamed.contains(name.string) else { continue }
      let component = findings.component(name.string)
      let path = path.isEmpty ? component : "\(path).\(component)"
      let place = name.mark.map { Position(line: $0.line, column: $0.column) }
      findings.positions[path] = place
      if let node = convert(value, path: path, depth: depth + 1) { fields.append((name.string, place, node)) }
    }
    return YAMLNode(content: .fields(fields))
  }
}
