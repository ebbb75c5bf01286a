import CPerf
import DataPlane
import Foundation

/// Instructions per packet, by valgrind's callgrind: the figure that depends on no machine. Valgrind knows no AVX-512, so the
/// libraries take their AVX2 paths; what is counted is the loop and everything below it, for a fixed sequence of packets.
struct InstructionsSection {
  private struct Case {
    let name: String
    let kind: Kind
    let size: Int
  }

  private static let cases: [Case] =
    Direction.allCases.flatMap { direction in
      [64, 1420].map { Case(name: "\(direction.rawValue) \($0)", kind: Kind(direction), size: $0) } + [
        Case(name: "\(direction.rawValue) 64, IPv6", kind: Kind(direction) { $0.family = .ipv6 }, size: 64),
        Case(name: "\(direction.rawValue) 64, transport", kind: Kind(direction) { $0.mode = .transport }, size: 64),
        Case(name: "\(direction.rawValue) 64, no cipher", kind: Kind(direction) { $0.cipher = .floor }, size: 64),
      ]
    }.filter { Cipher.hasFloor || $0.kind.cipher != .floor }
  private static let bursts = 10
  private static let repeats = 5

  /// In the process that valgrind runs: counts of a few bursts each, into files that it names.
  static func count() throws {
    Environment.usesHugepages = false
    for item in cases {
      let rig = try Rig(item.kind)
      rig.feed(try rig.frames(.fixed(item.size)), isTimed: false)
      for _ in 0..<20 { rig.gateway.step(lcore: 0) }
      for _ in 0..<repeats {
        perf_count_begin()
        for _ in 0..<bursts { rig.gateway.step(lcore: 0) }
        perf_count_end(item.name)
      }
    }
  }

  func tables() throws -> [Table] {
    var table = Table(
      id: "instructions", title: "Instructions", unit: "instructions per packet, by callgrind", axis: "",
      columns: ["instructions", "threshold"])
    let limits = Thresholds.apply ? try Thresholds() : nil
    let counts = try Self.measure()
    for item in Self.cases {
      guard let count = counts[item.name] else { throw PerfError("valgrind counted nothing for \(item.name)") }
      table.rows.append(Table.Row(name: item.name, cells: [Cell(count), limits?[item.name].map { Cell($0) }]))
    }
    table.notes.append("Valgrind has no AVX-512: the ciphers run their AVX2 code here.")
    if !Thresholds.apply {
      table.notes.append("\(Thresholds.path) is for the build with IPsec-MB: nothing is held against it here.")
    }
    return [table]
  }

  private static func measure() throws -> [String: Double] {
    guard perf_can_count() else {
      throw PerfError(
        "this program was built without <valgrind/callgrind.h>, which counting needs: run `make test-deps`, "
          + "`touch perf/CPerf/CPerf.c` and what you ran again")
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // Valgrind cannot read Swift's debug information, and gives up on a program that has some.
    let program = folder.appending(path: "keyweave-perf").path(percentEncoded: false)
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().path(percentEncoded: false)
    try run(["strip", "--strip-debug", "-o", program, own])
    let output = folder.appending(path: "out").path(percentEncoded: false)
    try run(
      [
        "valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", "--callgrind-out-file=\(output)", program,
        "--count",
      ])
    var counts: [String: [Double]] = [:]
    let trigger = "desc: Trigger: Client Request: "
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false)) {
      guard name.hasPrefix("out.") else { continue }
      let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
      let lines = text.split(separator: "\n")
      guard let reason = lines.first(where: { $0.hasPrefix(trigger) }),
        let total = lines.first(where: { $0.hasPrefix("totals: ") || $0.hasPrefix("summary: ") })?.split(separator: " ")
          .last
          .flatMap({ Double($0) })
      else { continue }
      counts[String(reason.dropFirst(trigger.count)), default: []].append(total)
    }
    return counts.mapValues { values in values.sorted()[values.count / 2] / Double(bursts * 32) }
  }

  private static func run(_ words: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = words
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw PerfError(
        "\(words[0]) ended with status \(process.terminationStatus) (its words are above); if it is missing, "
          + "`make test-deps` installs it")
    }
  }
}
