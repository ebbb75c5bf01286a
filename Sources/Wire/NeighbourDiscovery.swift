/// A neighbour solicitation or advertisement with the IPv6 addresses it travels between (RFC 4861).
package struct NeighbourMessage: Hashable, Sendable {
  package enum Kind: UInt8, Sendable {
    case solicitation = 135
    case advertisement = 136
  }

  package var kind: Kind
  package var source: IPAddress
  package var destination: IPAddress
  package var target: IPAddress
  /// The source's address in a solicitation, the target's in an advertisement.
  package var linkLayer: MACAddress?
  /// Flags of an advertisement.
  package var isRouter = false
  package var isSolicited = false
  package var isOverride = false

  private static let targetOffset = 8
  private static let optionsOffset = 24
  /// Type, length in units of 8 octets, a MAC address.
  private static let optionLength = 8

  package init(
    _ kind: Kind, source: IPAddress, destination: IPAddress, target: IPAddress, linkLayer: MACAddress?,
    isRouter: Bool = false, isSolicited: Bool = false, isOverride: Bool = false
  ) {
    self.kind = kind
    self.source = source
    self.destination = destination
    self.target = target
    self.linkLayer = linkLayer
    self.isRouter = isRouter
    self.isSolicited = isSolicited
    self.isOverride = isOverride
  }

  /// Who has `target`? Asked of its solicited-node multicast group, or of `known`, the address that it had.
  package static func solicitation(
    for target: IPAddress, from source: IPAddress, mac: MACAddress, known: Bool = false
  ) -> NeighbourMessage {
    NeighbourMessage(
      .solicitation, source: source, destination: known ? target : target.solicitedNode, target: target,
      linkLayer: mac)
  }

  /// What to answer to a solicitation when `mac` has the target's address. One without a source is a duplicate address
  /// detection and answered to all nodes (RFC 4861, section 7.2.4).
  package func advertisement(from mac: MACAddress) -> NeighbourMessage {
    NeighbourMessage(
      .advertisement, source: target, destination: source.isUnspecified ? .allNodes : source, target: target,
      linkLayer: mac, isRouter: true, isSolicited: !source.isUnspecified, isOverride: true)
  }

  /// Takes a whole IPv6 packet apart, with all checks of RFC 4861, sections 7.1.1 and 7.1.2; nothing when one fails.
  package init?(_ packet: borrowing IPv6View) {
    let bytes = packet.payload
    guard packet.nextHeader == IPProtocol.icmpv6, packet.hopLimit == 255, !packet.source.isMulticast,
      bytes.byteCount >= NeighbourMessage.optionsOffset, let kind = Kind(rawValue: bytes.uint8(at: 0)),
      bytes.uint8(at: 1) == 0,
      ICMPv6.checksumIsValid(bytes, source: packet.source, destination: packet.destination)
    else { return nil }
    self.init(
      kind, source: packet.source, destination: packet.destination,
      target: bytes.ipv6Address(at: NeighbourMessage.targetOffset), linkLayer: nil)
    guard !target.isMulticast, readOptions(bytes) else { return nil }
    switch kind {
    case .solicitation:
      guard !source.isUnspecified || (linkLayer == nil && destination == target.solicitedNode) else { return nil }
    case .advertisement:
      let flags = bytes.uint8(at: ICMPView.restOffset)
      (isRouter, isSolicited, isOverride) = (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0)
      guard !source.isUnspecified, !destination.isMulticast || !isSolicited else { return nil }
    }
  }

  /// Walks the options; false when one is empty or cut. Each takes at least eight octets, so the walk ends.
  private mutating func readOptions(_ bytes: RawSpan) -> Bool {
    var offset = NeighbourMessage.optionsOffset
    while offset < bytes.byteCount {
      guard bytes.byteCount - offset >= NeighbourMessage.optionLength else { return false }
      let length = Int(bytes.uint8(at: offset + 1)) * 8
      guard length > 0, length <= bytes.byteCount - offset else { return false }
      if bytes.uint8(at: offset) == linkLayerOption, length == NeighbourMessage.optionLength {
        let mac = bytes.macAddress(at: offset + 2)
        guard !mac.isMulticast else { return false }
        linkLayer = mac
      }
      offset += length
    }
    return true
  }

  /// Source or target link-layer address.
  private var linkLayerOption: UInt8 { kind == .solicitation ? 1 : 2 }

  /// Octets of the whole IPv6 packet: 72, or 64 without a link-layer address.
  package var length: Int {
    IPv6Header.length + NeighbourMessage.optionsOffset + (linkLayer == nil ? 0 : NeighbourMessage.optionLength)
  }

  /// Writes the whole IPv6 packet and returns the offset after it; nothing, and no octet written, when it does not fit.
  package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    let header = IPv6Header(
      payloadLength: UInt16(length - IPv6Header.length), nextHeader: IPProtocol.icmpv6, hopLimit: 255, source: source,
      destination: destination)
    guard bytes.hasRoom(for: length, at: offset), let start = header.write(into: &bytes, at: offset) else {
      return nil
    }
    var flags: UInt64 = 0
    if kind == .advertisement {
      flags = (isRouter ? 0x8000_0000 : 0) | (isSolicited ? 0x4000_0000 : 0) | (isOverride ? 0x2000_0000 : 0)
    }
    bytes.store(UInt64(kind.rawValue) << 56 | flags, at: start)
    bytes.store(ipv6: target, at: start + NeighbourMessage.targetOffset)
    if let linkLayer {
      bytes.store(UInt16(linkLayerOption) << 8 | 1, at: start + NeighbourMessage.optionsOffset)
      bytes.store(linkLayer, at: start + NeighbourMessage.optionsOffset + 2)
    }
    let end = offset + length
    let checksum = ICMPv6.checksum(bytes.bytes.extracting(start..<end), source: source, destination: destination)
    bytes.store(checksum, at: start + ICMPView.checksumOffset)
    return end
  }
}
