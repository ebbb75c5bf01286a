/// An address and how many of its leading bits count, within its own family: 0 to 32 or 0 to 128. The address is kept as
/// it was given, so that the same type can say 10.1.0.1/24 of an interface; `network` is without host bits.
@usableFromInline
package struct IPPrefix: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package let address: IPAddress
  @usableFromInline package let length: UInt8

  /// Nothing when the length is above the family's.
  package init?(address: IPAddress, length: UInt8) {
    guard length <= address.bitWidth else { return nil }
    self.address = address
    self.length = length
  }

  private init(masked address: IPAddress, length: UInt8) {
    self.address = address
    self.length = length
  }

  /// The prefix that covers one address.
  package init(host address: IPAddress) {
    self.init(masked: address, length: address.bitWidth)
  }

  /// The length counted in IPv6 bits, where IPv4 lies under ::ffff:0:0/96.
  @inlinable package var mappedLength: UInt8 { address.isIPv4 ? length &+ 96 : length }

  @inlinable package var mask: (high: UInt64, low: UInt64) {
    // Swift's >> and << of 64 give zero, so that the ends need no case of their own.
    let bits = Int(mappedLength)
    return (~(UInt64.max >> UInt64(min(bits, 64))), ~(UInt64.max >> UInt64(max(bits, 64) &- 64)))
  }

  /// An IPv4 address is never inside an IPv6 prefix, not even ::/0.
  @inlinable package func contains(_ other: IPAddress) -> Bool {
    let mask = mask
    return address.isIPv4 == other.isIPv4
      && (address.high ^ other.high) & mask.high | (address.low ^ other.low) & mask.low == 0
  }

  /// Whether every address of `other` is inside.
  package func contains(_ other: IPPrefix) -> Bool {
    length <= other.length && contains(other.address)
  }

  package var network: IPPrefix {
    IPPrefix(
      masked: IPAddress(high: address.high & mask.high, low: address.low & mask.low), length: length)
  }

  /// Whether bits of the address are set that the length leaves out, as in 10.1.0.1/24.
  package var hasHostBits: Bool { network.address != address }

  /// The directed broadcast address of an IPv4 network of at most 30 bits; longer ones have none (RFC 3021).
  package var broadcast: IPAddress? {
    guard address.isIPv4, length <= 30 else { return nil }
    return IPAddress(ipv4: address.ipv4 | UInt32.max >> UInt32(length))
  }
}

extension IPPrefix: CustomStringConvertible {
  /// ADDRESS/LENGTH, both required.
  package init?(_ text: String) {
    guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")),
      let address = IPAddress(String(text[..<slash])),
      let length = TextForm.decimal(text.utf8[text.utf8.index(after: slash)...], upTo: UInt32(address.bitWidth))
    else { return nil }
    self.init(masked: address, length: UInt8(length))
  }

  @usableFromInline package var description: String { "\(address)/\(length)" }
}
