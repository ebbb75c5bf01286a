import Wire

/// Answers to ping (RFC 792, RFC 4443) and ICMP errors (RFC 1812, section 4.3.2; RFC 4443, section 2.4).
extension SlowPath {
  /// A request in one piece to an own address, from a host; an opened one is answered by way of its route.
  mutating func answerEcho<Output: SlowPathOutput>(
    _ frame: RawSpan, _ info: PuntInfo, now: UInt64, _ output: inout Output
  ) -> PuntDisposition {
    guard let port = ports[info.port], let packet = frame.part(from: Int(info.l3Offset), to: frame.byteCount),
      let ends = IPEnds(packet)
    else { return .dropped(.malformedFrame) }
    guard ends.checksumIsValid else { return .dropped(.checksum) }
    var way: Way?
    if info.punt == .echo {
      guard let link = EthernetView(frame), link.source.isStation else { return .dropped(.malformedFrame) }
      guard port.speaks(link) else { return .dropped(.vlan) }
      guard link.destination == port.mac else { return .dropped(.notForUs) }
      way = Way(port: port.index, header: link.answer(from: port.mac, to: link.source))
    }
    // A link-local address means something on its own link only.
    let isOurs = ends.destination.isLinkLocal ? way != nil && port.owns(ends.destination) : owns(ends.destination)
    guard isOurs else { return .dropped(.notForUs) }
    guard canAnswer(ends.source), way != nil || !ends.source.isLinkLocal, way == nil || ends.length <= Int(port.mtu)
    else { return .dropped(.ownAddress) }
    let length = compose(way) { bytes, start in
      guard bytes.hasRoom(for: ends.length, at: start) else { return nil }
      bytes.store(packet.extracting(first: ends.length), at: start)
      return bytes.withUnsafeMutableBytes { memory in
        var reply = UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + ends.length]).mutableBytes
        return EchoReply.rewrite(&reply, from: ends.destination).map { start + $0 }
      }
    }
    guard let length else { return .dropped(.ownAddress) }
    guard echoBucket.take(now: now) else {
      counts.echoRateLimited &+= 1
      return .dropped(.slowPathFull)
    }
    emit(length, way, &output)
    counts.echoAnswered &+= 1
    return .consumed
  }

  /// Tells the source of a packet why it went no further, if that is allowed and not too often.
  mutating func report<Output: SlowPathOutput>(
    _ error: ICMPError, about frame: RawSpan, _ info: PuntInfo, now: UInt64, _ output: inout Output
  ) {
    guard let (length, way) = compose(error, about: frame, info) else {
      counts.errorsForbidden &+= 1
      return
    }
    guard errorBucket.take(now: now) else {
      counts.errorsRateLimited &+= 1
      return
    }
    emit(length, way, &output)
    switch error {
    case .timeExceeded: counts.timeExceededSent &+= 1
    case .tooBig: counts.tooBigSent &+= 1
    }
  }

  private mutating func compose(_ error: ICMPError, about frame: RawSpan, _ info: PuntInfo) -> (Int, Way?)? {
    guard let packet = frame.part(from: Int(info.l3Offset), to: frame.byteCount), let ends = IPEnds(packet),
      ends.checksumIsValid, canAnswer(ends.source), !ends.destination.isMulticast, !ends.destination.isBroadcast,
      !isBroadcast(ends.destination)
    else { return nil }
    var way: Way?
    if info.fromProtected {
      guard !ends.source.isLinkLocal else { return nil }
    } else {
      // Nor about what a link delivered to many (RFC 1812, section 4.3.2.7).
      guard let port = ports[info.port], let link = EthernetView(frame), link.source.isStation,
        !link.destination.isMulticast
      else { return nil }
      way = Way(port: port.index, header: link.answer(from: port.mac, to: link.source))
    }
    let source = errorSource(ends, info)
    let length = compose(way) { bytes, start in
      error.clamped(ends.isIPv4).write(about: packet, from: source, into: &bytes, at: start)
    }
    return length.map { ($0, way) }
  }

  /// The own address nearest to the sender: of the arrival port, or for an opened packet of the clear side, which is what
  /// the gateway's group may speak for. Without one (a bump in the wire), and on a proxy, the packet's destination stands
  /// in.
  private func errorSource(_ ends: IPEnds, _ info: PuntInfo) -> IPAddress {
    if info.isProxied { return ends.destination }
    let candidates =
      info.fromProtected
      ? ports.values.filter { !$0.isProtected }.sorted { $0.index < $1.index }
      : ports[info.port].map { [$0] } ?? []
    let near = info.fromProtected ? ends.destination : ends.source
    for port in candidates {
      if let prefix = port.prefix(around: near) { return prefix.address }
    }
    let family = candidates.flatMap(\.addresses).map(\.address).filter { $0.isIPv4 == ends.isIPv4 }
    return family.first { !$0.isLinkLocal } ?? ends.destination
  }

  private func owns(_ address: IPAddress) -> Bool { ports.values.contains { $0.owns(address) } }
  private func isBroadcast(_ address: IPAddress) -> Bool { ports.values.contains { $0.isBroadcast(address) } }
  /// One host, and not ourselves: no answer may start a loop or reach many.
  private func canAnswer(_ source: IPAddress) -> Bool { source.isHost && !owns(source) && !isBroadcast(source) }
}

extension ICMPError {
  /// No link is narrower than 68 octets (RFC 791) or 1280 (RFC 8200): less would be taken for an attack.
  fileprivate func clamped(_ isIPv4: Bool) -> ICMPError {
    guard case .tooBig(let mtu) = self else { return self }
    return .tooBig(mtu: max(mtu, isIPv4 ? 68 : 1280))
  }
}

/// Who sent a packet, to whom, and whether it is whole, of either family.
private struct IPEnds {
  let isIPv4: Bool
  let source: IPAddress
  let destination: IPAddress
  /// Octets of the packet without the link's padding.
  let length: Int
  let checksumIsValid: Bool

  init?(_ packet: RawSpan) {
    if let view = IPv4View(packet) {
      isIPv4 = true
      source = view.source
      destination = view.destination
      length = view.totalLength
      checksumIsValid = view.checksumIsValid
    } else if let view = IPv6View(packet), !view.hasMappedAddress {
      isIPv4 = false
      source = view.source
      destination = view.destination
      length = view.totalLength
      checksumIsValid = true
    } else {
      return nil
    }
  }
}
