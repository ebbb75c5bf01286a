internal import Wire

/// Packets in a few words, for people.
enum PacketText {
  /// What an opened payload holds: its form, the inner packet and the padding after it.
  static func payload(_ payload: RawSpan) -> String {
    guard case .inner(let inner) = InnerPayload.classify(payload),
      let packet = payload.part(from: inner.offset, to: inner.offset + inner.length)
    else { return "\(payload.byteCount) octets" }
    let padding = payload.byteCount - inner.offset - inner.length
    let text =
      switch inner.form {
      case .ipv4, .ipv6: ip(packet)
      case .transport: upper(inner.nextHeader, packet)
      case .ethernet: frame(packet)
      }
    return padding == 0 ? text : "\(text), \(padding) of padding"
  }

  static func ip(_ packet: RawSpan) -> String {
    if let ip = IPv4View(packet) {
      let addresses = "IPv4 \(ip.source) > \(ip.destination)"
      if ip.fragmentOffset != 0 { return "\(addresses), fragment at \(ip.fragmentOffset), \(ip.totalLength) octets" }
      return "\(addresses) \(upper(ip.protocolNumber, ip.payload)), \(ip.totalLength) octets"
    }
    if let ip = IPv6View(packet) {
      let addresses = "IPv6 \(ip.source) > \(ip.destination)"
      guard let extensions = IPv6Extensions.walk(ip), extensions.hasUpperHeader,
        let rest = ip.packet.part(from: extensions.upperOffset, to: ip.totalLength)
      else { return "\(addresses), \(ip.totalLength) octets" }
      return "\(addresses) \(upper(extensions.protocolNumber, rest)), \(ip.totalLength) octets"
    }
    return "\(packet.byteCount) octets that are no IP packet"
  }

  static func upper(_ protocolNumber: UInt8, _ packet: RawSpan) -> String {
    switch protocolNumber {
    case IPProtocol.udp where packet.byteCount >= UDPHeader.length: return "UDP \(ports(packet))"
    case IPProtocol.tcp where packet.byteCount >= TCPView.minimumLength: return "TCP \(ports(packet))"
    case IPProtocol.icmp where packet.byteCount > 0: return "ICMP type \(packet.uint8(at: 0))"
    case IPProtocol.icmpv6 where packet.byteCount > 0: return "ICMPv6 type \(packet.uint8(at: 0))"
    case IPProtocol.statelessEESP: return "stateless EESP"
    default: return "protocol \(protocolNumber)"
    }
  }

  static func frame(_ frame: RawSpan) -> String {
    guard let ethernet = EthernetView(frame) else { return "\(frame.byteCount) octets that are no Ethernet frame" }
    let tag = ethernet.outerTag.map { " VLAN \($0.number)" } ?? ""
    let addresses = "Ethernet \(ethernet.source) > \(ethernet.destination)\(tag)"
    switch ethernet.etherType {
    case EtherType.ipv4, EtherType.ipv6: return "\(addresses), \(ip(ethernet.payload))"
    case EtherType.arp: return "\(addresses), ARP"
    default: return "\(addresses), type \(hex(ethernet.etherType))"
    }
  }

  private static func ports(_ packet: RawSpan) -> String { "\(packet.uint16(at: 0)) > \(packet.uint16(at: 2))" }
}

/// Lower-case hexadecimal digits, as many as the type has octets times two.
func hex(_ number: some FixedWidthInteger & UnsignedInteger) -> String {
  let digits = String(number, radix: 16)
  return String(repeating: "0", count: max(0, type(of: number).bitWidth / 4 - digits.count)) + digits
}
