import Foundation
import Support
import Testing

/// `keyweave inspect --json` against the published vectors and against an independent implementation (Tests/Interop).
@Suite struct InspectTests {
  static let vectors = Program.repository.appending(path: "Tests/Vectors/eesp-stateless.json").path

  @Test func theReferenceAgreesWithTheVectors() throws {
    #expect(try script("vectors.py", "check", Self.vectors).output == "223 vectors agree\n")
  }

  @Test func everyVector() throws {
    try Program.withTemporaryDirectory { directory in
      try script("vectors.py", "write", Self.vectors, directory.path)
      let names = try files(in: directory, ending: "yaml").map { $0.deletingPathExtension() }
      #expect(names.count == 30)
      for name in names {
        try compare(
          name.appendingPathExtension("pcap"), keys: name.appendingPathExtension("yaml"),
          expected: name.appendingPathExtension("json"), "--any-epoch")
      }
    }
  }

  /// Every option count, variant, offset, form and mistake, random damage, both byte orders, Ethernet and raw.
  @Test(arguments: [1, 2, 3]) func generatedPackets(seed: Int) throws {
    try Program.withTemporaryDirectory { directory in
      try script("packets.py", directory.path, "--seed", "\(seed)")
      let keys = directory.appending(path: "keys.yaml")
      let captures = try files(in: directory, ending: "pcap", "pcapng")
      #expect(captures.count == 13)
      for capture in captures {
        let stem = capture.deletingPathExtension()
        try compare(capture, keys: keys, expected: stem.appendingPathExtension("json"))
        try compare(capture, keys: keys, expected: stem.appendingPathExtension("any.json"), "--any-epoch")
      }
    }
  }

  @Test func capturesThatScapyBuilt() throws {
    try Program.withTemporaryDirectory { directory in
      try script("foreign.py", Self.vectors, directory.path)
      let captures = try files(in: directory, ending: "pcap", "pcapng")
      #expect(captures.count == 10)
      for capture in captures {
        let stem = capture.deletingPathExtension()
        try compare(
          capture, keys: stem.appendingPathExtension("yaml"), expected: stem.appendingPathExtension("json"),
          "--any-epoch")
      }
    }
  }

  @Test(arguments: ["pcap", "nsecpcap", "pcapng", "modpcap"]) func capturesThatWiresharkWrote(format: String) throws {
    try Program.withTemporaryDirectory { directory in
      try script("packets.py", directory.path, "--seed", "4")
      for link in ["ethernet", "raw"] {
        let stem = directory.appending(path: "pcap-nano-big-\(link)")
        let converted = directory.appending(path: "converted-\(link)")
        let result = try Program.run(
          "editcap", ["-F", format, stem.appendingPathExtension("pcap").path, converted.path])
        #expect(result.status == 0, "\(result.errors)")
        try compare(
          converted, keys: directory.appending(path: "keys.yaml"), expected: stem.appendingPathExtension("json"))
      }
    }
  }

  @Test func standardInput() throws {
    try Program.withTemporaryDirectory { directory in
      try script("packets.py", directory.path, "--packets", "120")
      let stem = directory.appending(path: "pcap-little-ethernet")
      let result = try Program.run(
        Program.keyweave, ["inspect", "--keys", directory.appending(path: "keys.yaml").path, "--in", "-", "--json"],
        input: stem.appendingPathExtension("pcap"))
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output == (try String(contentsOf: stem.appendingPathExtension("json"), encoding: .utf8)))
    }
  }

  /// A file that ends anywhere: what lies before is printed, and the exit code tells whether it ends between two packets.
  @Test(arguments: ["pcap", "pcapng"]) func cutFiles(form: String) throws {
    try Program.withTemporaryDirectory { directory in
      try script("packets.py", directory.path, "--packets", "120")
      let stem = directory.appending(path: "\(form)-little-ethernet")
      let whole = try Data(contentsOf: stem.appendingPathExtension(form))
      let expected = try String(contentsOf: stem.appendingPathExtension("json"), encoding: .utf8)
      let cut = directory.appending(path: "cut")
      var statuses: Set<Int32> = []
      for length in [0, 3, 4, 23, 24, 25] + Array(stride(from: 40, to: whole.count, by: 97)) {
        try whole.prefix(length).write(to: cut)
        let result = try inspect(cut, keys: directory.appending(path: "keys.yaml"))
        statuses.insert(result.status)
        #expect(result.status == 0 || result.status == 2, "\(length) octets: \(result.errors)")
        #expect(expected.hasPrefix(result.output), "\(length) octets")
        #expect(result.errors.isEmpty == (result.status == 0))
      }
      #expect(statuses.contains(2))
      try (whole + [0]).write(to: cut)
      let result = try inspect(cut, keys: directory.appending(path: "keys.yaml"))
      #expect(result.status == 2)
      #expect(result.output == expected)
    }
  }

  // What the tests share

  @discardableResult
  private func script(_ name: String, _ arguments: String...) throws -> ProgramResult {
    let path = Program.repository.appending(path: "Tests/Interop/\(name)").path
    let result = try Program.run(Program.python, ["-B", path] + arguments, timeout: .seconds(120))
    #expect(result.status == 0, "\(name): \(result.errors)")
    return result
  }

  private func files(in directory: URL, ending: String...) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
      .filter { ending.contains($0.pathExtension) }
      .sorted { $0.path < $1.path }
  }

  private func inspect(_ capture: URL, keys: URL, _ options: String...) throws -> ProgramResult {
    try Program.run(
      Program.keyweave, ["inspect", "--keys", keys.path, "--in", capture.path, "--json"] + options)
  }

  private func compare(_ capture: URL, keys: URL, expected: URL, _ options: String...) throws {
    let result = try Program.run(
      Program.keyweave, ["inspect", "--keys", keys.path, "--in", capture.path, "--json"] + options)
    #expect(result.status == 0, "\(capture.lastPathComponent): \(result.errors)")
    let wanted = try String(contentsOf: expected, encoding: .utf8).split(separator: "\n")
    #expect(result.lines.count == wanted.count, "\(capture.lastPathComponent)")
    for (found, wanted) in zip(result.lines, wanted) where found != wanted {
      Issue.record("\(capture.lastPathComponent): found \(found), expected \(wanted)")
    }
  }
}
