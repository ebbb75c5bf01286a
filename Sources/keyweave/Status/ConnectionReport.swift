import Foundation
import KeyAgent

/// A client's connection as lines for people.
struct ConnectionReport {
  let status: ConnectionStatus
  let paint: Paint
  var now = Date().timeIntervalSince1970

  var lines: [String] {
    var lines = [head]
    if !status.members.isEmpty { lines.append("  pool       \(status.members.joined(separator: ", "))") }
    if let problem = status.problem { lines.append("  \(paint.doubtful("degraded"))   \(problem)") }
    return lines
  }

  private var head: String {
    guard let id = status.id, let address = status.address else {
      return "  connection \(paint.bad("none yet"))"
    }
    var facts = ["inner address \(address)"]
    if let member = status.member { facts.append("keys from \(member)") }
    if let renew = status.renew { facts.append("renewed in \(time(until: renew))") }
    if let expires = status.expires { facts.append("keys end in \(time(until: expires))") }
    return "  connection \(paint.good(id)); \(facts.joined(separator: "; "))"
  }

  private func time(until end: Int64) -> String { Double(end) > now ? Figures.time(Double(end) - now) : "0 s" }
}
