import Support
import Testing
import Wire

@Suite struct InnerPayloadTests {
  func classify(_ octets: [UInt8]) -> InnerPayload.Classified { InnerPayload.classify(octets.span.bytes) }

  @Test func forms() throws {
    let ipv4 = try #require(classify(Scapy.udp4 + [0, 0, 0]).inner)
    #expect(ipv4.form == .ipv4 && ipv4.offset == 0 && ipv4.length == Scapy.udp4.count && ipv4.nextHeader == 4)
    let ipv6 = try #require(classify(Scapy.udp6 + [9]).inner)
    #expect(ipv6.form == .ipv6 && ipv6.offset == 0 && ipv6.length == Scapy.udp6.count && ipv6.nextHeader == 41)
    // Reserved and the pad octets are not checked.
    let transport = try #require(classify([0x0F, 0xFF, 17, 2] + Scapy.udp4.dropping(20) + [1, 2]).inner)
    #expect(
      transport.form == .transport && transport.offset == 4 && transport.length == 12 && transport.nextHeader == 17)
    let frame = try #require(classify([0, 0, 143, 1] + Scapy.qinq + [0]).inner)
    #expect(frame.form == .ethernet && frame.offset == 4 && frame.length == Scapy.qinq.count)
    #expect(classify([0, 0, 59, 0]).reason == .dummy && classify([0, 0, 59, 3, 1, 1, 1]).reason == .dummy)
    #expect(try #require(classify([0, 0, 17, 0]).inner).length == 0)
  }

  @Test func malformed() {
    let frame = Array(Scapy.qinq.prefix(14))
    let wrong: [[UInt8]] =
      [
        [], [0], [0, 0, 17], [0, 0, 17, 1], [0, 0, 59, 1], [0, 0, 143, 0] + frame.dropLast(), [0, 0, 143, 1] + frame,
      ]
      + (1...15).filter { $0 != 4 && $0 != 6 }.map { Scapy.udp6.with($0 << 4, at: 0) }
      + (0..<Scapy.udp4.count).map { Array(Scapy.udp4.prefix($0)) }
      + (0..<Scapy.udp6.count).map { Array(Scapy.udp6.prefix($0)) }
      + [Scapy.udp4.with(0x44, at: 0), Scapy.udp4.with(19, at: 3), Scapy.ipv4Options.with(31, at: 3)]
    for octets in wrong {
      #expect(classify(octets).reason == .malformedInner, "\(octets.hex)")
    }
    #expect(classify([0, 0, 143, 0] + frame).inner?.length == 14)
  }

  @Test func infoHeader() {
    let info = PayloadInfoHeader(nextHeader: 143, padLength: 7)
    let (octets, end) = onDirtyBuffer(6) { info.write(into: &$0, at: 1) }
    #expect(octets == [0xA5, 0, 0, 143, 7, 0xA5] && end == 5)
    #expect(PayloadInfoHeader(octets.dropping(1).span.bytes) == info)
    #expect(PayloadInfoHeader(([0, 0, 1] as [UInt8]).span.bytes) == nil)
    #expect(refusesShortBuffers(4) { info.write(into: &$0) })
  }
}
