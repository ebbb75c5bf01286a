import Support
import Testing
import Wire

@Suite struct InnerFlowTests {
  let key = FlowKey(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, 0x0F1E_2D3C_4B5A_6978, 0x8796_A5B4_C3D2_E1F0)

  func flow(_ octets: [UInt8]) -> InnerFlow? { InnerFlow(packet: octets.span.bytes) }

  /// Packet, protocol, end of the IP headers, end of the transport header.
  static let packets: [([UInt8], UInt8, Int, Int)] = [
    (Scapy.ipv4Options, IPProtocol.tcp, 32, 64), (Scapy.udp4, IPProtocol.udp, 20, 28),
    (Scapy.udp6, IPProtocol.udp, 40, 48),
    (Scapy.ipv6Chain, IPProtocol.tcp, 88, 112), (Scapy.echo4, IPProtocol.icmp, 20, 28),
    (Scapy.echo6, IPProtocol.icmpv6, 40, 48),
    (Scapy.sctp, IPProtocol.sctp, 20, 20), (Scapy.ipv4First, IPProtocol.udp, 20, 28),
    (Scapy.ipv4Last, IPProtocol.udp, 20, 20),
    (Scapy.ipv6First, IPProtocol.udp, 48, 56), (Scapy.ipv6Later, IPProtocol.udp, 48, 48),
    (Scapy.ipv6AH, IPProtocol.icmpv6, 64, 72),
  ]

  @Test(arguments: 0..<packets.count) func headers(index: Int) throws {
    let (packet, protocolNumber, transport, end) = Self.packets[index]
    let flow = try required(self.flow(packet + [0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(flow.protocolNumber == protocolNumber && flow.transportOffset == transport && flow.headersEnd == end)
    #expect(flow.coffset(upTo: 255) == end / 4 && flow.coffset(upTo: 3) == 3 && flow.coffset(upTo: 0) == 0)
    #expect(flow.coffset(upTo: 255, prefix: 4) == end / 4 + 1)
  }

  @Test func brokenTransportHeadersExposeNothing() throws {
    let tcp = Scapy.synOdd
    #expect(try #require(flow(tcp)).headersEnd == 48)
    // Data offset below 5 and beyond the packet; UDP with fewer than 8 octets.
    #expect(try #require(flow(tcp.with(0x40, at: 32))).headersEnd == 20)
    #expect(try #require(flow(tcp.with(0xF0, at: 32))).headersEnd == 20)
    #expect(try #require(flow(Scapy.udp4.with(27, at: 3))).headersEnd == 20)
    #expect(flow(Scapy.arpRequest) == nil && flow([]) == nil)
  }

  @Test func ports() throws {
    #expect(try #require(flow(Scapy.udp4)).ports == 0x0001_0002)
    #expect(try #require(flow(Scapy.sctp)).ports == 0x0005_0006)
    #expect(try #require(flow(Scapy.echo4)).ports == 0)
    let (first, last) = (try #require(flow(Scapy.ipv4First)), try #require(flow(Scapy.ipv4Last)))
    #expect(first.isFragment && last.isFragment && first.hash(key) == last.hash(key))
    let (first6, later6) = (try #require(flow(Scapy.ipv6First)), try #require(flow(Scapy.ipv6Later)))
    #expect(first6.isFragment && later6.isFragment && first6.hash(key) == later6.hash(key))
  }

  @Test func frames() throws {
    let flow = { (octets: [UInt8]) in InnerFlow(frame: octets.span.bytes) }
    let tagged = try #require(flow(Scapy.qinq))
    #expect(tagged.transportOffset == 42 && tagged.headersEnd == 50 && tagged.ports == 1000 << 16 | 2000)
    let inner = try required(InnerFlow(packet: Scapy.qinq.dropping(22).span.bytes))
    #expect(tagged.hash(key) == inner.hash(key))
    // No IP inside, or broken IP: addresses and type make the flow, and only the Ethernet header is exposed.
    let other = try #require(flow(Scapy.qinq.with(0x12, at: 20)))
    let broken = try #require(flow(Scapy.qinq.with(0x00, at: 22)))
    #expect(other.headersEnd == 22 && broken.headersEnd == 22 && other.hash(key) != broken.hash(key))
    #expect(flow(Array(Scapy.qinq.prefix(13))) == nil)
  }

  /// 2^16 flows that differ in one port fill 64 buckets evenly, whichever bits choose; another key spreads otherwise.
  @Test func spreads() {
    let source = IPAddress(ipv4: 0x0A01_0002)
    let destination = IPAddress(ipv4: 0x0A02_0002)
    var byPort = [Int](repeating: 0, count: 64)
    var byIndex = byPort
    var ports: Set<UInt16> = []
    for port in 0..<65536 as Range<UInt64> {
      let hash = key.hash(source: source, destination: destination, rest: port << 8 | 17)
      let sourcePort = FlowChoice.sourcePort(hash)
      ports.insert(sourcePort)
      byPort[Int(sourcePort - 49152) / 256] += 1
      byIndex[FlowChoice.index(hash, below: 64)] += 1
    }
    // 1024 expected in each, standard deviation 32: six of them never happen by chance.
    #expect((byPort + byIndex).allSatisfy { abs($0 - 1024) < 192 })
    #expect(ports.count > 15_000 && ports.allSatisfy { $0 >= 49152 })
    #expect(FlowChoice.index(UInt64.max, below: 3) == 2 && FlowChoice.index(5, below: 0) == 0)
    // By packet: 2^16 turns from anywhere do the same, and much more evenly.
    byPort = [Int](repeating: 0, count: 64)
    byIndex = byPort
    var turn = UInt64.random(in: 0...UInt64.max)
    for _ in 0..<65536 {
      turn = FlowChoice.next(turn)
      byPort[Int(FlowChoice.sourcePort(turn) - 49152) / 256] += 1
      byIndex[FlowChoice.index(turn, below: 64)] += 1
    }
    #expect((byPort + byIndex).allSatisfy { abs($0 - 1024) < 8 })
    let other = FlowKey.random()
    let first = key.hash(source: source, destination: destination, rest: 17)
    #expect(first != other.hash(source: source, destination: destination, rest: 17))
    #expect(first != key.hash(source: destination, destination: source, rest: 17))
  }
}
