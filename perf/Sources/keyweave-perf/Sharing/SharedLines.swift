/// Cache lines that one lcore writes and the other touches, told by what they are and who touches them.
struct SharedLines {
  struct Group: Hashable {
    /// A variable's name, a file's, or "the heap".
    let owner: String
    let accesses: String
  }

  /// With how many lines each has.
  private(set) var groups: [Group: Int] = [:]
  /// The word that every turn writes is among them, as it has to be.
  private(set) var hasWitness = false

  init(_ seen: AccessTrace.Case, _ symbols: Symbols) {
    for (number, line) in seen.lines where line.isOfBoth && line.isWritten {
      let owner = symbols.name(at: number << 6, in: seen.memory)
      if owner == "perf_witness" {
        hasWitness = true
      } else {
        groups[Group(owner: owner, accesses: Self.text(line, seen.memory, symbols)), default: 0] += 1
      }
    }
  }

  private static func text(_ line: CacheLine, _ memory: MemoryMap, _ symbols: Symbols) -> String {
    (0..<2).flatMap { lcore in
      [true, false].compactMap { isWritten -> String? in
        let octets = isWritten ? line.written[lcore] : line.read[lcore]
        guard octets != 0 else { return nil }
        let accesses = line.accesses.filter { $0.lcore == lcore && $0.isWritten == isWritten }
        let places = Set(accesses.map { symbols.name(at: $0.place, in: memory) }).sorted().joined(separator: ", ")
        return "lcore \(lcore) \(isWritten ? "writes" : "reads") octets \(octets.trailingZeroBitCount) to "
          + "\(63 - octets.leadingZeroBitCount) (\(places))"
      }
    }.joined(separator: ", ")
  }
}
