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

  /// Each case with its verdict written down, not computed.
  @Test func edges() throws {
    try Program.withTemporaryDirectory { directory in
      try script("edges.py", directory.path)
      let stem = directory.appending(path: "edges")
      try compare(
        stem.appendingPathExtension("pcap"), keys: directory.appending(path: "keys.yaml"),
        expected: stem.appendingPathExtension("json"))
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

  /// What is damaged inside of a capture ends the reading there, whatever it claims.
  @Test(
    arguments: [
      // Interface 9 in the first packet block, a captured length of 4 GiB, a block length of 13 and of 4 GiB, two that differ.
      (232, [9, 0, 0, 0]), (244, [0xFF, 0xFF, 0xFF, 0xFF]), (228, [13, 0, 0, 0]), (228, [0xFF, 0xFF, 0xFF, 0xFF]),
      (24, [32, 0, 0, 0]),
    ] as [(Int, [UInt8])]) func damagedFiles(offset: Int, octets: [UInt8]) throws
  {
    try Program.withTemporaryDirectory { directory in
      try script("packets.py", directory.path, "--packets", "120")
      let capture = directory.appending(path: "pcapng-little-ethernet.pcapng")
      var damaged = try Data(contentsOf: capture)
      damaged.replaceSubrange(offset..<offset + octets.count, with: octets)
      try damaged.write(to: capture)
      let result = try inspect(capture, keys: directory.appending(path: "keys.yaml"))
      #expect(result.status == 2)
      #expect(result.output.isEmpty)
      #expect(result.errors.contains("nothing can be read after packet 0"), "\(result.errors)")
    }
  }

  @Test func whatCannotBeReadIsSaid() throws {
    try Program.withTemporaryDirectory { directory in
      try script("edges.py", directory.path)
      let keys = directory.appending(path: "keys.yaml")
      let capture = directory.appending(path: "edges.pcap")
      let text = directory.appending(path: "text")
      try Data("This is not a capture.".utf8).write(to: text)
      func expect(_ status: Int32, _ sentence: String, _ arguments: String...) throws {
        let result = try Program.run(Program.keyweave, ["inspect"] + arguments)
        #expect(result.status == status, "\(arguments)")
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(result.output.isEmpty)
      }
      try expect(1, "not a capture", "--keys", keys.path, "--in", text.path)
      try expect(1, "No such file", "--keys", keys.path, "--in", directory.path + "/none")
      try expect(1, "Is a directory", "--keys", keys.path, "--in", directory.path)
      try expect(1, "none", "--keys", directory.path + "/none", "--in", capture.path)
      try expect(1, "the capture has 52 packets", "--keys", keys.path, "--in", capture.path, "--packet", "53")
      try expect(64, "--packet 0", "--keys", keys.path, "--in", capture.path, "--packet", "0")
      try expect(64, "--keys", "--in", capture.path)
      try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: keys.path)
      try expect(1, "chmod 600", "--keys", keys.path, "--in", capture.path)
    }
  }

  @Test func forPeople() throws {
    try Program.withTemporaryDirectory { directory in
      try script("edges.py", directory.path)
      let common = ["inspect", "--keys", directory.path + "/keys.yaml", "--in", directory.path + "/edges.pcap"]
      let summary = try Program.run(Program.keyweave, common)
      #expect(summary.status == 0)
      #expect(summary.lines.first?.contains("device 0000002a") == true)
      #expect(summary.output.contains("52 packets: 14 opened, 20 dropped, 18 other"), "\(summary.output)")
      let opened = try Program.run(Program.keyweave, common + ["--packet", "1"])
      for field in ["Version", "HL", "COffset", "ID", "Root Key ID", "Epoch", "Counter", "UDP 50000 > 4500", "ping"] {
        #expect(opened.output.contains(field), "\(field)")
      }
      // Whoever explains a packet that does not authenticate must not print what decryption made of it.
      let number = try Program.run(Program.keyweave, common + ["--json"]).lines
        .firstIndex { $0.contains("authentication") }
      let dropped = try Program.run(Program.keyweave, common + ["--packet", "\((number ?? -1) + 1)"])
      #expect(dropped.output.contains("verdict: drop, authentication"))
      #expect(!dropped.output.contains("ping"))
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
