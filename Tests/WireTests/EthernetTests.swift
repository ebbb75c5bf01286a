import Support
import Testing
import Wire

@Suite struct EthernetTests {
  @Test func takesApart() throws {
    let frame = try required(EthernetView(Scapy.qinq.span.bytes))
    let (destination, source, type, count) = (frame.destination, frame.source, frame.etherType, frame.vlanCount)
    #expect(destination == MACAddress("02:00:00:00:00:02") && source == MACAddress("02:00:00:00:00:01"))
    #expect(type == EtherType.ipv4 && count == 2)
    let (outer, inner, length) = (frame.outerTag, frame.innerTag, frame.headerLength)
    #expect(outer == VLANTag(type: EtherType.serviceVLAN, control: 3 << 13 | 200) && inner == VLANTag(control: 100))
    #expect(outer?.number == 200 && outer?.priority == 3 && length == 22)
    let total = IPv4View(frame.payload)?.totalLength
    #expect(total == 33)

    let tagged = try required(EthernetView(Scapy.vlan.span.bytes))
    let (number, second, innerType) = (tagged.outerTag?.number, tagged.innerTag, tagged.etherType)
    #expect(number == 100 && second == nil && innerType == EtherType.ipv6)
  }

  @Test func writes() throws {
    for packet in [Scapy.qinq, Scapy.vlan, Scapy.qinq.with(0x12, at: 12)] {
      let frame = try required(EthernetView(packet.span.bytes))
      let header = EthernetHeader(
        destination: frame.destination, source: frame.source, outerTag: frame.outerTag, innerTag: frame.innerTag,
        etherType: frame.etherType)
      let (octets, end) = onDirtyBuffer(64) { header.write(into: &$0, at: 3) }
      #expect(end == 3 + header.length)
      #expect(Array(octets[3..<(3 + header.length)]) == Array(packet.prefix(header.length)))
      #expect(octets[2] == 0xA5 && octets[3 + header.length] == 0xA5)
      #expect(refusesShortBuffers(header.length) { header.write(into: &$0) })
    }
  }

  @Test func impossibleLengths() {
    for (packet, length) in [(Scapy.qinq, 22), (Scapy.vlan, 18)] {
      for count in 0..<length {
        let isNone = EthernetView(packet.span.bytes.extracting(first: count)) == nil
        #expect(isNone, "\(count) octets")
      }
    }
    // A third tag is no tag but an unknown type, so that its cut end does not matter.
    let third = Array(Scapy.qinq.prefix(20)) + [0x81, 0x00]
    let type = EthernetView(third.span.bytes)?.etherType
    #expect(type == EtherType.vlan)
  }
}

@Suite struct ARPTests {
  @Test func takesApart() throws {
    let packet = try required(ARPPacket(Scapy.arpRequest.span.bytes))
    #expect(
      packet.operation == .request && packet.sender == IPAddress("10.1.0.1") && packet.target == IPAddress("10.1.0.2"))
    #expect(packet.senderMAC == MACAddress("02:00:00:00:00:01") && packet.targetMAC == .zero)
  }

  @Test func writes() throws {
    let request = try required(ARPPacket(Scapy.arpRequest.span.bytes))
    let (octets, end) = onDirtyBuffer(28) { request.write(into: &$0) }
    #expect(octets == Scapy.arpRequest && end == 28)
    #expect(refusesShortBuffers(28) { request.write(into: &$0) })
    let mac = try #require(MACAddress("02:00:00:00:00:09"))
    let reply = request.reply(from: mac)
    #expect(reply.operation == .reply && reply.senderMAC == mac && reply.sender == request.target)
    #expect(reply.targetMAC == request.senderMAC && reply.target == request.sender)
  }

  @Test func impossibleValues() {
    for count in 0..<28 {
      let isNone = ARPPacket(Scapy.arpRequest.span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
    // Hardware, protocol, both lengths, operation; a sender with a multicast address.
    for (offset, value) in [(1, 6), (2, 9), (4, 8), (5, 16), (7, 3), (6, 1), (8, 3)] as [(Int, UInt8)] {
      let isNone = ARPPacket(Scapy.arpRequest.with(value, at: offset).span.bytes) == nil
      #expect(isNone, "octet \(offset)")
    }
  }
}
