import Wire

extension Target {
  /// An Ethernet frame through every layer that the gateway looks at, and what it does to such a frame in place.
  static let frame = Target(
    name: "frame",
    seeds: { seeds in
      let arp = Seeds.made(length: 42) { bytes in
        _ = EthernetHeader(destination: .broadcast, source: Seeds.mac(1), etherType: EtherType.arp).write(into: &bytes)
        _ = ARPPacket(
          .request, senderMAC: Seeds.mac(1), sender: Seeds.v4(1), targetMAC: .zero, target: Seeds.v4(2)
        ).write(into: &bytes, at: 14)
      }
      let solicitation = Seeds.made(length: 72) { bytes in
        _ = NeighbourMessage.solicitation(for: Seeds.v6(2), from: Seeds.v6(1), mac: Seeds.mac(1)).write(into: &bytes)
      }
      let watch = Seeds.carried(
        Seeds.made(length: BFDPacket.length) { bytes in
          _ = BFDPacket(
            state: .up, multiplier: 3, myDiscriminator: 1, yourDiscriminator: 2, desiredMinTx: 50_000,
            requiredMinRx: 50_000
          ).write(into: &bytes)
        }, overIPv6: false)
      let carried = seeds.packets.prefix(40).enumerated().map { Seeds.carried($1, overIPv6: $0 % 2 == 0) }
      return [arp, Seeds.frame(solicitation), watch] + seeds.payloads.map(Seeds.frame) + carried
    },
    run: { bytes in
      _ = InnerFlow(frame: bytes)
      guard let frame = EthernetView(bytes) else { return }
      require(frame.headerLength + frame.payload.byteCount == bytes.byteCount, "a frame is header and payload")
      if let arp = ARPPacket(frame.payload) { checkARP(arp) }
      if let packet = IPv4View(frame.payload) { check(packet) }
      if let packet = IPv6View(frame.payload) { check(packet) }
      checkChanges(frame.payload)
      checkErrors(about: frame.payload)
    })

  private static func checkARP(_ arp: ARPPacket) {
    let written = Seeds.made(length: ARPPacket.length) { bytes in _ = arp.write(into: &bytes) }
    require(ARPPacket(written.span.bytes) == arp, "ARP reads what it wrote")
  }

  private static func check(_ packet: borrowing IPv4View) {
    _ = (packet.options.byteCount, packet.dscp, packet.ecn, packet.ttl, packet.checksumIsValid)
    require(packet.headerLength + packet.payload.byteCount == packet.totalLength, "IPv4 is header and payload")
    check(upper: packet.payload, protocolNumber: packet.protocolNumber)
  }

  private static func check(_ packet: borrowing IPv6View) {
    if let message = NeighbourMessage(packet) {
      let written = Seeds.made(length: message.length) { bytes in _ = message.write(into: &bytes) }
      guard let again = IPv6View(written.span.bytes) else { return require(false, "IPv6 reads what it wrote") }
      require(NeighbourMessage(again) == message, "neighbour discovery reads what it wrote")
    }
    guard let upper = IPv6Extensions.walk(packet) else { return }
    require(upper.upperOffset <= packet.totalLength, "the upper header begins inside the packet")
    guard let rest = packet.packet.part(from: upper.upperOffset, to: packet.totalLength) else { return }
    check(upper: rest, protocolNumber: upper.protocolNumber)
  }

  private static func check(upper bytes: RawSpan, protocolNumber: UInt8) {
    let length = InnerFlow.headerLength(protocolNumber: protocolNumber, bytes)
    require(length <= bytes.byteCount, "a transport header ends inside its packet")
    if let segment = TCPView(bytes), let offset = segment.maximumSegmentSizeOffset {
      require(offset + 2 <= segment.headerLength, "the segment size lies inside the header")
    }
    if let datagram = UDPView(bytes) {
      require(datagram.payload.byteCount + UDPHeader.length == datagram.length, "UDP is header and payload")
      checkBFD(datagram.payload)
      checkSum(datagram)
    }
    if let message = ICMPView(bytes) { _ = (message.type, message.mtu, message.body.byteCount) }
  }

