import Foundation

/// What a packet costs by how many senders there are: each has a data key of its own.
struct KeysSection {
  let effort: Section.Effort
  private var sizes: [Int] { effort.isQuick ? [64] : [64, 512, 1420] }
  private var counts: [(String, UInt64)] {
    let all: [(String, UInt64)] = [("1k", 1000), ("64k", 65536), ("1M", 1_000_000), ("100M", 100_000_000)]
    return effort.isQuick ? [all[0], all[3]] : all
  }

  func tables() throws -> [Table] {
    let kind = Kind(.open)
    let rig = try Rig(kind)
    let raw = try RawBenchmark(rig, samples: effort.samples)
    var costs = Table(
      id: "keys", title: "Distinct senders, opening", unit: "core cycles per packet", axis: "senders",
      columns: sizes.map { "\($0) octets" })
    var memory = Table(
      id: "memory", title: "Resident memory of the whole process", unit: "MiB", axis: "senders",
      columns: ["resident"])
    memory.digits = 2
    let bare = try sizes.map { try raw.measure(.fixed($0)).median }
    let cached = try zip(sizes, bare).map { size, raw in
      Cell(try rig.measure(rig.frames(.fixed(size)), samples: effort.samples), raw: raw)
    }
    costs.rows.append(Table.Row(name: "one, its key cached", cells: cached))
    let uncached = try Rig(Kind(.open) { $0.cachesKeys = false })
    costs.rows.append(
      Table.Row(
        name: "100M, no cache",
        cells: try zip(sizes, bare).map { size, raw in
          let senders = try Senders(uncached, length: size, count: 100_000_000, spread: .uniform)
          return Cell(
            try uncached.measure(senders.frames, samples: effort.samples, refill: senders.refill), raw: raw)
        }))
    // Everything that opening will touch is touched once before memory is read.
    for (name, count) in [("one, sealed anew", UInt64(1))] + counts {
      for spread in count == 1 ? [Senders.Spread.uniform] : [.uniform, .zipf] {
        var cells: [Cell?] = []
        for (size, raw) in zip(sizes, bare) {
          let senders = try Senders(rig, length: size, count: count, spread: spread)
          let measurement = try rig.measure(
            senders.frames, samples: effort.samples, warmUp: Int(min(count, 100_000)) / 32 * 3 + 400,
            refill: senders.refill)
          cells.append(Cell(measurement, raw: raw))
        }
        let title = count == 1 ? name : "\(name), \(spread.rawValue)"
        costs.rows.append(Table.Row(name: title, cells: cells))
        memory.rows.append(Table.Row(name: title, cells: [Cell(Self.residentMemory())]))
      }
    }
    costs.notes.append(
      "But for the first row, every packet is sealed anew by its sender before the burst, outside what is timed.")
    return [costs, memory]
  }

  static func residentMemory() -> Double {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
    return pages * 4096 / 1_048_576
  }
}
