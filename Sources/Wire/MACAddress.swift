/// An Ethernet address: the low 48 bits of a number, in the order of the wire.
@usableFromInline
package struct MACAddress: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var rawValue: UInt64

  @inlinable package init(rawValue: UInt64) {
    self.rawValue = rawValue & 0xFFFF_FFFF_FFFF
  }

  /// Written out, as the one that the compiler would make does not inline into other modules.
  @inlinable package static func == (left: MACAddress, right: MACAddress) -> Bool { left.rawValue == right.rawValue }

  package static let broadcast = MACAddress(rawValue: 0xFFFF_FFFF_FFFF)
  @inlinable package static var zero: MACAddress { MACAddress(rawValue: 0) }

  /// Broadcast counts as multicast, as in IEEE 802.
  @inlinable package var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }
  @inlinable package var isBroadcast: Bool { rawValue == 0xFFFF_FFFF_FFFF }
  @inlinable package var isZero: Bool { rawValue == 0 }

  /// Where a multicast IP packet goes: RFC 1112, section 6.4, and RFC 2464, section 7.
  package init(multicast address: IPAddress) {
    self.init(
      rawValue: address.isIPv4
        ? 0x0100_5E00_0000 | UInt64(address.ipv4 & 0x7F_FFFF)
        : 0x3333_0000_0000 | address.low & 0xFFFF_FFFF)
  }
}

extension MACAddress: CustomStringConvertible {
  /// Six pairs of hexadecimal digits between colons, and nothing else.
  package init?(_ text: String) {
    var value: UInt64 = 0
    var count = 0
    for octet in text.utf8 {
      if count % 3 == 2 {
        guard octet == UInt8(ascii: ":") else { return nil }
      } else {
        guard let digit = TextForm.hexDigit(octet) else { return nil }
        value = value << 4 | UInt64(digit)
      }
      count += 1
      guard count <= 17 else { return nil }
    }
    guard count == 17 else { return nil }
    self.init(rawValue: value)
  }

  @usableFromInline package var description: String {
    var text = ""
    for index in 0..<6 {
      let octet = rawValue >> UInt64(40 - 8 * index) & 0xFF
      if index > 0 { text += ":" }
      text += octet < 16 ? "0" : ""
      text += String(octet, radix: 16)
    }
    return text
  }
}
