import Support
import Testing
import Wire

@Suite struct IPv4Tests {
  @Test func takesApart() throws {
    let view = try required(IPv4View(Scapy.ipv4Options.span.bytes))
    let (header, total, options) = (view.headerLength, view.totalLength, view.options.byteCount)
    #expect(header == 32 && total == Scapy.ipv4Options.count && options == 12)
    let (dscp, ecn, id, ttl, number) = (view.dscp, view.ecn, view.identification, view.ttl, view.protocolNumber)
    #expect(dscp == 46 && ecn == .capable1 && id == 0x1234 && ttl == 7 && number == IPProtocol.tcp)
    let (df, mf, fragment, valid) = (view.dontFragment, view.moreFragments, view.isFragment, view.checksumIsValid)
    #expect(df && !mf && !fragment && valid)
    let (source, destination) = (view.source, view.destination)
    #expect(source == IPAddress("10.1.0.2") && destination == IPAddress("10.2.0.2"))
    let padded = IPv4View((Scapy.udp4 + [0, 0, 0]).span.bytes)?.packet.byteCount
    #expect(padded == Scapy.udp4.count)
    let damaged = IPv4View(Scapy.udp4.with(3, at: 8).span.bytes)?.checksumIsValid
    #expect(damaged == false)
  }

  @Test func fragments() throws {
    let first = try required(IPv4View(Scapy.ipv4First.span.bytes))
    let (isFragment, more, offset) = (first.isFragment, first.moreFragments, first.fragmentOffset)
    #expect(isFragment && more && offset == 0)
    let last = try required(IPv4View(Scapy.ipv4Last.span.bytes))
    let (isLast, lastMore, lastOffset) = (last.isFragment, last.moreFragments, last.fragmentOffset)
    #expect(isLast && !lastMore && lastOffset == 24)
  }

  @Test func writes() throws {
    let header = IPv4Header(
      trafficClass: 0x2E << 2, totalLength: 1400, identification: 0x4242, protocolNumber: IPProtocol.udp,
      source: try #require(IPAddress("192.0.2.1")), destination: try #require(IPAddress("192.0.2.2")))
    let (octets, end) = onDirtyBuffer(24) { header.write(into: &$0, at: 2) }
    #expect(end == 22 && Array(octets[2..<22]) == Scapy.headerOnly4 && octets[22] == 0xA5)
    #expect(refusesShortBuffers(20) { header.write(into: &$0) })
  }

  @Test func rewrites() throws {
    for packet in [Scapy.ipv4Options, Scapy.udp4, Scapy.ipv4First] {
      let (ttl, _) = changed(packet) { IPv4Header.decrementTTL(&$0) }
      let (marked, _) = changed(packet) { IPv4Header.setTrafficClass(0xB7, &$0) }
      let (kept, _) = changed([0xA5, 0xA5] + packet) {
        IPv4Header.setProtocol(IPProtocol.statelessEESP, totalLength: UInt16(packet.count - 4), &$0, at: 2)
      }
      let valid = try [ttl, marked, kept.dropping(2)].map { try required(IPv4View($0.span.bytes)).checksumIsValid }
      #expect(valid == [true, true, true])
      #expect(ttl[8] == packet[8] - 1 && marked[1] == 0xB7 && kept[11] == 253)
      #expect(marked[0] == packet[0] && ttl[9] == packet[9] && kept[10] == packet[8])
    }
    #expect(changed(Scapy.udp4.with(0, at: 8)) { IPv4Header.decrementTTL(&$0) }.octets[8] == 0)
  }

  /// RFC 1624, equation 3, HC' = ~(~HC + ~m + m'), over every checksum and TTL; the protocol beside the TTL changes nothing.
  @Test func everyChecksumOfATTL() {
    func sum(_ left: UInt32, _ right: UInt32) -> UInt32 { (left + right) & 0xFFFF + (left + right) >> 16 }
    /// TTL, protocol and checksum after one hop.
    func hop(_ ttl: UInt8, _ number: UInt8, _ checksum: UInt32) -> [UInt8] {
      let header = [UInt8](repeating: 0, count: 8) + [ttl, number, UInt8(checksum >> 8), UInt8(checksum & 0xFF)]
      let octets = changed(header + [UInt8](repeating: 0, count: 8)) { IPv4Header.decrementTTL(&$0) }.octets
      return Array(octets[8..<12])
    }
    for number in [UInt8(0), 17, 255] {
      for ttl in [UInt8(1), 2, 64, 127, 128, 255] {
        let (old, new) = (UInt32(ttl) << 8 | UInt32(number), UInt32(ttl - 1) << 8 | UInt32(number))
        let wrong = (UInt32(0)...0xFFFF).first { checksum in
          let wanted = sum(sum(checksum ^ 0xFFFF, old ^ 0xFFFF), new) ^ 0xFFFF
          return hop(ttl, number, checksum) != [ttl - 1, number, UInt8(wanted >> 8), UInt8(wanted & 0xFF)]
        }
        #expect(wrong == nil, "TTL \(ttl), protocol \(number)")
      }
    }
    // Nothing is taken from nothing.
    #expect(hop(0, 17, 0xFFFF) == [0, 17, 0xFF, 0xFF])
  }

  @Test func impossibleLengths() {
    let packet = Scapy.ipv4Options
    for count in 0..<packet.count {
      let isNone = IPv4View(packet.span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
    // Version, IHL below 5, total length below the header's and beyond the packet.
    let wrong = [packet.with(0x58, at: 0), packet.with(0x44, at: 0), packet.with(31, at: 3), packet.with(65, at: 3)]
    for octets in wrong {
      let isNone = IPv4View(octets.span.bytes) == nil
      #expect(isNone)
    }
  }

  /// RFC 6040, figure 4.
  @Test func congestionThroughTunnel() {
    let outer: [ECN] = [.notCapable, .capable0, .capable1, .congested]
    let table: [(ECN, [ECN?])] = [
      (.notCapable, [.notCapable, .notCapable, .notCapable, nil]),
      (.capable0, [.capable0, .capable0, .capable1, .congested]),
      (.capable1, [.capable1, .capable1, .capable1, .congested]),
      (.congested, [.congested, .congested, .congested, .congested]),
    ]
    for (inner, results) in table {
      #expect(outer.map { ECN.leavingTunnel(inner: inner, outer: $0) } == results)
    }
    #expect((0...255).allSatisfy { ECN(trafficClass: $0).rawValue == $0 & 3 })
  }
}
