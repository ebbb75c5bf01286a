internal import Wire

extension Finding {
  /// One line for people.
  func summary(number: Int, _ record: CaptureRecord) -> String {
    let count = String(number)
    let column = String(repeating: " ", count: max(0, 6 - count.count)) + count
    switch self {
    case .other:
      return "\(column)  other  \(record.octets.count) octets captured"
    case .protected(let found, .drop(let reason)):
      return "\(column)  drop   \(found.source) > \(found.destination)  \(reason.name)"
    case .protected(let found, .open(let header)):
      let sender = "\(header.idName) \(header.idText)  epoch \(header.epoch)  counter \(header.counter)"
      let payload = PacketText.payload(record.octets[found.payload(header)].span.bytes)
      return "\(column)  open   \(found.source) > \(found.destination)  \(sender)  \(payload)"
    }
  }
}

/// How many packets came to what, for the last lines of the human form.
struct FindingTotals {
  private var packets = 0
  private var others = 0
  private var drops: [DropReason: Int] = [:]

  mutating func count(_ finding: Finding) {
    packets += 1
    switch finding {
    case .other: others += 1
    case .protected(_, .drop(let reason)): drops[reason, default: 0] += 1
    case .protected(_, .open): break
    }
  }

  /// A line of numbers, then one for each reason with what it means.
  var text: String {
    let dropped = drops.values.reduce(0, +)
    let reasons = drops.sorted { $0.key.rawValue < $1.key.rawValue }
      .map { "\n  \($0.value) \($0.key.name): \($0.key.explanation)" }
    let opened = packets - others - dropped
    return "\(packets) packets: \(opened) opened, \(dropped) dropped, \(others) other\(reasons.joined())"
  }
}

extension SecurityHeader {
  /// Whose ID it is.
  var idName: String { variant.context == .connection ? "connection" : "device" }
}
