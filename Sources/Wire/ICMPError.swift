/// The ICMP errors that the gateway sends.
package enum ICMPError: Hashable, Sendable {
  /// The TTL or hop limit ran out here.
  case timeExceeded
  /// Fragmentation Needed or Packet Too Big, with the largest packet that would have fit, in octets.
  case tooBig(mtu: Int)

  /// RFC 1812, section 4.3.2.3: an IPv4 error has at most 576 octets.
  package static let maximumIPv4Length = 576
  /// RFC 4443, section 3: an IPv6 error has at most 1280 octets.
  package static let maximumIPv6Length = 1280
  /// Internetwork control, RFC 1812, section 4.3.2.5.
  private static let trafficClass: UInt8 = 0xC0

  /// Writes the whole IP packet that tells the source of `original` and returns the offset after it.
  ///
  /// - Parameters:
  ///   - original: an IPv4 or IPv6 packet; the link's padding after it does not matter.
  ///   - source: the gateway's address on the port of the original, of the same family.
  /// - Returns: nothing, and no octet written, when it does not fit or no error may be sent about this packet.
  package func write(
    about original: RawSpan, from source: IPAddress, into bytes: inout MutableRawSpan, at offset: Int = 0
  ) -> Int? {
    if let view = IPv4View(original), source.isIPv4 {
      guard ICMPError.mayAnswer(view) else { return nil }
      return write(about: view, from: source, into: &bytes, at: offset)
    }
    if let view = IPv6View(original), !source.isIPv4 {
      guard mayAnswer(view) else { return nil }
      return write(about: view, from: source, into: &bytes, at: offset)
    }
    return nil
  }

  private func write(
    about original: borrowing IPv4View, from source: IPAddress, into bytes: inout MutableRawSpan, at offset: Int
  ) -> Int? {
    let headers = IPv4Header.minimumLength + ICMPView.headerLength
    let quoted = min(original.totalLength, ICMPError.maximumIPv4Length - headers)
    let header = IPv4Header(
      trafficClass: ICMPError.trafficClass, totalLength: UInt16(headers + quoted), dontFragment: false,
      protocolNumber: IPProtocol.icmp, source: source, destination: original.source)
    guard bytes.hasRoom(for: headers + quoted, at: offset), let start = header.write(into: &bytes, at: offset) else {
      return nil
    }
    switch self {
    case .timeExceeded:
      bytes.store(UInt64(ICMPv4.timeExceeded) << 56, at: start)
    case .tooBig(let mtu):
      let type = UInt64(ICMPv4.unreachable) << 56 | UInt64(ICMPv4.fragmentationNeeded) << 48
      bytes.store(type | UInt64(UInt16(clamping: mtu)), at: start)
    }
    bytes.store(original.bytes.extracting(first: quoted), at: start + ICMPView.headerLength)
    let end = start + ICMPView.headerLength + quoted
    bytes.store(Checksum.compute(bytes.bytes.extracting(start..<end)), at: start + ICMPView.checksumOffset)
    return end
  }

  private func write(
    about original: borrowing IPv6View, from source: IPAddress, into bytes: inout MutableRawSpan, at offset: Int
  ) -> Int? {
    let headers = IPv6Header.length + ICMPView.headerLength
    let quoted = min(original.totalLength, ICMPError.maximumIPv6Length - headers)
    let header = IPv6Header(
      trafficClass: ICMPError.trafficClass, payloadLength: UInt16(ICMPView.headerLength + quoted),
      nextHeader: IPProtocol.icmpv6, source: source, destination: original.source)
    guard bytes.hasRoom(for: headers + quoted, at: offset), let start = header.write(into: &bytes, at: offset) else {
      return nil
    }
    switch self {
    case .timeExceeded:
      bytes.store(UInt64(ICMPv6.timeExceeded) << 56, at: start)
    case .tooBig(let mtu):
      bytes.store(UInt64(ICMPv6.packetTooBig) << 56 | UInt64(UInt32(clamping: mtu)), at: start)
    }
    bytes.store(original.bytes.extracting(first: quoted), at: start + ICMPView.headerLength)
    let end = start + ICMPView.headerLength + quoted
    let checksum = ICMPv6.checksum(
      bytes.bytes.extracting(start..<end), source: source, destination: original.source)
    bytes.store(checksum, at: start + ICMPView.checksumOffset)
    return end
  }

  /// RFC 1812, section 4.3.2.7: not about errors, multicast, broadcast, later fragments, nor to a source that is no host.
  private static func mayAnswer(_ original: borrowing IPv4View) -> Bool {
    let source = original.source
    let destination = original.destination
    guard original.fragmentOffset == 0, !source.isUnspecified, !source.isLoopback, source.ipv4 >> 28 < 0xE,
      destination.ipv4 >> 28 < 0xE
    else { return false }
    guard original.protocolNumber == IPProtocol.icmp else { return true }
    guard let message = ICMPView(original.payload) else { return false }
    return !ICMPv4.isError(type: message.type)
  }

  /// RFC 4443, section 2.4 (e): not about errors and redirects, not to a source that is no node, and about multicast only
  /// Packet Too Big.
  private func mayAnswer(_ original: borrowing IPv6View) -> Bool {
    let source = original.source
    guard !source.isUnspecified, !source.isMulticast, !source.isLoopback, !source.isIPv4 else { return false }
    if original.destination.isMulticast, self == .timeExceeded { return false }
    guard let upper = IPv6Extensions.walk(original), upper.hasUpperHeader else { return false }
    guard upper.protocolNumber == IPProtocol.icmpv6 else { return true }
    guard let rest = original.packet.part(from: upper.upperOffset, to: original.totalLength),
      let message = ICMPView(rest)
    else { return false }
    return !ICMPv6.isError(type: message.type) && message.type != ICMPv6.redirect
  }
}
