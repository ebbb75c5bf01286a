import CDPDK
import DataPlane
import Foundation

/// How long packets are in the gateway, from when they came, and whoever was to fetch them was late or not, to when the port
/// took them.
struct LatencySection {
  let effort: Section.Effort
  private static let percentiles: [(String, Double)] = [
    ("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("most", 1),
  ]

  func tables() throws -> [Table] {
    var table = Table(
      id: "latency", title: "Time in the gateway", unit: "microseconds", axis: "percentile",
      columns: Self.percentiles.map(\.0))
    table.digits = 2
    for (direction, size) in effort.isQuick
      ? [(.seal, 64)] : [(Direction.seal, 64), (.seal, 1420), (.open, 64), (.open, 1420)]
    {
      let rig = try Rig(Kind(direction))
      let frames = try rig.frames(.fixed(size))
      rig.feed(frames, isTimed: false)
      try rig.launch()
      let full = rig.observe(seconds: 0.3)[0].map(\.ticks).sorted()
      let ticks = full[full.count / 2]
      for load in [10, 50, 90] {
        table.rows.append(
          try row("\(direction.rawValue) \(size), load \(load) %", rig, frames, interval: ticks * 100 / Double(load)) {}
        )
      }
      table.rows.append(
        try row("\(direction.rawValue) \(size), load 50 %, rotations", rig, frames, interval: ticks * 2) {
          try rotate(rig, times: effort.isQuick ? 5 : 20)
        })
    }
    table.notes.append("Load: of what the lcore can carry. Packets come one by one at a fixed rate.")
    return [table]
  }

  private func row(
    _ name: String, _ rig: Rig, _ frames: FrameSet, interval: Double, _ body: () throws -> Void
  ) throws -> Table.Row {
    let values = try rig.latencies(frames, interval: interval, seconds: effort.isQuick ? 0.3 : 1, body)
    guard !values.isEmpty else { throw PerfError("no packet came through: \(rig.gateway.status.drops)") }
    let hz = Double(dpdk_get_tsc_hz())
    let cells = Self.percentiles.map { Cell(Double(values[Int(Double(values.count - 1) * $0.1)]) / hz * 1e6) }
    return Table.Row(name: name, cells: cells)
  }
}

/// Back and forth, so that packets of either generation are opened all the time.
func rotate(_ rig: Rig, times: Int) throws {
  for turn in 1...times {
    try rig.gateway.reload(plan: rig.plan, groups: [Network.group(index: turn % 2 == 1 ? 2 : 1)])
    usleep(20_000)
  }
}
