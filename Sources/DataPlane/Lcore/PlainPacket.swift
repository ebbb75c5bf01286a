internal import CDPDK
internal import Wire

/// A whole TCP or UDP packet without options or extension headers, as nearly all are: what to ask of one that belongs to a
/// known flow. Whatever else it might be, it takes the general way.
struct PlainPacket {
  let id: FlowID
  /// Octets.
  let length: Int
  let trafficClass: UInt8
  let mayFragment: Bool

  /// Reads no further than `available` octets; `isIPv4` is as the function of that name has it. The checks are those of
  /// `Worker.classifyPacket` and `age`, in whatever order is cheap, as none of them names a drop here; what depends on nothing
  /// but the flow's ID was checked for its first packet.
  @inline(__always)
  init?(_ packet: UnsafeRawPointer, available: Int, isIPv4: Bool, origin: FlowOrigin) {
    let start: Int
    let protocolNumber: UInt8
    let first = UInt64(bigEndian: packet.loadUnaligned(as: UInt64.self))
    if isIPv4 {
      start = IPv4Header.minimumLength
      guard available >= start &+ UDPHeader.length else { return nil }
      let second = UInt64(bigEndian: packet.loadUnaligned(fromByteOffset: IPv4Header.ttlOffset, as: UInt64.self))
      guard UInt16(truncatingIfNeeded: first) & 0x3FFF == 0, second >> 56 > 1, Self.hasRightChecksum(packet)
      else { return nil }
      length = Int(truncatingIfNeeded: first >> 32 & 0xFFFF)
      trafficClass = UInt8(truncatingIfNeeded: first >> 48)
      mayFragment = UInt16(truncatingIfNeeded: first) & IPv4Header.dontFragment == 0
      protocolNumber = UInt8(truncatingIfNeeded: second >> 48)
    } else {
      start = IPv6Header.length
      guard available >= start &+ UDPHeader.length, first >> 60 == 6, first & 0xFF > 1 else { return nil }
      length = IPv6Header.length &+ Int(truncatingIfNeeded: first >> 16 & 0xFFFF)
      trafficClass = UInt8(truncatingIfNeeded: first >> 52)
      mayFragment = false
      protocolNumber = UInt8(truncatingIfNeeded: first >> 8)
    }
    guard length <= available, length >= start &+ UDPHeader.length else { return nil }
    let ports = packet.loadUnaligned(fromByteOffset: start, as: UInt32.self)
    // What is left in clear ends where the header does: packets of one flow have the size of it in common.
    if protocolNumber == IPProtocol.udp {
      id = FlowID(packet, isIPv4: isIPv4, ports: ports, protocolNumber: IPProtocol.udp, origin: origin)
    } else {
      guard protocolNumber == IPProtocol.tcp, length >= start &+ TCPView.minimumLength else { return nil }
      let size = packet.load(fromByteOffset: start &+ TCPView.dataOffsetOffset, as: UInt8.self) >> 4
      let headersEnd = start &+ Int(size) &* 4
      // A SYN may have its segment size lowered.
      guard headersEnd >= start &+ TCPView.minimumLength, headersEnd <= length,
        packet.load(fromByteOffset: start &+ TCPView.flagsOffset, as: UInt8.self) & TCPView.syn == 0
      else { return nil }
      id = FlowID(
        packet, isIPv4: isIPv4, ports: ports, protocolNumber: IPProtocol.tcp, shape: size, origin: origin)
    }
  }

  /// IPv4 without options. What is neither that nor IPv6 is no plain packet.
  @inline(__always) static func isIPv4(_ packet: UnsafeRawPointer) -> Bool { packet.load(as: UInt8.self) == 0x45 }

  /// Whether the checksum of an IPv4 header without options is right.
  @inline(__always)
  static func hasRightChecksum(_ packet: UnsafeRawPointer) -> Bool {
    let first = packet.loadUnaligned(as: UInt64.self)
    let second = packet.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    let last = packet.loadUnaligned(fromByteOffset: IPv4Header.destinationOffset, as: UInt32.self)
    // In whatever order of octets, and in words of whatever size: ones' complement sums are the same, but for the order (RFC
    // 1071, section 2).
    let (sum, carry) = first.addingReportingOverflow(second)
    let (whole, lastCarry) = (sum &+ (carry ? 1 : 0)).addingReportingOverflow(UInt64(last))
    return Checksum.fold(whole &+ (lastCarry ? 1 : 0)) == 0xFFFF
  }
}

extension PortEntry {
  /// Where a frame's IP packet begins, for a frame of one buffer to this port alone, with this port's tag and no other.
  ///
  /// - Parameter station: its MAC address, as a word of it stands in frames.
  @inline(__always) func plainOffset(_ mbuf: Mbuf, station: UInt64) -> Int? {
    let frame = UnsafeRawPointer(mbuf.data)
    guard mbuf.pointee.nb_segs == 1, mbuf.length >= 18 &+ IPv4Header.minimumLength else { return nil }
    let destination = frame.loadUnaligned(as: UInt64.self)
    guard (destination ^ station) & Self.address == 0 || isCapture && destination.bigEndian >> 56 & 1 == 0 else {
      return nil
    }
    if vlan == Self.untagged { return Self.isIP(frame, at: EthernetHeader.typeOffset) ? 14 : nil }
    let tag = UInt32(bigEndian: frame.loadUnaligned(fromByteOffset: EthernetHeader.typeOffset, as: UInt32.self))
    guard tag >> 16 == EtherType.vlan, UInt16(truncatingIfNeeded: tag) & 0xFFF == vlan else { return nil }
    return Self.isIP(frame, at: 16) ? 18 : nil
  }

  /// The first six octets of a frame's first word.
  private static var address: UInt64 { (~0xFFFF as UInt64).bigEndian }

  @inline(__always) private static func isIP(_ frame: UnsafeRawPointer, at offset: Int) -> Bool {
    let type = frame.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
    return type == EtherType.ipv4.bigEndian || type == EtherType.ipv6.bigEndian
  }
}
