internal import Foundation

/// The outcome of `keyweave check`, for people (`description`) and for programs (`json`).
package struct CheckReport: Encodable, Sendable, CustomStringConvertible {
  package let file: String
  package let ok: Bool
  package let mistakes: [Mistake]
  package let warnings: [Warning]
  /// Only when there is no mistake.
  package let summary: ConfigurationFile.Summary?

  package init(path: String) {
    file = path
    do throws(Mistakes) {
      let loaded = try ConfigurationFile.load(path)
      ok = true
      mistakes = []
      warnings = loaded.warnings
      summary = loaded.summary
    } catch {
      ok = false
      mistakes = error.all
      warnings = error.warnings
      summary = nil
    }
  }

  package var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{\"ok\":false}"
  }

  package var description: String {
    var lines: [String] = []
    for mistake in mistakes {
      lines.append(place(mistake.file, mistake.line, mistake.column, mistake.path))
      lines += ["  found:    \(mistake.found)", "  expected: \(mistake.expected)", "  fix:      \(mistake.fix)"]
    }
    for warning in warnings {
      lines.append(place(warning.file, warning.line, warning.column, warning.path))
      lines.append("  warning:  \(warning.text)")
    }
    if let summary {
      lines += [summary.description, "\(file): no mistakes"]
    } else {
      lines.append("\(file): \(mistakes.count) mistake\(mistakes.count == 1 ? "" : "s"), nothing was changed")
    }
    return lines.joined(separator: "\n")
  }

  private func place(_ file: String, _ line: Int, _ column: Int, _ path: String) -> String {
    "\(file)\(line > 0 ? ":\(line):\(column)" : "")\(path.isEmpty ? "" : ": \(path)")"
  }
}
