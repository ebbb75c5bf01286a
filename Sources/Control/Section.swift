/// The names a mapping may have, one enumeration per kind of mapping: the same list as in the JSON Schema.
package protocol SectionField: RawRepresentable<String>, CaseIterable, Hashable, Sendable {}

/// A mapping that is being read. Every reading function reports what is wrong and goes on; the caller builds its value
/// at the end from what is there.
struct Section<Field: SectionField> {
  let path: String
  let findings: Findings
  private var fields: [Field: YAMLNode] = [:]

  /// Nil when the node is no mapping. Fields that are not in `Field` are reported here, with the nearest name that is.
  init?(_ node: YAMLNode, at path: String, _ findings: Findings) {
    self.path = path
    self.findings = findings
    guard case .fields(let entries) = node.content else {
      findings.mistake(
        path, found: Self.describe(node, findings), expected: "fields (\(Self.names))",
        fix: "write them as `name: value`, one per line")
      return nil
    }
    for (name, place, node) in entries {
      if let field = Field(rawValue: name) {
        if !node.isNull { fields[field] = node }
      } else {
        let component = findings.component(name)
        let nearest = Self.nearest(to: name)
        findings.mistake(
          path.isEmpty ? component : "\(path).\(component)", at: place,
          found: "the unknown field \(findings.quote(name))", expected: "one of \(Self.names)",
          fix: nearest.map { "did you mean `\($0)`?" } ?? "remove it")
      }
    }
  }

  func path(_ field: Field) -> String { path.isEmpty ? field.rawValue : "\(path).\(field.rawValue)" }

  func has(_ field: Field) -> Bool { fields[field] != nil }

  /// The field's text as written, right or not, without reporting anything.
  func peek(_ field: Field) -> String? {
    if case .scalar(let text, _)? = fields[field]?.content { text } else { nil }
  }

  /// Items of a list, right or not; 0 when it is missing or no list.
  func count(_ field: Field) -> Int {
    if case .list(let list)? = fields[field]?.content { list.count } else { 0 }
  }

  /// The field's value, or nil when it is missing or wrong.
  func value<Value>(_ field: Field, _ kind: Kind<Value>) -> Value? {
    fields[field].flatMap { read($0, at: path(field), field.rawValue, kind) }
  }

  func value<Value>(_ field: Field, _ kind: Kind<Value>, default fallback: Value) -> Value {
    value(field, kind) ?? fallback
  }

  func required<Value>(_ field: Field, _ kind: Kind<Value>) -> Value? {
    guard has(field) else {
      missing(field, expected: kind.expected, fix: "add `\(field.rawValue): \(kind.example)`")
      return nil
    }
    return value(field, kind)
  }

  /// A list of texts, empty when the field is missing; items that are wrong are left out.
  func list<Value>(_ field: Field, _ kind: Kind<Value>) -> [Placed<Value>] {
    items(field).compactMap { item in
      read(item.value, at: item.path, field.rawValue, kind, isItem: true).map { Placed(path: item.path, value: $0) }
    }
  }

  func section<Inner: SectionField>(_ field: Field, _: Inner.Type) -> Section<Inner>? {
    fields[field].flatMap { Section<Inner>($0, at: path(field), findings) }
  }

  /// A list of mappings, empty when the field is missing.
  func sections<Inner: SectionField>(_ field: Field, _: Inner.Type) -> [Section<Inner>] {
    items(field).compactMap { Section<Inner>($0.value, at: $0.path, findings) }
  }

  func missing(_ field: Field, expected: String, fix: String) {
    findings.mistake(path(field), found: "nothing", expected: expected, fix: fix)
  }

  /// Reports fields that are right by themselves but have no meaning beside the others.
  func refuse(_ refused: [Field], because reason: String) {
    for field in refused where has(field) {
      findings.mistake(path(field), found: "`\(field.rawValue)`", expected: "no such field \(reason)", fix: "remove it")
    }
  }

  private func items(_ field: Field) -> [Placed<YAMLNode>] {
    guard let node = fields[field] else { return [] }
    guard case .list(let list) = node.content else {
      findings.mistake(
        path(field), found: Self.describe(node, findings), expected: "a list",
        fix: "write `\(field.rawValue): [...]`, or one item per line after `- `")
      return []
    }
    return list.enumerated().map { Placed(path: "\(path(field))[\($0.offset)]", value: $0.element) }
  }

  private func read<Value>(
    _ node: YAMLNode, at path: String, _ name: String, _ kind: Kind<Value>, isItem: Bool = false
  ) -> Value? {
    guard case .scalar(let text, _) = node.content, !text.isEmpty else {
      findings.mistake(
        path, found: Self.describe(node, findings), expected: kind.expected,
        fix: "write `\(isItem ? "- " : name + ": ")\(kind.example)`, for example")
      return nil
    }
    do {
      return try kind.read(text)
    } catch {
      findings.mistake(
        path, found: kind.isSecret ? "a text of \(text.unicodeScalars.count) characters" : findings.quote(text),
        expected: kind.expected,
        fix: error.text ?? "write `\(isItem ? "- " : name + ": ")\(kind.example)`, for example")
      return nil
    }
  }

  private static var names: String { Field.allCases.map(\.rawValue).joined(separator: ", ") }

  private static func describe(_ node: YAMLNode, _ findings: Findings) -> String {
    switch node.content {
    case .scalar("", _): "nothing"
    case .scalar(let text, _): findings.quote(text)
    case .list(let list): "a list of \(list.count)"
    case .fields(let fields): "a mapping of \(fields.count) fields"
    }
  }

  /// The known name that takes the fewest changes of one letter, when those are at most a third of it.
  private static func nearest(to name: String) -> String? {
    let nearest = Field.allCases.map { (changes: changes(name, $0.rawValue), name: $0.rawValue) }
      .min { $0.changes < $1.changes }
    guard let nearest, nearest.changes <= max(1, nearest.name.count / 3) else { return nil }
    return nearest.name
  }

  private static func changes(_ left: String, _ right: String) -> Int {
    let right = Array(right.utf8)
    var row = Array(0...right.count)
    for (line, octet) in left.utf8.prefix(64).enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for column in right.indices {
        let change = diagonal + (octet == right[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(change, diagonal + 1, row[column] + 1)
      }
    }
    return row[right.count]
  }
}

/// A value and where in the file it stands.
struct Placed<Value> {
  let path: String
  var value: Value
}
