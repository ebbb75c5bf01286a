import Support
import Testing
import Wire

@Suite struct ChecksumTests {
  /// RFC 1071, section 3.
  @Test func example() {
    let octets: [UInt8] = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]
    #expect(Checksum.compute(octets.span.bytes) == ~0xDDF2)
    #expect(Checksum.compute([UInt8]().span.bytes) == 0xFFFF)
    #expect(Checksum.compute(([0x12] as [UInt8]).span.bytes) == ~0x1200)
    #expect(Checksum.fold(UInt64.max) == 0xFFFF)
  }

  /// Carries added back in until there are none: what `fold` does in one go.
  private func folded(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum > 0xFFFF { sum = (sum & 0xFFFF) &+ sum >> 16 }
    return UInt16(sum)
  }

  @Test func folds() {
    var random = SplitMix(seed: 3)
    var wrong = (UInt64(0)...0x2_0002).first { Checksum.fold($0) != folded($0) }
    #expect(wrong == nil)
    // Around every multiple of 2^16 - 1 that a power of two is near to, and at the end.
    var edges: [UInt64] = [.max, .max - 1]
    for bit in 0..<64 {
      let power = UInt64(1) << UInt64(bit)
      for near in UInt64(0)...3 {
        edges += [power &+ near, power &- near, 0xFFFF &* power &+ near, 0xFFFF &* power &- near]
      }
    }
    for _ in 0..<1000 {
      let multiple = random.next() % (UInt64.max / 0xFFFF) &* 0xFFFF
      edges += [multiple &- 1, multiple, multiple &+ 1]
    }
    wrong = edges.first { Checksum.fold($0) != folded($0) }
    #expect(wrong == nil)
    for _ in 0..<500_000 {
      let sum = random.next() >> (random.next() & 63)
      if Checksum.fold(sum) != folded(sum) { wrong = sum }
    }
    #expect(wrong == nil)
  }

  /// Word by word, as RFC 1071 defines it.
  func plain(_ octets: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: octets.count, by: 2) {
      sum += UInt32(octets[index]) << 8 | UInt32(index + 1 < octets.count ? octets[index + 1] : 0)
      sum = (sum & 0xFFFF) + sum >> 16
    }
    return ~UInt16(truncatingIfNeeded: sum)
  }

  @Test func everyLength() {
    var random = SplitMix(seed: 1)
    for count in 0..<200 {
      let octets = random.octets(count)
      #expect(Checksum.compute(octets.span.bytes) == plain(octets))
    }
    let full = [UInt8](repeating: 0xFF, count: 65535)
    #expect(Checksum.compute(full.span.bytes) == plain(full))
  }

  @Test func incremental() {
    var random = SplitMix(seed: 2)
    for _ in 0..<10_000 {
      var octets = random.octets(40)
      let old = UInt16(octets[6]) << 8 | UInt16(octets[7])
      let before = plain(octets)
      let new = UInt16(truncatingIfNeeded: random.next())
      octets[6] = UInt8(new >> 8)
      octets[7] = UInt8(new & 0xFF)
      #expect(Checksum.updated(before, replacing: old, with: new) == plain(octets))
    }
    // RFC 1624, section 4, the case that RFC 1141 gets wrong.
    #expect(Checksum.updated(0xDD2F, replacing: 0x5555, with: 0x3285) == 0x0000)
  }

  /// Checksums that scapy computed over UDP and ICMPv6 with their pseudo headers.
  @Test func pseudoHeaders() throws {
    let ipv4 = try required(IPv4View(Scapy.udp4.span.bytes))
    let over4 = Checksum.compute(
      ipv4.payload,
      onto: Checksum.pseudoHeader(
        source: ipv4.source, destination: ipv4.destination, protocolNumber: IPProtocol.udp,
        length: ipv4.payload.byteCount))
    let ipv6 = try required(IPv6View(Scapy.udp6.span.bytes))
    let over6 = Checksum.compute(
      ipv6.payload,
      onto: Checksum.pseudoHeader(
        source: ipv6.source, destination: ipv6.destination, protocolNumber: IPProtocol.udp,
        length: ipv6.payload.byteCount))
    #expect(over4 == 0 && over6 == 0)
  }
}
