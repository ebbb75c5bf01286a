/// What an opened payload holds (wire format, section 3).
@usableFromInline
package enum PayloadForm: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// Tunnel mode, an IPv4 packet.
  case ipv4
  /// Tunnel mode, an IPv6 packet.
  case ipv6
  /// An upper layer's header and data, whose IP header stayed outside.
  case transport
  /// An Ethernet frame without its FCS.
  case ethernet
}

/// Where in an opened payload the inner packet lies; what is outside is Payload Info Header and padding.
@usableFromInline
package struct InnerPayload: Sendable, BitwiseCopyable {
  @usableFromInline package let form: PayloadForm
  /// The inner packet's protocol: 4 or 41 in tunnel mode, otherwise the Payload Info Header's.
  @usableFromInline package let nextHeader: UInt8
  /// Octets before the inner packet: 0 or 4.
  @usableFromInline package let offset: Int
  /// Octets of the inner packet, without padding.
  @usableFromInline package let length: Int

  @usableFromInline
  package enum Classified: Sendable {
    case inner(InnerPayload)
    case drop(DropReason)
  }

  @inlinable init(form: PayloadForm, nextHeader: UInt8, offset: Int, length: Int) {
    self.form = form
    self.nextHeader = nextHeader
    self.offset = offset
    self.length = length
  }

  /// Takes what lay between header and ICV, opened. Drops are `malformedInner`, then `dummy`.
  @inlinable @inline(__always) package static func classify(_ payload: RawSpan) -> Classified {
    let count = payload.byteCount
    guard count > 0 else { return .drop(.malformedInner) }
    let first = payload.uint8(at: 0)
    switch first >> 4 {
    case 4:
      guard count >= IPv4Header.minimumLength else { return .drop(.malformedInner) }
      let headerLength = Int(first & 0xF) &* 4
      let length = Int(payload.uint16(at: IPv4Header.totalLengthOffset))
      guard headerLength >= IPv4Header.minimumLength, length >= headerLength, length <= count else {
        return .drop(.malformedInner)
      }
      return .inner(InnerPayload(form: .ipv4, nextHeader: IPProtocol.ipv4, offset: 0, length: length))
    case 6:
      guard count >= IPv6Header.length else { return .drop(.malformedInner) }
      let length = IPv6Header.length &+ Int(payload.uint16(at: IPv6Header.payloadLengthOffset))
      guard length <= count else { return .drop(.malformedInner) }
      return .inner(InnerPayload(form: .ipv6, nextHeader: IPProtocol.ipv6, offset: 0, length: length))
    case 0:
      guard let info = PayloadInfoHeader(payload) else { return .drop(.malformedInner) }
      let length = count &- PayloadInfoHeader.length &- Int(info.padLength)
      guard length >= 0 else { return .drop(.malformedInner) }
      switch info.nextHeader {
      case IPProtocol.noNextHeader:
        return .drop(.dummy)
      case IPProtocol.ethernet:
        guard length >= EthernetHeader.minimumLength else { return .drop(.malformedInner) }
        return .inner(
          InnerPayload(
            form: .ethernet, nextHeader: info.nextHeader, offset: PayloadInfoHeader.length, length: length))
      default:
        return .inner(
          InnerPayload(
            form: .transport, nextHeader: info.nextHeader, offset: PayloadInfoHeader.length, length: length))
      }
    default:
      return .drop(.malformedInner)
    }
  }
}
