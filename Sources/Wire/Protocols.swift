/// IEEE 802 Ethernet types that the gateway knows.
@usableFromInline
package enum EtherType {
  @inlinable package static var ipv4: UInt16 { 0x0800 }
  @inlinable package static var arp: UInt16 { 0x0806 }
  @inlinable package static var ipv6: UInt16 { 0x86DD }
  /// IEEE 802.1Q, a customer tag.
  @inlinable package static var vlan: UInt16 { 0x8100 }
  /// IEEE 802.1ad, a service tag, the outer one of two.
  @inlinable package static var serviceVLAN: UInt16 { 0x88A8 }
}

/// IANA's IP protocol numbers that the gateway knows.
@usableFromInline
package enum IPProtocol {
  @inlinable package static var hopByHop: UInt8 { 0 }
  @inlinable package static var icmp: UInt8 { 1 }
  /// IPv4 inside.
  @inlinable package static var ipv4: UInt8 { 4 }
  @inlinable package static var tcp: UInt8 { 6 }
  @inlinable package static var udp: UInt8 { 17 }
  /// IPv6 inside.
  @inlinable package static var ipv6: UInt8 { 41 }
  @inlinable package static var routing: UInt8 { 43 }
  @inlinable package static var fragment: UInt8 { 44 }
  @inlinable package static var authentication: UInt8 { 51 }
  @inlinable package static var icmpv6: UInt8 { 58 }
  @inlinable package static var noNextHeader: UInt8 { 59 }
  @inlinable package static var destinationOptions: UInt8 { 60 }
  @inlinable package static var sctp: UInt8 { 132 }
  @inlinable package static var mobility: UInt8 { 135 }
  @inlinable package static var hostIdentity: UInt8 { 139 }
  @inlinable package static var shim6: UInt8 { 140 }
  @inlinable package static var ethernet: UInt8 { 143 }
  /// Stateless EESP directly over IP: one of RFC 3692's experimental numbers, as none is assigned (wire format, section 6).
  @inlinable package static var statelessEESP: UInt8 { 253 }
}