  private static func checkBFD(_ bytes: RawSpan) {
    guard let packet = BFDPacket(bytes) else { return }
    let written = Seeds.made(length: BFDPacket.length) { bytes in _ = packet.write(into: &bytes) }
    require(BFDPacket(written.span.bytes) == packet, "BFD reads what it wrote")
  }

  /// A checksum that is written is right.
  private static func checkSum(_ datagram: borrowing UDPView) {
    let (source, destination) = (Seeds.v6(1), Seeds.v6(2))
    _ = datagram.checksumIsValid(source: source, destination: destination)
    let header = UDPHeader(
      sourcePort: datagram.sourcePort, destinationPort: datagram.destinationPort,
      datagramLength: UInt16(datagram.length))
    var octets = [UInt8](repeating: 0xA5, count: UDPHeader.length) + datagram.payload.octets
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    _ = header.write(into: &bytes)
    let isDone = header.storeChecksum(&bytes, at: 0, source: source, destination: destination)
    let isRight = UDPView(bytes.bytes)?.checksumIsValid(source: source, destination: destination) ?? false
    require(isDone && isRight, "a datagram gets the right checksum")
  }

  /// What the gateway changes in place keeps right checksums right.
  private static func checkChanges(_ original: RawSpan) {
    var octets = original.octets
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    if let packet = IPv4View(original) {
      let (wasValid, header) = (packet.checksumIsValid, packet.headerLength)
      let upper = UInt64(packet.protocolNumber)
      IPv4Header.decrementTTL(&bytes)
      IPv4Header.setTrafficClass(0xB8, &bytes)
      let sumBefore = tcpSum(bytes.bytes, from: header, seed: upper)
      let changed = TCPView.clampMaximumSegmentSize(&bytes, at: header, to: 1200)
      if changed { require(tcpSum(bytes.bytes, from: header, seed: upper) == sumBefore, "clamping keeps the TCP sum") }
      guard let again = IPv4View(bytes.bytes) else { return require(false, "a changed header stays readable") }
      require(!wasValid || again.checksumIsValid, "a changed header keeps its checksum right")
    } else if IPv6View(original) != nil {
      IPv6Header.decrementHopLimit(&bytes)
      IPv6Header.setTrafficClass(0xB8, &bytes)
      guard let again = IPv6View(bytes.bytes) else { return require(false, "a changed header stays readable") }
      require(again.trafficClass == 0xB8, "the traffic class is what was written")
    }
    for source in [Seeds.v4(9), Seeds.v6(9)] {
      if let length = EchoReply.rewrite(&bytes, from: source) {
        require(length <= original.byteCount, "an echo reply is no longer than its request")
      }
    }
  }

  /// Ones' complement sum of a segment, in one of its two forms of zero.
  private static func tcpSum(_ bytes: RawSpan, from start: Int, seed: UInt64) -> UInt16 {
    guard let segment = bytes.part(from: start, to: bytes.byteCount) else { return 0 }
    let sum = Checksum.compute(segment, onto: seed)
    return sum == 0xFFFF ? 0 : sum
  }

  /// Errors about a packet are whole packets of a legal size.
  private static func checkErrors(about original: RawSpan) {
    for source in [Seeds.v4(9), Seeds.v6(9)] {
      for error in [ICMPError.timeExceeded, .tooBig(mtu: 1400)] {
        var octets = [UInt8](repeating: 0xA5, count: 1280)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        guard let length = error.write(about: original, from: source, into: &bytes) else { continue }
        let packet = bytes.bytes.extracting(first: length)
        if let view = IPv4View(packet) {
          require(view.checksumIsValid && length <= 576, "an ICMP error has a right checksum and at most 576 octets")
          require(Checksum.compute(view.payload) == 0, "an ICMP error's checksum is right")
        } else if let view = IPv6View(packet) {
          let right = ICMPv6.checksumIsValid(view.payload, source: view.source, destination: view.destination)
          require(right && length <= 1280, "an ICMPv6 error has a right checksum and at most 1280 octets")
        } else {
          require(false, "an ICMP error is a packet")
        }
      }
    }
  }
}
