/// The upper-layer header of an IPv6 packet, after its extension headers.
@usableFromInline
package struct IPv6Extensions: Sendable, BitwiseCopyable {
  /// What stands at `upperOffset`; after a Fragment header that is not the first, the type of what was cut.
  @usableFromInline package var protocolNumber: UInt8
  /// Octets from the IPv6 header's first to the upper-layer header, at most the packet's length.
  @usableFromInline package var upperOffset: Int
  /// Where the octet lies that names the upper layer.
  @usableFromInline package var nextHeaderOffset: Int
  /// Where the Fragment header lies; 0 when there is none.
  @usableFromInline package var fragmentHeaderOffset: Int
  /// In octets.
  @usableFromInline package var fragmentOffset: Int
  @usableFromInline package var moreFragments: Bool
  @usableFromInline package var identification: UInt32

  /// Extension headers that are walked. RFC 8200 has seven at most in its recommended order; more are an attack.
  @inlinable package static var limit: Int { 8 }
  @inlinable package static var fragmentHeaderLength: Int { 8 }

  /// Of any fragment, the first included, but no atomic one (RFC 6946).
  @inlinable package var isFragment: Bool { fragmentOffset != 0 || moreFragments }
  /// Whether the upper-layer header is in this packet.
  @inlinable package var hasUpperHeader: Bool { fragmentOffset == 0 }

  @inlinable init(protocolNumber: UInt8) {
    self.protocolNumber = protocolNumber
    upperOffset = IPv6Header.length
    nextHeaderOffset = IPv6Header.nextHeaderOffset
    fragmentHeaderOffset = 0
    fragmentOffset = 0
    moreFragments = false
    identification = 0
  }

  /// Nothing when a header is cut or when there are more than `limit`.
  @inlinable package static func walk(_ view: borrowing IPv6View) -> IPv6Extensions? {
    let bytes = view.packet
    let count = bytes.byteCount
    var found = IPv6Extensions(protocolNumber: view.nextHeader)
    for _ in 0...limit {
      let here = found.upperOffset
      let length: Int
      switch found.protocolNumber {
      case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.destinationOptions, IPProtocol.mobility,
        IPProtocol.hostIdentity, IPProtocol.shim6:
        guard count &- here >= 8 else { return nil }
        length = Int(bytes.uint8(at: here &+ 1)) &* 8 &+ 8
      case IPProtocol.authentication:
        guard count &- here >= 8 else { return nil }
        length = Int(bytes.uint8(at: here &+ 1)) &* 4 &+ 8
      case IPProtocol.fragment:
        // A second Fragment header would hide the first one's offset.
        guard count &- here >= fragmentHeaderLength, found.fragmentHeaderOffset == 0 else { return nil }
        let word = bytes.uint16(at: here &+ 2)
        found.fragmentHeaderOffset = here
        found.fragmentOffset = Int(word & 0xFFF8)
        found.moreFragments = word & 1 != 0
        found.identification = bytes.uint32(at: here &+ 4)
        length = fragmentHeaderLength
      default:
        return found
      }
      guard length <= count &- here else { return nil }
      found.protocolNumber = bytes.uint8(at: here)
      found.nextHeaderOffset = here
      found.upperOffset = here &+ length
      if !found.hasUpperHeader { return found }
    }
    return nil
  }
}
