import DataPlane
import Foundation

/// What control does while an lcore is busy, and what the lcore feels of it.
struct EventsSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    var table = Table(
      id: "events", title: "Rotation, reload, scrape: samples of 512 bursts on a busy lcore",
      unit: "core cycles per packet; times the median of the quiet run", axis: "",
      columns: ["median", "99 %", "worst sample"])
    for direction in Direction.allCases {
      let rig = try Rig(Kind(direction))
      try rig.feed(rig.frames(.fixed(64)), isTimed: true)
      try rig.launch()
      var quiet: Double?
      for (name, event) in events(rig) {
        let samples = try rig.observe(event)[0].map(\.cycles).sorted()
        guard let worst = samples.last else { throw PerfError("no sample in which the lcore kept its core") }
        let base = quiet ?? samples[samples.count / 2]
        quiet = base
        let cells = [samples[samples.count / 2], samples[samples.count * 99 / 100], worst].map {
          Cell($0, times: $0 / base)
        }
        table.rows.append(Table.Row(name: "\(direction.rawValue) 64, \(name)", cells: cells))
      }
    }
    table.notes.append("Samples in which the kernel took the lcore's core away are left out.")
    return [table]
  }

  private var turns: Int { effort.isQuick ? 10 : 50 }

  private func events(_ rig: Rig) -> [(String, () throws -> Void)] {
    [
      ("quiet", { usleep(UInt32(turns) * 20_000) }),
      ("rotations", { try rotate(rig, times: turns) }),
      (
        "reloads",
        {
          var plan = rig.plan
          for _ in 0..<turns / 5 {
            // Another forwarding table, but no other routes.
            plan.icmpRate += 1
            try rig.gateway.reload(plan: plan, groups: [Network.group()])
            usleep(20_000)
          }
        }
      ),
      (
        "scrapes",
        {
          for _ in 0..<turns {
            _ = rig.gateway.status
            usleep(20_000)
          }
        }
      ),
    ]
  }
}
