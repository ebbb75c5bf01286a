import Support
import Testing
import Wire

@Suite struct IPv6Tests {
  @Test func takesApart() throws {
    let view = try required(IPv6View(Scapy.ipv6Chain.span.bytes))
    let (dscp, ecn, label, length) = (view.dscp, view.ecn, view.flowLabel, view.payloadLength)
    #expect(dscp == 46 && ecn == .notCapable && label == 0x12345 && length == Scapy.ipv6Chain.count - 40)
    let (next, limit, source, destination) = (view.nextHeader, view.hopLimit, view.source, view.destination)
    #expect(next == IPProtocol.hopByHop && limit == 9)
    #expect(source == IPAddress("2001:db8::1") && destination == IPAddress("2001:db8::2"))
    let zeros = [UInt8](repeating: 0, count: 10)
    let mappedPacket = Scapy.udp6.prefix(8) + zeros + [0xFF, 0xFF, 1, 2, 3, 4] + Scapy.udp6.dropFirst(24)
    let mapped = IPv6View(mappedPacket.span.bytes)?.hasMappedAddress
    #expect(mapped == true)
    let padded = IPv6View((Scapy.udp6 + [0, 0]).span.bytes)?.packet.byteCount
    #expect(padded == Scapy.udp6.count)
  }

  @Test func writes() throws {
    let view = try required(IPv6View(Scapy.ipv6Chain.span.bytes))
    let header = IPv6Header(
      trafficClass: view.trafficClass, flowLabel: view.flowLabel, payloadLength: UInt16(view.payloadLength),
      nextHeader: view.nextHeader, hopLimit: view.hopLimit, source: view.source, destination: view.destination)
    let (octets, end) = onDirtyBuffer(44) { header.write(into: &$0, at: 1) }
    #expect(end == 41 && Array(octets[1..<41]) == Array(Scapy.ipv6Chain.prefix(40)) && octets[41] == 0xA5)
    #expect(refusesShortBuffers(40) { header.write(into: &$0) })

    let (marked, _) = changed(Scapy.ipv6Chain) { IPv6Header.setTrafficClass(0x47, &$0) }
    let again = try required(IPv6View(marked.span.bytes))
    let (trafficClass, label) = (again.trafficClass, again.flowLabel)
    #expect(trafficClass == 0x47 && label == 0x12345 && marked.dropping(2) == Scapy.ipv6Chain.dropping(2))
    #expect(changed(Scapy.ipv6Chain) { IPv6Header.decrementHopLimit(&$0) }.octets == Scapy.ipv6Chain.with(8, at: 7))
    #expect(changed(Scapy.udp6.with(0, at: 7)) { IPv6Header.decrementHopLimit(&$0) }.octets[7] == 0)
  }

  @Test func impossibleLengths() {
    for count in 0..<Scapy.udp6.count {
      let isNone = IPv6View(Scapy.udp6.span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
    let version = IPv6View(Scapy.udp6.with(0x40, at: 0).span.bytes) == nil
    #expect(version)
  }

  func walk(_ octets: [UInt8]) -> IPv6Extensions? {
    guard let view = IPv6View(octets.span.bytes) else { return nil }
    return IPv6Extensions.walk(view)
  }

  @Test func walksExtensions() throws {
    let chain = try #require(walk(Scapy.ipv6Chain))
    // 40 + hop-by-hop 8 + routing 24 + destination options 16; the last one names TCP.
    #expect(chain.protocolNumber == IPProtocol.tcp && chain.upperOffset == 88 && chain.nextHeaderOffset == 72)
    #expect(!chain.isFragment && chain.hasUpperHeader)
    let plain = try #require(walk(Scapy.udp6))
    #expect(plain.protocolNumber == IPProtocol.udp && plain.upperOffset == 40 && plain.nextHeaderOffset == 6)
    let sealed = try #require(walk(Scapy.ipv6AH))
    #expect(sealed.protocolNumber == IPProtocol.icmpv6 && sealed.upperOffset == 64)
    let first = try #require(walk(Scapy.ipv6First))
    #expect(
      first.isFragment && first.hasUpperHeader && first.protocolNumber == IPProtocol.udp && first.upperOffset == 48)
    #expect(first.identification == 0xDEAD_BEEF && first.fragmentHeaderOffset == 40 && first.moreFragments)
    let later = try #require(walk(Scapy.ipv6Later))
    #expect(later.isFragment && !later.hasUpperHeader && later.fragmentOffset == 16 && !later.moreFragments)
    let atomic = try #require(walk(Scapy.ipv6First.with(0, at: 43)))
    #expect(!atomic.isFragment && atomic.fragmentHeaderOffset == 40)
  }

  @Test func bounds() {
    // Cut anywhere, with the payload length that fits, a chain is refused until its last extension header is whole.
    for count in 40..<88 {
      var cut = Array(Scapy.ipv6Chain.prefix(count))
      cut[5] = UInt8(count - 40)
      #expect(walk(cut) == nil, "\(count) octets")
    }
    #expect(walk(Scapy.ipv6Chain.with(255, at: 41)) == nil)
    func chained(_ headers: Int) -> [UInt8] {
      let empty: [UInt8] = [IPProtocol.destinationOptions, 0, 1, 4, 0, 0, 0, 0]
      var octets = Array(Scapy.udp6.prefix(40)).with(IPProtocol.destinationOptions, at: 6)
      for index in 0..<headers { octets += index == headers - 1 ? empty.with(IPProtocol.udp, at: 0) : empty }
      octets[5] = UInt8(octets.count - 40)
      return octets
    }
    #expect(walk(chained(8))?.upperOffset == 104)
    #expect(walk(chained(9)) == nil)
    // A Fragment header after a Fragment header.
    #expect(walk(Scapy.ipv6First.with(IPProtocol.fragment, at: 40)) == nil)
  }
}
