import Foundation
import KeyAgent

/// A key agent's status as tables for people.
struct KeyAgentReport {
  let status: KeyAgentStatus
  let paint: Paint
  var now = Date().timeIntervalSince1970

  var lines: [String] {
    var lines = [head] + status.reasons.flatMap(reason)
    lines.append("")
    return lines + table.lines
  }

  private var head: String {
    let state = status.state == "ok" ? paint.good("ok") : paint.bad(status.state)
    var facts = ["\(status.member), certificate ends in \(time(until: status.certificateExpires))"]
    for controller in status.controllers {
      guard let id = controller.deviceID else { continue }
      facts.append("device \(id), member \(controller.memberNumber ?? 0) by \(controller.name)")
    }
    if let deadline = status.deadline {
      facts.append("without controllers the first key in use ends in \(time(until: deadline))")
    }
    return "  keys       \(state); \(facts.joined(separator: "; "))"
  }

  private func reason(_ text: String) -> [String] {
    TextTable.wrapped(text, to: 96).enumerated().map { index, line in
      "  \(index == 0 ? paint.doubtful("degraded") : "        ")   \(line)"
    }
  }

  private var table: TextTable {
    var table = TextTable(
      ["controller", "state", "version", "heard", "root key", "level", "previous", "current", "next", "ends in"],
      right: [2, 3, 6, 7, 8, 9])
    for controller in status.controllers {
      let keys: [KeyAgentStatus.RootKey?] = controller.rootKeys.isEmpty ? [nil] : controller.rootKeys
      for (index, key) in keys.enumerated() {
        let isFirst = index == 0
        table.add([
          isFirst ? controller.name : "", isFirst ? state(controller.state) : "",
          isFirst ? "\(controller.version)" : "",
          isFirst ? controller.lastContact.map { Figures.time(max(0, now - Double($0))) + " ago" } ?? "never" : "",
          key.map { $0.name + ($0.used ? "" : " (not used)") } ?? "", key?.level ?? "", number(key?.previous),
          number(key?.current), number(key?.next), key?.expires.map(time(until:)) ?? "",
        ])
      }
    }
    return table
  }

  private func state(_ text: String) -> String { text == "connected" ? paint.good(text) : paint.bad(text) }
  private func number(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "" }
  private func time(until end: Int64) -> String { Double(end) > now ? Figures.time(Double(end) - now) : "0 s" }
}
