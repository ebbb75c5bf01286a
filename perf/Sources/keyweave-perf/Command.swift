import Foundation

/// The command line.
struct Command {
  static let usage = """
    usage: keyweave-perf [--quick] [--no-hugepages] [--json FILE] [SECTION...]

      --quick          fewer sizes and samples: under two minutes
      --no-hugepages   as on a machine without them
      --json FILE      writes all figures there as well
      SECTION          \(Section.allCases.map(\.rawValue).joined(separator: ", ")); without any, all of them
    """

  private var isQuick = false
  private var usesHugepages = true
  private var json: String?
  private var sections: [Section] = []
  /// Where a section, run in a process of its own, leaves its figures.
  private var output: String?

  init(_ arguments: some Sequence<String>) throws {
    var words = Array(arguments)
    while !words.isEmpty {
      let word = words.removeFirst()
      func value() throws -> String {
        guard !words.isEmpty else { throw PerfError("\(word) wants a value\n\(Self.usage)") }
        return words.removeFirst()
      }
      switch word {
      case "--quick": isQuick = true
      case "--no-hugepages": usesHugepages = false
      case "--json": json = try value()
      case "--output": output = try value()
      case "--help", "-h":
        print(Self.usage)
        exit(0)
      default:
        guard let section = Section(rawValue: word) else { throw PerfError("what is \(word)?\n\(Self.usage)") }
        sections.append(section)
      }
    }
    if sections.isEmpty { sections = Section.allCases }
  }

  func run() throws {
    if let output { return try measure(into: output) }
    var all: Run?
    for section in sections {
      let run = try child(section)
      if all == nil { say(run.machine.text + "\n") }
      run.tables.forEach { say($0.text) }
      all = Run(machine: all?.machine ?? run.machine, tables: (all?.tables ?? []) + run.tables)
    }
    if let json, let all {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(all).write(to: URL(filePath: json))
    }
  }

  private func say(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  /// In the child.
  private func measure(into path: String) throws {
    Environment.usesHugepages = usesHugepages
    try Environment.start()
    let tables = try sections.flatMap { try $0.run(Section.Effort(isQuick: isQuick)) }
    try JSONEncoder().encode(Run(machine: Machine(), tables: tables)).write(to: URL(filePath: path))
  }

  /// One section in a process of its own.
  private func child(_ section: Section) throws -> Run {
    let file = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments =
      [section.rawValue, "--output", file.path(percentEncoded: false)] + (isQuick ? ["--quick"] : [])
      + (usesHugepages ? [] : ["--no-hugepages"])
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw PerfError("section \(section.rawValue) failed (above)") }
    return try JSONDecoder().decode(Run.self, from: Data(contentsOf: file))
  }
}
