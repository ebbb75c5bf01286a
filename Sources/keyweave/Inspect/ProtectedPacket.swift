internal import Wire

/// Where a protected packet lies in a captured frame, and what its checks and its key take from the headers around it.
///
/// Everything else is "other": what is not IP, outer fragments, lengths beyond the captured octets, other protocols and
/// ports. What comes to the port or the protocol is never "other", however little is left of it.
struct ProtectedPacket {
  /// From the security header to the ICV, in octets of the frame.
  var range: Range<Int>
  var overUDP: Bool
  var source: IPAddress
  var destination: IPAddress
  /// Whether the outer source is an IPv6 address inside ::ffff:0:0/96, which `source` alone cannot tell from IPv4.
  var sourceIsMapped: Bool

  init?(in frame: RawSpan, linkType: LinkType) {
    var offset = 0
    switch linkType {
    case .raw: break
    case .other: return nil
    case .ethernet:
      guard let ethernet = EthernetView(frame) else { return nil }
      switch ethernet.etherType {
      case EtherType.ipv4, EtherType.ipv6: offset = ethernet.headerLength
      default: return nil
      }
      guard let packet = frame.part(from: offset, to: frame.byteCount), packet.byteCount > 0,
        packet.uint8(at: 0) >> 4 == (ethernet.etherType == EtherType.ipv4 ? 4 : 6)
      else { return nil }
    }
    guard let packet = frame.part(from: offset, to: frame.byteCount) else { return nil }
    let upper: (offset: Int, end: Int, protocolNumber: UInt8)
    if let ip = IPv4View(packet) {
      guard !ip.isFragment else { return nil }
      upper = (ip.headerLength, ip.totalLength, ip.protocolNumber)
      (source, destination, sourceIsMapped) = (ip.source, ip.destination, false)
    } else if let ip = IPv6View(packet), let extensions = IPv6Extensions.walk(ip) {
      // An atomic fragment is a whole packet (RFC 6946).
      guard !extensions.isFragment else { return nil }
      upper = (extensions.upperOffset, ip.totalLength, extensions.protocolNumber)
      (source, destination, sourceIsMapped) = (ip.source, ip.destination, ip.source.isIPv4)
    } else {
      return nil
    }
    guard let payload = packet.part(from: upper.offset, to: upper.end) else { return nil }
    let start = offset + upper.offset
    switch upper.protocolNumber {
    case IPProtocol.statelessEESP:
      overUDP = false
      range = start..<start + payload.byteCount
    case IPProtocol.udp:
      guard payload.byteCount >= UDPHeader.length,
        payload.uint16(at: UDPHeader.destinationPortOffset) == UDPHeader.defaultPort
      else { return nil }
      let length = Int(payload.uint16(at: UDPHeader.lengthOffset))
      guard length <= payload.byteCount else { return nil }
      overUDP = true
      // A length below the UDP header's own leaves nothing: `malformed`, as it did come to the port.
      range = start + UDPHeader.length..<start + max(length, UDPHeader.length)
    default:
      return nil
    }
  }

  /// The octets of the frame between security header and ICV.
  func payload(_ header: SecurityHeader) -> Range<Int> {
    let start = range.lowerBound + Int(header.length)
    return start..<max(start, range.upperBound - SecurityHeader.icvLength)
  }

  /// The octets of the frame with an option's root key ID.
  func rootKeyID(_ option: MasterKeyOption) -> Range<Int> {
    let start = range.lowerBound + Int(option.idOffset)
    return start..<start + Int(option.idLength)
  }
}
