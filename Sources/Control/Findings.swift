/// One thing that is wrong in a file: where, what was found, what was expected, and what to do.
package struct Mistake: Error, Equatable, Sendable, Encodable, CustomStringConvertible {
  package let file: String
  /// Where in the tree: `ports[1].mtu`; empty for the file as a whole.
  package let path: String
  /// Where in the text, both from 1; 0 when the mistake is not in the text (a missing file, its mode).
  package let line: Int
  package let column: Int
  package let found: String
  package let expected: String
  package let fix: String

  package var description: String {
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    return "\(place): \(path.isEmpty ? "" : path + ": ")found \(found), expected \(expected); \(fix)"
  }
}

/// Something that works and that an operator should know before it runs.
package struct Warning: Equatable, Sendable, Encodable, CustomStringConvertible {
  package let file: String
  package let path: String
  package let line: Int
  package let column: Int
  package let text: String

  package var description: String {
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    return "\(place): \(path.isEmpty ? "" : path + ": ")\(text)"
  }
}

/// Every mistake of a file, in the order of its lines: nothing of the file was used.
package struct Mistakes: Error, Equatable, Sendable, CustomStringConvertible {
  package let all: [Mistake]
  package let warnings: [Warning]

  package var description: String { all.map(\.description).joined(separator: "\n") }
}

/// A place in a YAML text, both numbers from 1.
struct Position: Equatable, Sendable {
  var line: Int
  var column: Int
}

/// Collects what is wrong with one file while it is read, so that the operator sees all of it at once.
final class Findings {
  let file: String
  /// A keys file: no text that could be a piece of a key is ever repeated.
  let isSecret: Bool
  /// Where each path stands; a path that is missing in the file is reported at its nearest parent.
  var positions: [String: Position] = [:]
  private(set) var mistakes: [Mistake] = []
  private(set) var warnings: [Warning] = []

  init(file: String, isSecret: Bool = false) {
    self.file = file
    self.isSecret = isSecret
  }

  func mistake(_ path: String, at place: Position? = nil, found: String, expected: String, fix: String) {
    let position = place ?? position(of: path)
    mistakes.append(
      Mistake(
        file: file, path: path, line: position.line, column: position.column, found: found, expected: expected, fix: fix
      ))
  }

  func warning(_ path: String, _ text: String) {
    let position = position(of: path)
    warnings.append(Warning(file: file, path: path, line: position.line, column: position.column, text: text))
  }

  /// Throws when anything is wrong. Call it once, after everything has been looked at.
  func throwMistakes() throws(Mistakes) {
    guard mistakes.isEmpty else {
      throw Mistakes(all: mistakes.sorted { ($0.line, $0.column) < ($1.line, $1.column) }, warnings: warnings)
    }
  }

  /// How a text that was found is shown: a keys file's longer texts only by their length.
  func quote(_ text: String) -> String {
    if isSecret && text.unicodeScalars.count > 20 { return "a text of \(text.unicodeScalars.count) characters" }
    let shown = text.unicodeScalars.prefix(80).map { $0.properties.isWhitespace || $0.value < 32 ? " " : String($0) }
    return "\"\(shown.joined())\""
  }

  /// A field's name within a path; in a keys file a long one may be a key in the wrong place.
  func component(_ name: String) -> String { isSecret && name.utf8.count > 20 ? "?" : name }

  private func position(of path: String) -> Position {
    var path = path[...]
    while true {
      if let position = positions[String(path)] { return position }
      guard let end = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
      path = path[..<end]
    }
    return positions[""] ?? Position(line: 0, column: 0)
  }
}
