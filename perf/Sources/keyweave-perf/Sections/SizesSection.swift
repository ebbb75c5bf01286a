import CDPDK
import CPerf
import DataPlane
import Wire

/// What a packet costs by its size, for every way of packing it.
struct SizesSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    try Direction.allCases.map { try table($0) } + [try ports()]
  }

  private func table(_ direction: Direction) throws -> Table {
    var table = Table(
      id: direction.rawValue, title: direction == .seal ? "Sealing, by size" : "Opening, by size",
      unit: "core cycles per packet", axis: "octets", columns: effort.sizes.map(\.name))
    var raw: [Suite: [Double]] = [:]
    for (name, kind) in kinds(direction) {
      let rig = try Rig(kind)
      if raw[kind.suite] == nil {
        let benchmark = try RawBenchmark(rig, samples: effort.samples)
        let cells = try effort.sizes.map { try benchmark.measure($0) }
        raw[kind.suite] = cells.map(\.median)
        let name = RawBenchmark.name + (kind.suite == .aes128 ? ", AES-128" : "")
        table.rows.append(Table.Row(name: name, cells: cells.map { Cell($0, raw: $0.median) }))
      }
      let cells = try zip(effort.sizes, raw[kind.suite] ?? []).map { sizes, raw in
        Cell(try rig.measure(rig.frames(sizes), samples: effort.samples), raw: raw)
      }
      table.rows.append(Table.Row(name: name, cells: cells))
    }
    table.notes.append(
      "Additional data are the security header's 40 octets (16 without options), in the bare runs too.")
    return table
  }

  private func kinds(_ direction: Direction) -> [(String, Kind)] {
    var kinds: [(String, Kind)] = [("gateway", Kind(direction))]
    if Cipher.hasFloor { kinds.append(("floor: no cipher", Kind(direction) { $0.cipher = .floor })) }
    kinds += [
      ("a derivation for every packet", Kind(direction) { $0.cachesKeys = false }),
      ("no options in the header", Kind(direction) { $0.hasOptions = false }),
      ("IPv6", Kind(direction) { $0.family = .ipv6 }),
      ("transport mode", Kind(direction) { $0.mode = .transport }),
      ("AES-128", Kind(direction) { $0.suite = .aes128 }),
      ("OpenSSL", Kind(direction) { $0.cipher = .openSSL }),
    ]
    return kinds
  }

  /// What receiving and sending alone cost: the ports of the benchmark, moved as testpmd does in io mode.
  private func ports() throws -> Table {
    var table = Table(
      id: "ports", title: "Ports alone: receive and transmit", unit: "core cycles per packet", axis: "port",
      columns: Burst.all.map { "bursts of \($0)" })
    let rig = try Rig(Kind(.seal))
    let frames = try rig.frames(.fixed(64))
    for isTimed in [true, false] {
      let cells = Burst.all.map { burst in
        Cell(rig.forward(frames, burst: burst, samples: effort.samples, isTimed: isTimed))
      }
      table.rows.append(
        Table.Row(name: isTimed ? "null ports" : "null ports, writing 64 octets of each packet", cells: cells))
    }
    return table
  }
}

enum Burst {
  static let all = [1, 4, 8, 32, 64]
}
