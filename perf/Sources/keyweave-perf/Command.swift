import Foundation

/// The command line.
struct Command {
  static let usage = """
    usage: keyweave-perf [--quick] [--no-hugepages] [--json FILE] [--plots FOLDER] [SECTION...]
           keyweave-perf compare OLD.json NEW.json [OLD.json NEW.json...]
           keyweave-perf thresholds
           keyweave-perf loop seal|open OCTETS SECONDS [auto|openSSL|floor [BURST]]

      --quick          fewer sizes and samples: two minutes
      --no-hugepages   as on a machine without them
      --json FILE      writes all figures there as well
      --plots FOLDER   and a plot of each table, with its figures for a Markdown page
      thresholds       counts instructions and writes the counts to \(Thresholds.path)
      loop             nothing but the loop, for a profiler to look at
      SECTION          \(Section.all.map(\.rawValue).joined(separator: ", ")); without any, all of them
    """

  private var isQuick = false
  private var usesHugepages = true
  private var json: String?
  private var sections: [Section] = []
  /// Where a section, run in a process of its own, leaves its figures.
  private var output: String?
  private var loop: [String]?
  private var compared: [String]?
  private var plots: String?
  private var counts = false
  private var plays = false
  private var renewsThresholds = false

  init(_ arguments: some Sequence<String>) throws {
    var words = Array(arguments)
    while !words.isEmpty {
      let word = words.removeFirst()
      func value() throws -> String {
        guard !words.isEmpty else { throw PerfError("\(word) wants a value\n\(Self.usage)") }
        return words.removeFirst()
      }
      switch word {
      case "loop":
        loop = words
        return
      case "compare":
        compared = words
        return
      case "thresholds": renewsThresholds = true
      case "--plots": plots = try value()
      case "--count": counts = true
      case "--sharing": plays = true
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
    if sections.isEmpty { sections = isQuick ? Section.quick : Section.all }
  }

  func run() throws {
    if let loop { return try spin(loop) }
    if let compared { return try Comparison(compared).tables.forEach { say($0.text) } }
    if renewsThresholds { return try renewThresholds() }
    if plays { return try SharingSection.play() }
    if counts { return try InstructionsSection.count() }
    if let output { return try measure(into: output) }
    var all: Run?
    for section in sections {
      var run = try child(section)
      if all == nil { say(run.machine.text + "\n") }
      if section == .goals {
        let others = try (1..<(isQuick ? 1 : Goals.runs)).map { _ in try child(section).tables[0] }
        run.tables = [Goals.table(run.tables + others)]
      }
      run.tables.forEach { say($0.text) }
      all = Run(machine: all?.machine ?? run.machine, tables: (all?.tables ?? []) + run.tables)
    }
    if let plots, let all { try plot(all, into: URL(filePath: plots)) }
    if let json, let all {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(all).write(to: URL(filePath: json))
    }
    try fail(for: all?.tables ?? [])
  }

  /// If something is as it must not be.
  private func fail(for tables: [Table]) throws {
    let faults = tables.flatMap { table in (table.faults ?? []).map { "\(table.id): \($0)" } }
    guard faults.isEmpty else { throw PerfError(faults.joined(separator: "\nkeyweave-perf: ")) }
  }

  /// What a packet takes now is what it may take from now on.
  private func renewThresholds() throws {
    let table = try InstructionsSection(limits: nil).tables()[0]
    say(table.text)
    try fail(for: [table])
    try Thresholds.write(table)
    say("\nwrote \(Thresholds.path): commit it with the reason for the change\n")
  }

  private func plot(_ run: Run, into folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for table in run.tables {
      try SVG.plot(table, machine: run.machine.text)
        .write(to: folder.appending(path: "\(table.id).svg"), atomically: true, encoding: .utf8)
      try table.markdown.write(to: folder.appending(path: "\(table.id).md"), atomically: true, encoding: .utf8)
    }
  }

  private func say(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  private func spin(_ words: [String]) throws {
    guard words.count >= 3, let direction = Direction(rawValue: words[0]), let length = Int(words[1]),
      let seconds = Double(words[2]), let cipher = Cipher(rawValue: words.count > 3 ? words[3] : "auto"),
      let burst = Int(words.count > 4 ? words[4] : "32"), (1...32).contains(burst)
    else { throw PerfError(Self.usage) }
    Environment.usesHugepages = usesHugepages
    let rig = try Rig(Kind(direction) { $0.cipher = cipher })
    let frames = try rig.frames(.fixed(length))
    let end = Date(timeIntervalSinceNow: seconds)
    var results: [Double] = []
    while Date() < end { results.append(try rig.measure(frames, burst: burst, samples: 101).median) }
    say(String(format: "%.1f core cycles per packet\n", results.sorted()[results.count / 2]))
  }

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
