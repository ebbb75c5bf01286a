/// An ARP packet for IPv4 over Ethernet (RFC 826).
@usableFromInline
package struct ARPPacket: Hashable, Sendable, BitwiseCopyable {
  package enum Operation: UInt16, Sendable, BitwiseCopyable {
    case request = 1
    case reply = 2
  }

  package let operation: Operation
  package let senderMAC: MACAddress
  package let sender: IPAddress
  package let targetMAC: MACAddress
  package let target: IPAddress

  package static let length = 28
  private static let operationOffset = 6
  private static let senderMACOffset = 8
  private static let senderOffset = 14
  private static let targetMACOffset = 18
  private static let targetOffset = 24
  /// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 octets.
  private static let prefix: UInt64 = 0x0001_0800_0604

  package init(
    _ operation: Operation, senderMAC: MACAddress, sender: IPAddress, targetMAC: MACAddress, target: IPAddress
  ) {
    self.operation = operation
    self.senderMAC = senderMAC
    self.sender = sender
    self.targetMAC = targetMAC
    self.target = target
  }

  /// Reads what follows the Ethernet header. Nothing under 28 octets, for other hardware, protocols or operations, and for a
  /// sender that is a multicast MAC address, which no host has.
  package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= ARPPacket.length, bytes.uint64(at: 0) >> 16 == ARPPacket.prefix,
      let operation = Operation(rawValue: bytes.uint16(at: ARPPacket.operationOffset))
    else { return nil }
    self.init(
      operation, senderMAC: bytes.macAddress(at: ARPPacket.senderMACOffset),
      sender: IPAddress(ipv4: bytes.uint32(at: ARPPacket.senderOffset)),
      targetMAC: bytes.macAddress(at: ARPPacket.targetMACOffset),
      target: IPAddress(ipv4: bytes.uint32(at: ARPPacket.targetOffset)))
    guard !senderMAC.isMulticast else { return nil }
  }

  /// What to answer to a request when `mac` has the target's address.
  package func reply(from mac: MACAddress) -> ARPPacket {
    ARPPacket(.reply, senderMAC: mac, sender: target, targetMAC: senderMAC, target: sender)
  }

  /// Returns the offset after the packet; nothing, and no octet written, when it does not fit.
  package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: ARPPacket.length, at: offset) else { return nil }
    bytes.store(ARPPacket.prefix << 16 | UInt64(operation.rawValue), at: offset)
    bytes.store(senderMAC, at: offset + ARPPacket.senderMACOffset)
    bytes.store(sender.ipv4, at: offset + ARPPacket.senderOffset)
    bytes.store(targetMAC, at: offset + ARPPacket.targetMACOffset)
    bytes.store(target.ipv4, at: offset + ARPPacket.targetOffset)
    return offset + ARPPacket.length
  }
}
