import CPerf
import DataPlane
import Foundation

/// Instructions per packet, by valgrind's callgrind: the figure that depends on no machine. Valgrind knows no AVX-512, so the
/// libraries take their AVX2 paths; what is counted is the loop and everything below it, for a fixed sequence of packets.
struct InstructionsSection {
  /// What counts are held against.
  let limits: Thresholds?

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
  /// One burst, over and over, and so as many flows: so few hardly ever meet in one place of a table whose hash is keyed at
  /// random, and then the count does not depend on the key.
  private static let burst = 32
  private static let warmUp = 20
  private static let rounds = 10
  private static let repeats = 5
  /// What lcores do ten times a second, whatever comes: under callgrind that is in every third round or in none.
  private static let timed = "housekeep"

  /// In the process that valgrind runs: counts of a few bursts each, into files that it names.
  static func count() throws {
    Environment.usesHugepages = false
    Environment.isCounted = true
    for item in cases {
      let rig = try Rig(item.kind)
      rig.feed(try rig.frames(.fixed(item.size), first: burst), isTimed: false)
      for _ in 0..<warmUp { rig.gateway.step(lcore: 0) }
      // Nothing but rounds between begin and end: making a C string of the name would allocate.
      item.name.withCString { name in
        for _ in 0..<repeats {
          perf_count_begin()
          for _ in 0..<rounds { rig.gateway.step(lcore: 0) }
          perf_count_end(name)
        }
      }
    }
  }

  func tables() throws -> [Table] {
    var table = Table(
      id: "instructions", title: "Instructions", unit: "instructions per packet, by callgrind", axis: "",
      columns: ["instructions", "threshold"])
    let counts = try Self.measure()
    var faults: [String] = []
    for item in Self.cases {
      guard let values = counts[item.name]?.sorted(), let least = values.first, let most = values.last else {
        throw PerfError("valgrind counted nothing for \(item.name)")
      }
      let count = Cell(values[values.count / 2], spread: (most - least) / 2)
      table.rows.append(Table.Row(name: item.name, cells: [count, limits?[item.name].map { Cell($0) }]))
      if most > least * 1.005 {
        faults.append(
          "\(item.name) took from \(Int(least)) to \(Int(most)) in \(values.count) runs of the same packets: what depends on "
            + "time or chance is in the count, so look what it is and leave it out (InstructionsSection.timed)")
      }
    }
    table.notes.append("Valgrind has no AVX-512: the ciphers run their AVX2 code here.")
    if !Thresholds.apply {
      table.notes.append("\(Thresholds.path) is for the build with IPsec-MB: nothing is held against it here.")
    }
    table.faults = faults + (limits?.faults(table) ?? [])
    return [table]
  }

  /// Counts per packet of each case, as often as they were taken.
  private static func measure() throws -> [String: [Double]] {
    let valgrind = try Valgrind()
    let output = valgrind.folder.appending(path: "out").path(percentEncoded: false)
    try Valgrind.wait(
      for: valgrind.start(
        tool: "callgrind",
        ["--collect-atstart=no", "--toggle-collect=*\(timed)*", "--callgrind-out-file=\(output)"], word: "--count"))
    var counts: [String: [Double]] = [:]
    let trigger = "desc: Trigger: Client Request: "
    for name in try FileManager.default.contentsOfDirectory(atPath: valgrind.folder.path(percentEncoded: false)) {
      guard name.hasPrefix("out.") else { continue }
      let text = try String(contentsOf: valgrind.folder.appending(path: name), encoding: .utf8)
      let lines = text.split(separator: "\n")
      guard let reason = lines.first(where: { $0.hasPrefix(trigger) }),
        let totals = lines.first(where: { $0.hasPrefix("totals: ") || $0.hasPrefix("summary: ") }),
        let total = totals.split(separator: " ").last.flatMap({ Double($0) })
      else { continue }
      counts[String(reason.dropFirst(trigger.count)), default: []].append(total / Double(rounds * burst))
    }
    return counts
  }
}
