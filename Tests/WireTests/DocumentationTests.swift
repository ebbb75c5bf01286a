import Foundation
import Testing
import Wire

/// The documentation says what the code does, or these fail.
@Suite struct DocumentationTests {
  private static let root = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
  }

  @Test func dropReasonsAreListedWithTheirTexts() throws {
    let operations = try text("docs/operations.md")
    let table = operations.split(separator: "<!-- drop reasons: begin -->\n").last?
      .split(separator: "<!-- drop reasons: end -->").first
    let rows = DropReason.allCases.map { "| `\($0.name)` | \($0.explanation) |\n" }
    let expected = "| Reason | What it means, what to do |\n|---|---|\n" + rows.joined()
    #expect(table.map(String.init) == expected)
  }

  @Test func requirementsCiteFilesAndTestsThatExist() throws {
    let rows = try text("docs/wire-format.md").split(separator: "\n").filter { $0.hasPrefix("| W-") }
    #expect(rows.count > 40)
    for (index, row) in rows.enumerated() {
      let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      try #require(cells.count == 4, "\(row)")
      #expect(cells[0] == "W-\(index + 1)")
      let code = cells[2].trimmingCharacters(in: ["`"])
      #expect(FileManager.default.fileExists(atPath: Self.root.appending(path: "Sources/\(code)").path), "\(code)")
      let test = cells[3].trimmingCharacters(in: ["`"]).split(separator: "/").map(String.init)
      try #require(test.count == 3, "\(row)")
      #expect(try exists(suite: test[1], test: test[2], in: "Tests/\(test[0])"), "\(cells[3])")
    }
  }

  /// Whether a test file of the folder has the suite, or an extension of it, and the function.
  private func exists(suite: String, test: String, in folder: String) throws -> Bool {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: folder).path)
    return try files.filter { $0.hasSuffix(".swift") }.contains { file in
      let source = try text("\(folder)/\(file)")
      return (source.contains("struct \(suite)") || source.contains("extension \(suite)"))
        && source.contains("func \(test)(")
    }
  }

  @Test func pathsInDocumentsExist() throws {
    var documents = ["README.md", "CONTRIBUTING.md"]
    for folder in ["docs", "docs/decisions"] {
      let names = try FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: folder).path)
      documents += names.filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }
    }
    for document in documents {
      for match in try text(document).matches(of: /`((?:Sources|Tests|CShims|config|docs|perf|\.ci)\/[^` *]+)`/) {
        let path = String(match.1)
        #expect(FileManager.default.fileExists(atPath: Self.root.appending(path: path).path), "\(document): \(path)")
      }
    }
  }
}
