extension IPAddress: CustomStringConvertible {
  /// Reads dotted decimal without leading zeros, or IPv6 as in RFC 4291, section 2.2, without a zone. An IPv4-mapped
  /// address is refused: it has one text form here, the dotted one.
  package init?(_ text: String) {
    let octets = Array(text.utf8)
    if octets.contains(UInt8(ascii: ":")) {
      guard let address = IPAddress.ipv6(octets[...]), !address.isIPv4 else { return nil }
      self = address
    } else {
      guard let address = IPAddress.dotted(octets[...]) else { return nil }
      self.init(ipv4: address)
    }
  }

  private static func dotted(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      guard let octet = TextForm.decimal(part, upTo: 255) else { return nil }
      address = address << 8 | octet
    }
    return address
  }

  private static func ipv6(_ text: ArraySlice<UInt8>) -> IPAddress? {
    var head = text
    var tail: ArraySlice<UInt8> = []
    let colon = UInt8(ascii: ":")
    let gap = text.indices.dropLast().first { text[$0] == colon && text[$0 + 1] == colon }
    if let gap {
      head = text[..<gap]
      tail = text[(gap + 2)...]
    }
    // Only the last group may be written as dotted decimal.
    guard let first = groups(head, mayEndDotted: gap == nil), let last = groups(tail, mayEndDotted: true) else {
      return nil
    }
    // "::" stands for at least one group of zeros.
    guard gap == nil ? first.count == 8 : first.count + last.count <= 7 else { return nil }
    let zeros = [UInt16](repeating: 0, count: 8 - first.count - last.count)
    let halves = (first + zeros + last).enumerated().reduce(into: (high: UInt64(0), low: UInt64(0))) { halves, group in
      if group.offset < 4 {
        halves.high = halves.high << 16 | UInt64(group.element)
      } else {
        halves.low = halves.low << 16 | UInt64(group.element)
      }
    }
    return IPAddress(high: halves.high, low: halves.low)
  }

  private static func groups(_ text: ArraySlice<UInt8>, mayEndDotted: Bool) -> [UInt16]? {
    if text.isEmpty { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if mayEndDotted, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
        guard let address = dotted(part) else { return nil }
        groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
      } else {
        guard (1...4).contains(part.count) else { return nil }
        var group: UInt16 = 0
        for octet in part {
          guard let digit = TextForm.hexDigit(octet) else { return nil }
          group = group << 4 | UInt16(digit)
        }
        groups.append(group)
      }
    }
    return groups.count <= 8 ? groups : nil
  }

  /// Dotted decimal, or IPv6 as RFC 5952 recommends: lower case, no leading zeros, the longest run of at least two zero
  /// groups (the first of equals) as "::".
  @usableFromInline package var description: String {
    if isIPv4 {
      return (0..<4).map { String(ipv4 >> UInt32(24 - 8 * $0) & 0xFF) }.joined(separator: ".")
    }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 % 4))) }
    var run = 0..<0
    var start = 0
    while start < 8 {
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start > max(run.count, 1) { run = start..<end }
      start = end + 1
    }
    let hex = groups.map { String($0, radix: 16) }
    if run.isEmpty { return hex.joined(separator: ":") }
    return hex[..<run.lowerBound].joined(separator: ":") + "::" + hex[run.upperBound...].joined(separator: ":")
  }
}
