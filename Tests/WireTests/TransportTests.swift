import Support
import Testing
import Wire

@Suite struct UDPTests {
  @Test func takesApart() throws {
    let datagram = Scapy.udp4.dropping(20)
    let view = try required(UDPView((datagram + [9, 9]).span.bytes))
    let (source, destination, length, checksum) = (view.sourcePort, view.destinationPort, view.length, view.checksum)
    #expect(source == 1 && destination == 2 && length == 12 && checksum == 0x130A)
    let payload = (0..<view.payload.byteCount).map { view.payload.uint8(at: $0) }
    #expect(payload == Array("data".utf8))
  }

  @Test func writes() {
    let header = UDPHeader(sourcePort: 49152, destinationPort: 4500, datagramLength: 1400)
    let (octets, end) = onDirtyBuffer(10) { header.write(into: &$0, at: 1) }
    #expect(octets == [0xA5, 0xC0, 0x00, 0x11, 0x94, 0x05, 0x78, 0, 0, 0xA5] && end == 9)
    #expect(refusesShortBuffers(8) { header.write(into: &$0) })
  }

  @Test func impossibleLengths() {
    let datagram = Scapy.udp4.dropping(20)
    for count in 0..<datagram.count {
      let isNone = UDPView(datagram.span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
    let (short, zero) = (
      UDPView(datagram.with(7, at: 5).span.bytes) == nil, UDPView(datagram.with(0, at: 5).span.bytes) == nil
    )
    #expect(short && zero)
  }
}

@Suite struct TCPTests {
  @Test func takesApart() throws {
    let segment = Scapy.ipv4Options.dropping(32)
    let view = try required(TCPView(segment.span.bytes))
    let (source, destination, length, isSYN) = (view.sourcePort, view.destinationPort, view.headerLength, view.isSYN)
    #expect(source == 40000 && destination == 443 && length == segment.count && isSYN)
    // NOP, SACK permitted (2), MSS: kind and length, then the value.
    let place = view.maximumSegmentSizeOffset
    #expect(place == 25 && Array(segment[25..<27]) == [0x05, 0xB4])
  }

  @Test func impossibleLengths() {
    let segment = Scapy.ipv4Options.dropping(32)
    for count in 0..<segment.count {
      let isNone = TCPView(segment.span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
    let short = TCPView(segment.with(0x40, at: 12).span.bytes) == nil
    #expect(short)
    // Options of length 0 or 1, beyond the header, MSS of another length: no MSS, and no endless loop.
    for (offset, value) in [(22, 0), (22, 1), (22, 200), (24, 3), (24, 11), (21, 0)] as [(Int, UInt8)] {
      let place = TCPView(segment.with(value, at: offset).span.bytes)?.maximumSegmentSizeOffset
      #expect(place == nil, "octet \(offset) is \(value)")
    }
  }

  func checksum(_ packet: [UInt8]) throws -> UInt16 {
    let view = try required(IPv4View(packet.span.bytes))
    return Checksum.compute(
      view.payload,
      onto: Checksum.pseudoHeader(
        source: view.source, destination: view.destination, protocolNumber: IPProtocol.tcp,
        length: view.payload.byteCount))
  }

  @Test func clamps() throws {
    // The value at an odd offset: what scapy makes of 1300 instead of 1460, checksum included.
    let (clamped, did) = changed(Scapy.synOdd) { TCPView.clampMaximumSegmentSize(&$0, at: 20, to: 1300) }
    #expect(did && clamped == Scapy.synClamped)
    // At an even offset, after extension headers.
    let (chained, didChained) = changed(Scapy.ipv6Chain) { TCPView.clampMaximumSegmentSize(&$0, at: 88, to: 1220) }
    let view = try required(IPv6View(chained.span.bytes))
    let sum = Checksum.compute(
      chained.span.bytes.extracting(88..<chained.count),
      onto: Checksum.pseudoHeader(
        source: view.source, destination: view.destination, protocolNumber: IPProtocol.tcp, length: chained.count - 88))
    #expect(didChained && sum == 0 && Array(chained[110..<112]) == [0x04, 0xC4])
  }

  @Test func leavesOthersAlone() throws {
    #expect(try checksum(Scapy.synOdd) == 0 && checksum(Scapy.synClamped) == 0)
    let cases: [([UInt8], Int, UInt16)] = [
      (Scapy.synOdd, 20, 1460), (Scapy.synOdd, 20, 9000), (Scapy.synOdd.with(0x10, at: 33), 20, 536),
      (Scapy.synOdd, 40, 536),
      (Scapy.synOdd, -1, 536), (Scapy.synOdd, 49, 536), (Scapy.synOdd.with(0xF0, at: 32), 20, 536),
    ]
    for (packet, offset, limit) in cases {
      let (octets, did) = changed(packet) { TCPView.clampMaximumSegmentSize(&$0, at: offset, to: limit) }
      #expect(!did && octets == packet)
    }
  }
}
