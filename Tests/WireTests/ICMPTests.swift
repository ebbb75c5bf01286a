import Support
import Testing
import Wire

@Suite struct ICMPTests {
  static let gateway4 = IPAddress(ipv4: 0x0A01_0001)
  static let gateway6 = IPAddress(high: 0x2001_0DB8_0000_0000, low: 1)

  @Test func takesApart() throws {
    let view = try required(ICMPView(Scapy.echo4.dropping(20).span.bytes))
    let (type, code, id, sequence, body) = (view.type, view.code, view.identifier, view.sequence, view.body.byteCount)
    #expect(type == ICMPv4.echoRequest && code == 0 && id == 5 && sequence == 6 && body == 3)
    let big = ICMPView(Scapy.tooBig6.dropping(40).span.bytes)?.mtu
    #expect(big == 1400)
    for count in 0..<8 {
      let isNone = ICMPView(Scapy.echo4.dropping(20).span.bytes.extracting(first: count)) == nil
      #expect(isNone, "\(count) octets")
    }
  }

  @Test func errors() {
    #expect((0...255).filter { ICMPv4.isError(type: $0) } == [3, 4, 5, 11, 12])
    #expect((0...255).filter { ICMPv6.isError(type: $0) } == Array(0...127))
  }

  @Test func echo() {
    let (reply4, end4) = changed(Scapy.echo4 + [0, 0]) { EchoReply.rewrite(&$0, from: Self.gateway4) }
    #expect(end4 == 31 && Array(reply4.prefix(31)) == Scapy.echoReply4)
    let (reply6, end6) = changed(Scapy.echo6) { EchoReply.rewrite(&$0, from: Self.gateway6) }
    #expect(end6 == 51 && reply6 == Scapy.echoReply6)
  }

  @Test func echoRefused() {
    // Wrong checksum, not a request, a fragment, another family's source, cut anywhere.
    let wrong: [([UInt8], IPAddress)] = [
      (Scapy.echo4.with(0, at: 30), Self.gateway4), (Scapy.echoReply4, Self.gateway4),
      (Scapy.echo6.with(1, at: 50), Self.gateway6),
      (Scapy.echoReply6, Self.gateway6), (Scapy.echo4.with(0x20, at: 6), Self.gateway4), (Scapy.echo4, Self.gateway6),
      (Scapy.echo6, Self.gateway4), (Scapy.udp4, Self.gateway4), (Scapy.solicitation, Self.gateway6),
      (Scapy.echo4.with(0xE0, at: 12), Self.gateway4),
    ]
    let cut4 = (0..<Scapy.echo4.count).map { (Array(Scapy.echo4.prefix($0)), Self.gateway4) }
    let cut6 = (0..<Scapy.echo6.count).map { (Array(Scapy.echo6.prefix($0)), Self.gateway6) }
    for (packet, source) in wrong + cut4 + cut6 {
      let (octets, end) = changed(packet) { EchoReply.rewrite(&$0, from: source) }
      #expect(end == nil && octets == packet)
    }
  }

  static let errors: [(ICMPError, [UInt8], IPAddress, [UInt8])] = [
    (.timeExceeded, Scapy.udp4, gateway4, Scapy.timeExceeded4),
    (.tooBig(mtu: 1400), Scapy.udp4, gateway4, Scapy.tooBig4),
    (.timeExceeded, Scapy.udp6, gateway6, Scapy.timeExceeded6),
    (.tooBig(mtu: 1400), Scapy.udp6, gateway6, Scapy.tooBig6),
  ]

  @Test(arguments: 0..<4) func builds(index: Int) {
    let (error, original, source, expected) = Self.errors[index]
    let padded = original + [1, 2, 3]
    let (octets, end) = onDirtyBuffer(expected.count + 6) {
      error.write(about: padded.span.bytes, from: source, into: &$0, at: 5)
    }
    #expect(end == expected.count + 5)
    // Scapy gave the IPv4 error no DF, as ours.
    #expect(Array(octets[5..<(5 + expected.count)]) == expected)
    #expect(octets[4] == 0xA5 && octets[expected.count + 5] == 0xA5)
    #expect(refusesShortBuffers(expected.count) { error.write(about: original.span.bytes, from: source, into: &$0) })
  }

  @Test func quotesNoMoreThanAllowed() throws {
    let long4 = changed(Scapy.udp4 + [UInt8](repeating: 7, count: 1468)) { bytes in
      IPv4Header.setProtocol(IPProtocol.udp, totalLength: 1500, &bytes)
    }.octets
    let (_, end4) = onDirtyBuffer(1500) {
      ICMPError.tooBig(mtu: 1400).write(about: long4.span.bytes, from: Self.gateway4, into: &$0)
    }
    #expect(end4 == 576)
    let long6 = (Scapy.udp6 + [UInt8](repeating: 7, count: 1448)).with(0x05, at: 4).with(0xB4, at: 5)
    let (_, end6) = onDirtyBuffer(1500) {
      ICMPError.tooBig(mtu: 1400).write(about: long6.span.bytes, from: Self.gateway6, into: &$0)
    }
    #expect(end6 == 1280)
  }

  @Test func notAboutEverything() {
    let original4 = Scapy.udp4
    let original6 = Scapy.udp6
    let silent: [([UInt8], IPAddress)] = [
      (Scapy.timeExceeded4, Self.gateway4), (Scapy.ipv4Last, Self.gateway4),
      (original4.with(0xE0, at: 16), Self.gateway4),
      (original4.with(0xE0, at: 12), Self.gateway4), (original4.with(127, at: 12), Self.gateway4),
      (original4.with(0, at: 12).with(0, at: 13).with(0, at: 15), Self.gateway4), (original4, Self.gateway6),
      (Scapy.timeExceeded6, Self.gateway6), (Scapy.ipv6Later, Self.gateway6),
      (original6.with(0xFF, at: 24), Self.gateway6),
      (original6.with(0xFF, at: 8), Self.gateway6), (original6, Self.gateway4), (Scapy.detection, Self.gateway6),
      ([], Self.gateway4),
    ]
    for (packet, source) in silent {
      let (_, end) = onDirtyBuffer(1500) {
        ICMPError.timeExceeded.write(about: packet.span.bytes, from: source, into: &$0)
      }
      #expect(end == nil)
    }
    // Packet Too Big alone answers multicast; both answer an echo request and a first fragment.
    let multicast = original6.with(0xFF, at: 24)
    for (error, packet, source) in [
      (ICMPError.tooBig(mtu: 1280), multicast, Self.gateway6), (.timeExceeded, Scapy.echo4, Self.gateway4),
      (.timeExceeded, Scapy.echo6, Self.gateway6), (.timeExceeded, Scapy.ipv4First, Self.gateway4),
    ] {
      let (_, end) = onDirtyBuffer(1500) { error.write(about: packet.span.bytes, from: source, into: &$0) }
      #expect(end != nil)
    }
  }
}
