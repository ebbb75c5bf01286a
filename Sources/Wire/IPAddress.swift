/// An IPv4 or IPv6 address as one 128-bit number in the order of the wire; IPv4 is ::ffff:a.b.c.d, as the KDF wants it
/// (wire format, section 2). An IPv6 packet that carries such an address is told apart by its header, never by this value.
@usableFromInline
package struct IPAddress: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var high: UInt64
  @usableFromInline package var low: UInt64

  @inlinable package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  @inlinable package init(ipv4: UInt32) {
    self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4))
  }

  /// Written out, as the one that the compiler would make does not inline into other modules.
  @inlinable package static func == (left: IPAddress, right: IPAddress) -> Bool {
    (left.high ^ right.high) | (left.low ^ right.low) == 0
  }

  package static let unspecifiedIPv4 = IPAddress(ipv4: 0)
  package static let unspecifiedIPv6 = IPAddress(high: 0, low: 0)
  /// ff02::1, every node on the link.
  package static let allNodes = IPAddress(high: 0xFF02_0000_0000_0000, low: 1)

  /// Also true of an IPv6 address inside ::ffff:0:0/96 taken from a packet.
  @inlinable package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// The low 32 bits; meaningful when `isIPv4`.
  @inlinable package var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// Bits of an address of this family: 32 or 128.
  @inlinable package var bitWidth: UInt8 { isIPv4 ? 32 : 128 }

  @inlinable package var isUnspecified: Bool { isIPv4 ? ipv4 == 0 : high | low == 0 }
  @inlinable package var isLoopback: Bool { isIPv4 ? ipv4 >> 24 == 127 : high == 0 && low == 1 }
  @inlinable package var isMulticast: Bool { isIPv4 ? ipv4 >> 28 == 0xE : high >> 56 == 0xFF }
  @inlinable package var isLinkLocal: Bool { isIPv4 ? ipv4 >> 16 == 0xA9FE : high >> 54 == 0x3FA }
  /// 255.255.255.255; the broadcast address of a network is the prefix's business.
  @inlinable package var isBroadcast: Bool { isIPv4 && ipv4 == 0xFFFF_FFFF }

  /// ff02::1:ffXX:XXXX, where neighbour solicitations for this address go (RFC 4291, section 2.7.1).
  package var solicitedNode: IPAddress {
    IPAddress(high: 0xFF02_0000_0000_0000, low: 0x0001_FF00_0000 | low & 0xFF_FFFF)
  }

  /// fe80::/64 with the modified EUI-64 of a MAC address (RFC 4291, appendix A).
  package init(linkLocal mac: MACAddress) {
    let eui = (mac.rawValue & 0xFFFF_FF00_0000) << 16 | 0xFF_FE00_0000 | mac.rawValue & 0xFF_FFFF
    self.init(high: 0xFE80_0000_0000_0000, low: eui ^ 0x0200_0000_0000_0000)
  }
}

extension IPAddress: Comparable {
  @inlinable package static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }
}
