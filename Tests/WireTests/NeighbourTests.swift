import Support
import Testing
import Wire

@Suite struct NeighbourTests {
  func message(_ octets: [UInt8]) -> NeighbourMessage? {
    guard let view = IPv6View(octets.span.bytes) else { return nil }
    return NeighbourMessage(view)
  }

  /// Changes octets of the message and mends its checksum.
  func mended(_ octets: [UInt8], _ changes: [(Int, UInt8)]) throws -> [UInt8] {
    var octets = octets
    for (offset, value) in changes { octets[offset] = value }
    octets[42] = 0
    octets[43] = 0
    let view = try required(IPv6View(octets.span.bytes))
    let sum = Checksum.compute(
      view.payload,
      onto: Checksum.pseudoHeader(
        source: view.source, destination: view.destination, protocolNumber: IPProtocol.icmpv6,
        length: view.payload.byteCount))
    return octets.with(UInt8(sum >> 8), at: 42).with(UInt8(sum & 0xFF), at: 43)
  }

  @Test func takesApart() throws {
    let solicitation = try #require(message(Scapy.solicitation))
    #expect(solicitation.kind == .solicitation && solicitation.source == IPAddress("fe80::1"))
    #expect(
      solicitation.target == IPAddress("2001:db8::2") && solicitation.linkLayer == MACAddress("02:00:00:00:00:01"))
    let advertisement = try #require(message(Scapy.advertisement))
    #expect(advertisement.kind == .advertisement && advertisement.linkLayer == MACAddress("02:00:00:00:00:02"))
    #expect(advertisement.isRouter && advertisement.isSolicited && advertisement.isOverride)
    let detection = try #require(message(Scapy.detection))
    #expect(detection.source.isUnspecified && detection.linkLayer == nil)
    let options = try #require(message(Scapy.manyOptions))
    #expect(options.linkLayer == MACAddress("02:00:00:00:00:09") && !options.isSolicited && options.isOverride)
  }

  @Test func writes() throws {
    for packet in [Scapy.solicitation, Scapy.advertisement, Scapy.detection] {
      let message = try #require(self.message(packet))
      let (octets, end) = onDirtyBuffer(packet.count + 2) { message.write(into: &$0, at: 1) }
      #expect(end == packet.count + 1 && message.length == packet.count)
      #expect(Array(octets.dropFirst().dropLast()) == packet)
      #expect(refusesShortBuffers(packet.count) { message.write(into: &$0) })
    }
    let mac = try #require(MACAddress("02:00:00:00:00:02"))
    let answer = try #require(message(Scapy.solicitation)).advertisement(from: mac)
    #expect(answer == message(Scapy.advertisement))
    let toAll = try #require(message(Scapy.detection)).advertisement(from: mac)
    #expect(toAll.destination == .allNodes && !toAll.isSolicited)
    let from = try #require(IPAddress("fe80::1"))
    let asked = NeighbourMessage.solicitation(
      for: answer.target, from: from, mac: try #require(MACAddress("02:00:00:00:00:01")))
    #expect(asked == message(Scapy.solicitation))
  }

  @Test func refuses() throws {
    for packet in [Scapy.solicitation, Scapy.advertisement, Scapy.manyOptions] {
      for count in 0..<packet.count {
        #expect(message(Array(packet.prefix(count))) == nil)
      }
    }
    #expect(try message(mended(Scapy.solicitation, [])) != nil)
    #expect(message(Scapy.solicitation.with(0, at: 63)) == nil)  // checksum
    #expect(message(Scapy.solicitation.with(254, at: 7)) == nil)  // hop limit
    let wrong: [([UInt8], [(Int, UInt8)])] = [
      (Scapy.solicitation, [(40, 137)]),  // type
      (Scapy.solicitation, [(41, 1)]),  // code
      (Scapy.solicitation, [(48, 0xFF)]),  // target multicast
      (Scapy.solicitation, [(65, 0)]),  // option of length 0
      (Scapy.solicitation, [(65, 2)]),  // option beyond the message
      (Scapy.solicitation, [(66, 1)]),  // multicast link-layer address
      (Scapy.solicitation, [(8, 0), (9, 0), (23, 0)]),  // an address without a source
      (Scapy.detection, [(39, 9)]),  // not the solicited-node group
      (Scapy.detection, [(40, 136)]),  // advertisement without a source
      (Scapy.advertisement, [(24, 0xFF)]),  // solicited, but to a group
    ]
    for (packet, changes) in wrong {
      #expect(try message(mended(packet, changes)) == nil, "\(changes)")
    }
  }
}
