import CPerf
import DataPlane
import Foundation

/// That no lcore writes a cache line which another one touches. Two lcores of a gateway take turns, each on a thread of its
/// own, under valgrind, with a tool that tells of every load and store; after a warm-up, each line is one lcore's or only read.
/// `play` runs there, `tables` in the process that reads what the tool says.
struct SharingSection {
  private static let cases: [(String, Kind)] =
    Direction.allCases.flatMap { direction in
      [
        ("\(direction.rawValue) 64", Kind(direction) { $0.lcores = 2 }),
        ("\(direction.rawValue) 64, transport", Kind(direction) { ($0.lcores, $0.mode) = (2, .transport) }),
      ]
    } + [
      ("proxy 64", Kind(.open) { ($0.lcores, $0.isProxied) = (2, true) }),
      ("seal 64, OpenSSL", Kind(.seal) { ($0.lcores, $0.cipher) = (2, .openSSL) }),
      ("open 64, OpenSSL", Kind(.open) { ($0.lcores, $0.cipher) = (2, .openSSL) }),
    ]
  private static let warmUp: UInt32 = 40
  private static let turns: UInt32 = 20

  /// Where two lcores' memory comes to lie in one line depends on where the heap happens to stand: each case is tried at every
  /// distance from a line's beginning that malloc knows.
  private static let layouts = 4

  /// What may be shared, one line of each, by its owner; and why.
  private static let explained = [
    (
      owner: "libIPSec_MB.so",
      reason: "its calls store their error number to one word; our own AES-GCM, where there is AVX-512, does without"
    )
  ]

  // MARK: In the process that valgrind runs

  private final class Player {
    let gateway: any SteppedGateway
    init(_ gateway: any SteppedGateway) { self.gateway = gateway }
  }

  static func play() throws {
    Environment.usesHugepages = false
    Environment.isCounted = true
    for (name, kind, layout) in cases.flatMap({ name, kind in (0..<layouts).map { (name, kind, $0) } }) {
      leak(layout)
      let rig = try Rig(kind)
      rig.feed(try rig.frames(.fixed(64)), isTimed: false)
      perf_note("case \(name)")
      perf_note_zones()
      // Not by contentsOfFile, which takes the first 4 KiB of a file whose length the kernel does not tell.
      let maps = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/maps")).readToEnd() ?? Data()
      for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") { perf_note("map \(line)") }
      let before = rig.books()
      let player = Player(rig.gateway)
      let isPlayed = withExtendedLifetime(player) {
        perf_take_turns(
          2, warmUp, turns,
          { lcore, player in
            guard let player else { return }
            Unmanaged<Player>.fromOpaque(player).takeUnretainedValue().gateway.step(lcore: Int(lcore))
          }, Unmanaged.passUnretained(player).toOpaque())
      }
      let after = rig.books()
      let packets = UInt64(2 * (warmUp + turns) * 32)
      guard isPlayed, after.passed - before.passed == packets, after.drops == before.drops else {
        throw PerfError(
          "\(name): \(after.passed - before.passed) of \(packets) packets done, drops: \(rig.gateway.status.drops)")
      }
    }
  }

  /// What the heap gives next is at another distance from a line's beginning.
  private static func leak(_ layout: Int) { _ = malloc(16 * layout + 8) }

  // MARK: In the process that reads

  func tables() throws -> [Table] {
    var table = Table(
      id: "sharing", title: "Cache lines that two lcores touch in \(Self.turns) rounds each",
      unit: "lines of 64 octets, by valgrind", axis: "",
      columns: ["lcore 0", "lcore 1", "both, only read", "written, explained", "written, unexplained"])
    let valgrind = try Valgrind()
    try valgrind.make(tool: "accesses", from: "perf/Accesses/accesses.c", including: "perf/CPerf/include")
    let pipe = Pipe()
    let process = try valgrind.start(tool: "accesses", word: "--sharing", log: pipe.fileHandleForWriting)
    try pipe.fileHandleForWriting.close()
    let trace = try AccessTrace(reading: pipe.fileHandleForReading)
    trace.otherWords.forEach { FileHandle.standardError.write(Data("\($0)\n".utf8)) }
    try Valgrind.wait(for: process)
    let symbols = Symbols()
    var faults: [String] = []
    for (name, _) in Self.cases {
      let layouts = trace.cases.filter { $0.name == name }
      guard layouts.count == Self.layouts, layouts.allSatisfy({ $0.turns == [Int(Self.turns), Int(Self.turns)] }) else {
        throw PerfError("\(name): the trace has not \(Self.turns) turns of each lcore in \(Self.layouts) layouts")
      }
      let (explained, rest) = try judge(name, layouts, symbols)
      for line in explained { table.notes += table.notes.contains(line) ? [] : [line] }
      faults += rest
      func most(_ isCounted: (CacheLine) -> Bool) -> Cell {
        Cell(Double(layouts.map { $0.lines.values.count(where: isCounted) }.max() ?? 0))
      }
      table.rows.append(
        Table.Row(
          name: name,
          cells: [
            most { $0.isTouched(by: 0) }, most { $0.isTouched(by: 1) }, most { $0.isOfBoth && !$0.isWritten },
            Cell(Double(explained.count)), Cell(Double(rest.count)),
          ]))
    }
    if !faults.isEmpty {
      faults.append(
        "expected: none. Allocate what an lcore writes in whole cache lines, or name it in SharingSection.explained, with a reason"
      )
    }
    table.faults = faults
    return [table]
  }

  /// Sentences about what is shared and may be, and about what may not.
  private func judge(
    _ name: String, _ layouts: [AccessTrace.Case], _ symbols: Symbols
  ) throws -> (explained: [String], rest: [String]) {
    var found: [SharedLines.Group: [Int]] = [:]
    for layout in layouts {
      let shared = SharedLines(layout, symbols)
      guard shared.hasWitness else {
        throw PerfError(
          "\(name): the word that every turn writes (perf_witness) was not found: this check sees nothing")
      }
      for (group, lines) in shared.groups { found[group, default: []].append(lines) }
    }
    var sentences: (explained: [String], rest: [String]) = ([], [])
    for (group, lines) in found.sorted(by: { $0.key.accesses < $1.key.accesses }) {
      let most = lines.max() ?? 0
      let sentence =
        "\(name), in \(lines.count) of \(Self.layouts) layouts of the heap: \(most == 1 ? "a line" : "\(most) lines") of "
        + "\(group.owner): \(group.accesses)"
      if let known = Self.explained.first(where: { group.owner.hasPrefix($0.owner) && most == 1 }) {
        sentences.explained.append("Explained: a line of \(group.owner): \(known.reason)")
      } else {
        sentences.rest.append(sentence)
      }
    }
    return sentences
  }
}
