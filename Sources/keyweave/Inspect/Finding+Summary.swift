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
      return "\(column)  drop   \(found.source) > \(found.destination)  \(reason.name): \(reason.explanation)"
    case .protected(let found, .open(let header)):
      let sender = "\(header.idName) \(header.idText)  epoch \(header.epoch)  counter \(header.counter)"
      let payload = PacketText.payload(record.octets[found.payload(header)].span.bytes)
      return "\(column)  open   \(found.source) > \(found.destination)  \(sender)  \(payload)"
    }
  }
}

extension SecurityHeader {
  /// Whose ID it is.
  var idName: String { variant.context == .connection ? "connection" : "device" }
}
