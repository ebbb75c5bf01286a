/// Answers to ping for the gateway's own addresses.
package enum EchoReply {
  /// Turns an echo request, a whole IP packet at the span's start, into its reply.
  ///
  /// - Parameter source: the address to answer from: where the request went to a multicast address another one.
  /// - Returns: the reply's length in octets; nothing, and the packet as it was, unless it is an echo request in one piece
  ///   with a right checksum from a source that can be answered.
  package static func rewrite(_ packet: inout MutableRawSpan, from source: IPAddress) -> Int? {
    guard let request = request(packet.bytes), request.peer.isIPv4 == source.isIPv4 else { return nil }
    let (start, end) = (request.start, request.end)
    if source.isIPv4 {
      packet.store(source.ipv4, at: IPv4Header.sourceOffset)
      packet.store(request.peer.ipv4, at: IPv4Header.destinationOffset)
      packet.store(hopLimit, at: IPv4Header.ttlOffset)
      packet.store(UInt16(0), at: IPv4Header.checksumOffset)
      packet.store(Checksum.compute(packet.bytes.extracting(first: start)), at: IPv4Header.checksumOffset)
      packet.store(ICMPv4.echoReply, at: start)
    } else {
      packet.store(ipv6: source, at: IPv6Header.sourceOffset)
      packet.store(ipv6: request.peer, at: IPv6Header.destinationOffset)
      packet.store(hopLimit, at: IPv6Header.hopLimitOffset)
      packet.store(ICMPv6.echoReply, at: start)
    }
    packet.store(UInt16(0), at: start + ICMPView.checksumOffset)
    let pseudoHeader =
      source.isIPv4
      ? 0
      : Checksum.pseudoHeader(
        source: source, destination: request.peer, protocolNumber: IPProtocol.icmpv6, length: end - start)
    let checksum = Checksum.compute(packet.bytes.extracting(start..<end), onto: pseudoHeader)
    packet.store(checksum, at: start + ICMPView.checksumOffset)
    return end
  }

  /// Where the message lies and who asked.
  private static func request(_ packet: RawSpan) -> (start: Int, end: Int, peer: IPAddress)? {
    if let view = IPv4View(packet) {
      let peer = view.source
      guard !view.isFragment, view.protocolNumber == IPProtocol.icmp, let message = ICMPView(view.payload),
        message.type == ICMPv4.echoRequest, message.code == 0, Checksum.compute(message.bytes) == 0,
        !peer.isUnspecified, !peer.isMulticast, !peer.isBroadcast
      else { return nil }
      return (view.headerLength, view.totalLength, peer)
    }
    if let view = IPv6View(packet) {
      let peer = view.source
      guard view.nextHeader == IPProtocol.icmpv6, let message = ICMPView(view.payload),
        message.type == ICMPv6.echoRequest, message.code == 0,
        ICMPv6.checksumIsValid(message.bytes, source: peer, destination: view.destination),
        !peer.isUnspecified, !peer.isMulticast, !peer.isIPv4
      else { return nil }
      return (IPv6Header.length, view.totalLength, peer)
    }
    return nil
  }

  private static let hopLimit: UInt8 = 64
}
