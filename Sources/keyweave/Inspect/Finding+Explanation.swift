internal import Glibc
internal import Wire

extension Finding {
  /// Every field of the packet on a line of its own, for people.
  func explanation(number: Int, _ record: CaptureRecord) -> String {
    var table = FieldTable()
    table.add("packet \(number), \(record.timeText), \(record.originalLength) octets, \(record.octets.count) captured")
    switch self {
    case .other:
      table.add("  other: a gateway opens what comes whole, unfragmented, to UDP port 4500 or IP protocol 253")
    case .protected(let found, let verdict):
      let carriage = found.overUDP ? "UDP port \(UDPHeader.defaultPort)" : "IP protocol \(IPProtocol.statelessEESP)"
      let headers = "\(found.source) > \(found.destination), \(carriage), \(found.range.lowerBound) octets"
      table.add("  outer headers: \(headers)")
      let packet = record.octets[found.range]
      switch verdict {
      case .open(let header):
        table.addFields(header, packet)
        table.addProtection(header, found, record)
        table.add("  verdict: open; the payload in clear:")
        table.dump(record.octets[found.payload(header)], limit: 96)
      case .drop(let reason):
        if case .header(let header) = SecurityHeader.decode(
          packet.span.bytes, overUDP: found.overUDP, sourceIsMapped: found.sourceIsMapped)
        {
          table.addFields(header, packet)
        }
        table.add("  verdict: drop, \(reason.name). \(reason.explanation)")
      }
    }
    return table.text + "\n"
  }
}

extension FieldTable {
  /// The security header (wire format, section 1), `packet` beginning with it.
  fileprivate mutating func addFields(_ header: SecurityHeader, _ packet: ArraySlice<UInt8>) {
    let digits = Array(hex(packet.prefix(Int(header.length))))
    func part(_ offset: Int, _ count: Int) -> String { String(digits[2 * offset..<2 * (offset + count)]) }
    let idLength = header.variant.idLength
    add(0, String(digits[0]), "Version", "15, stateless EESP")
    add(0, String(digits[1]), "HL", "a security header of \(header.length) octets")
    add(1, String(digits[2]), "V", header.variant.meaning)
    add(1, String(digits[3...4]), "Reserve", header.reserveMeaning)
    add(2, String(digits[5...6]), "COffset", "\(header.clearLength) octets of payload are not encrypted")
    add(3, String(digits[7]), "IOffset", "\(header.unprotectedLength) octets of payload are not protected at all")
    add(SecurityHeader.idOffset, part(SecurityHeader.idOffset, idLength), "ID", "\(header.idName) \(header.idText)")
    var offset = header.optionsOffset
    for index in 0..<Int(header.optionCount) {
      let option = header.option(index)
      let (idOffset, idLength) = (Int(option.idOffset), Int(option.idLength))
      let prefix = part(offset, MasterKeyOption.prefixLength)
      add(offset, prefix, "Option", "\(option.levelName), generation \(option.index) mod 256")
      add(idOffset, part(idOffset, idLength), "Root Key ID", "\(idLength) octets")
      offset = idOffset + idLength
    }
    let end = Int(header.length) - SecurityHeader.sequenceLength
    if offset < end { add(offset, part(offset, end - offset), "Padding", "to a multiple of 8 octets") }
    add(end, part(end, 2), "Epoch", "\(header.epoch)")
    add(end + 2, part(end + 2, 6), "Counter", header.counterMeaning)
  }

  /// What follows the security header: payload and ICV (wire format, section 3).
  fileprivate mutating func addProtection(_ header: SecurityHeader, _ found: ProtectedPacket, _ record: CaptureRecord) {
    let range = found.payload(header)
    let payload = record.octets[range]
    let start = range.lowerBound - found.range.lowerBound
    add(start, "\(payload.count) octets", "Payload", PacketText.payload(payload.span.bytes))
    let icv = record.octets[range.upperBound..<found.range.upperBound]
    add(start + payload.count, hex(icv), "ICV", "verified")
  }
}

extension Variant {
  fileprivate var meaning: String {
    let key = suite == .aes256 ? "AES-256-GCM" : "AES-128-GCM"
    let bound =
      switch context {
      case .device: "key of a device"
      case .connection: "key of a connection"
      case .sourceAddress: "key of a device and its outer source address"
      }
    return "an ID of \(idLength) octets, \(bound), \(key)"
  }
}

extension SecurityHeader {
  fileprivate var reserveMeaning: String {
    if optionCount > 0 { return "ignored beside options" }
    let generations = (1...3).map { "\($0): \(reserve >> (2 * ($0 - 1)) & 3)" }.joined(separator: ", ")
    return "default group, generations mod 4 by level: \(generations)"
  }

  /// A connection's client may use all 48 bits as it likes (wire format, section 5).
  fileprivate var counterMeaning: String {
    if variant.context == .connection { return "\(counter)" }
    return "member \(counter >> 42), lcore \(counter >> 37 & 31), sequence \(counter & 0x1F_FFFF_FFFF)"
  }
}

extension CaptureRecord {
  /// UTC with nanoseconds.
  fileprivate var timeText: String {
    var time = time_t(truncatingIfNeeded: seconds)
    var parts = tm()
    guard gmtime_r(&time, &parts) != nil else { return "\(seconds) s since 1970" }
    func digits(_ number: some BinaryInteger, _ count: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let day = "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1, 2))-\(digits(parts.tm_mday, 2))"
    let clock = "\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):\(digits(parts.tm_sec, 2))"
    return "\(day) \(clock).\(digits(nanoseconds, 9)) UTC"
  }
}
