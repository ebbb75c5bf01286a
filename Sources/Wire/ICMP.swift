/// A borrowed ICMP message of either family (RFC 792, RFC 4443).
@usableFromInline
package struct ICMPView: ~Escapable {
  @usableFromInline let bytes: RawSpan

  @inlinable package static var headerLength: Int { 8 }
  @inlinable package static var checksumOffset: Int { 2 }
  @inlinable package static var restOffset: Int { 4 }

  /// Nothing under 8 octets.
  @_lifetime(copy bytes)
  @inlinable package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= ICMPView.headerLength else { return nil }
    self.bytes = bytes
  }

  @inlinable package var type: UInt8 { bytes.uint8(at: 0) }
  @inlinable package var code: UInt8 { bytes.uint8(at: 1) }
  @inlinable package var checksum: UInt16 { bytes.uint16(at: ICMPView.checksumOffset) }
  /// Of an echo message.
  @inlinable package var identifier: UInt16 { bytes.uint16(at: ICMPView.restOffset) }
  /// Of an echo message.
  @inlinable package var sequence: UInt16 { bytes.uint16(at: ICMPView.restOffset &+ 2) }
  /// The MTU of ICMPv6 Packet Too Big; of IPv4's Fragmentation Needed it is the lower half.
  @inlinable package var mtu: UInt32 { bytes.uint32(at: ICMPView.restOffset) }
  /// Data of an echo message, or as much as an error quotes of its cause.
  @inlinable package var body: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(droppingFirst: ICMPView.headerLength) }
  }
}

/// Message types of ICMP over IPv4 (RFC 792).
@usableFromInline
package enum ICMPv4 {
  @inlinable package static var echoReply: UInt8 { 0 }
  @inlinable package static var unreachable: UInt8 { 3 }
  @inlinable package static var echoRequest: UInt8 { 8 }
  @inlinable package static var timeExceeded: UInt8 { 11 }
  /// Code of `unreachable`.
  @inlinable package static var fragmentationNeeded: UInt8 { 4 }

  /// Unreachable, source quench, redirect, time exceeded, parameter problem.
  @inlinable package static func isError(type: UInt8) -> Bool {
    switch type {
    case 3, 4, 5, 11, 12: true
    default: false
    }
  }
}

/// Message types of ICMPv6 (RFC 4443, RFC 4861).
@usableFromInline
package enum ICMPv6 {
  @inlinable package static var packetTooBig: UInt8 { 2 }
  @inlinable package static var timeExceeded: UInt8 { 3 }
  @inlinable package static var echoRequest: UInt8 { 128 }
  @inlinable package static var echoReply: UInt8 { 129 }
  @inlinable package static var routerSolicitation: UInt8 { 133 }
  @inlinable package static var routerAdvertisement: UInt8 { 134 }
  @inlinable package static var neighbourSolicitation: UInt8 { 135 }
  @inlinable package static var neighbourAdvertisement: UInt8 { 136 }
  @inlinable package static var redirect: UInt8 { 137 }

  /// Errors have types below 128.
  @inlinable package static func isError(type: UInt8) -> Bool { type < 128 }

  /// Whether the checksum of a message is right, over the pseudo header of its packet.
  package static func checksumIsValid(_ message: RawSpan, source: IPAddress, destination: IPAddress) -> Bool {
    checksum(message, source: source, destination: destination) == 0
  }

  static func checksum(_ message: RawSpan, source: IPAddress, destination: IPAddress) -> UInt16 {
    Checksum.compute(
      message,
      onto: Checksum.pseudoHeader(
        source: source, destination: destination, protocolNumber: IPProtocol.icmpv6, length: message.byteCount))
  }
}
