import Support
import Testing
import Wire

/// Nothing that a packet can hold may trap: a trap ends the whole test run, so that getting through is the result. What
/// parses must also lie inside the packet.
@Suite struct HostileInputTests {
  func readEverything(_ octets: [UInt8]) -> Bool {
    let bytes = octets.span.bytes
    let count = octets.count
    var isInside = true
    if let frame = EthernetView(bytes) {
      isInside = isInside && frame.headerLength <= count && frame.payload.byteCount == count - frame.headerLength
      isInside =
        isInside && (frame.outerTag != nil) == (frame.vlanCount > 0)
        && (frame.innerTag != nil) == (frame.vlanCount == 2)
    }
    if let view = IPv4View(bytes) {
      isInside = isInside && view.headerLength + view.payload.byteCount == view.totalLength && view.totalLength <= count
      _ = view.checksumIsValid
      isInside = isInside && view.options.byteCount == view.headerLength - 20
    }
    if let view = IPv6View(bytes) {
      isInside = isInside && view.totalLength <= count && view.payload.byteCount == view.payloadLength
      if let upper = IPv6Extensions.walk(view) {
        isInside = isInside && upper.upperOffset <= view.totalLength && upper.nextHeaderOffset < upper.upperOffset
      }
      if let message = NeighbourMessage(view) { isInside = isInside && message.length <= 72 }
    }
    if let view = UDPView(bytes) {
      isInside = isInside && view.payload.byteCount + 8 == view.length
      _ = view.checksumIsValid(source: ICMPTests.gateway4, destination: ICMPTests.gateway4)
      isInside = isInside && (BFDPacket(view.payload) == nil || view.payload.byteCount >= BFDPacket.length)
    }
    _ = BFDPacket(bytes)
    if let view = TCPView(bytes) {
      isInside = isInside && view.headerLength <= count
      if let place = view.maximumSegmentSizeOffset { isInside = isInside && place + 2 <= view.headerLength }
    }
    if let flow = InnerFlow(packet: bytes) {
      isInside = isInside && flow.transportOffset <= flow.headersEnd && flow.headersEnd <= count
    }
    if let flow = InnerFlow(frame: bytes) {
      isInside = isInside && flow.transportOffset <= flow.headersEnd && flow.headersEnd <= count
    }
    if let inner = InnerPayload.classify(bytes).inner {
      isInside = isInside && inner.offset >= 0 && inner.length >= 0 && inner.offset + inner.length <= count
    }
    if let header = SecurityHeader.decode(bytes, overUDP: true, sourceIsMapped: false).header {
      isInside = isInside && Int(header.length) + header.clearLength + 16 <= count && header.ioffset <= header.coffset
      for index in 0..<Int(header.optionCount) {
        let option = header.option(index)
        isInside = isInside && option.idOffset + option.idLength <= Int(header.length) - 8
      }
    }
    _ = ARPPacket(bytes)
    _ = PayloadInfoHeader(bytes)
    for source in [ICMPTests.gateway4, ICMPTests.gateway6] {
      let (_, end) = onDirtyBuffer(1400) {
        ICMPError.tooBig(mtu: 1280).write(about: octets.span.bytes, from: source, into: &$0)
      }
      isInside = isInside && end ?? 0 <= 1280
      isInside = isInside && changed(octets) { EchoReply.rewrite(&$0, from: source) }.result ?? 0 <= count
    }
    _ = changed(octets) { TCPView.clampMaximumSegmentSize(&$0, at: 0, to: 500) }
    return isInside
  }

  @Test func truncations() throws {
    let vectors = try VectorFile.load()
    let packets = Scapy.all + vectors.positive.map(\.packet) + vectors.positive.map(\.payload)
    for packet in packets {
      for count in 0...min(packet.count, 300) {
        let isInside = readEverything(Array(packet.prefix(count)))
        #expect(isInside, "\(packet.hex) cut to \(count)")
      }
      // Also with link headers and outer headers taken off.
      for start in [4, 14, 18, 20, 22, 40] where start < packet.count {
        let isInside = readEverything(packet.dropping(start))
        #expect(isInside, "\(packet.hex) from \(start)")
      }
    }
  }

  @Test func everyOctetDamaged() throws {
    var random = SplitMix(seed: 7)
    for packet in Scapy.all {
      for offset in 0..<packet.count {
        for value in [0, 1, 0x7F, 0x80, 0xFF, UInt8(truncatingIfNeeded: random.next())] as [UInt8] {
          let damaged = packet.with(value, at: offset)
          let isInside = readEverything(damaged)
          #expect(isInside, "\(damaged.hex)")
        }
      }
    }
  }

  @Test func randomOctets() {
    var random = SplitMix(seed: 8)
    let starts: [UInt8] = [0x45, 0x4F, 0x60, 0x00, 0xF1, 0xF2, 0xF6, 0xFF, 0x20]
    for round in 0..<100_000 {
      var octets = random.octets(Int(random.next() % 160))
      // Three of four begin as something that is read on.
      if round % 4 != 0, !octets.isEmpty { octets[0] = starts[round / 4 % starts.count] }
      let isInside = readEverything(octets)
      if !isInside { Issue.record("\(octets.hex)") }
    }
  }
}
