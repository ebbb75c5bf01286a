import Support
import Testing
import Wire

/// BFD control packets, taken apart and written as scapy does.
@Suite struct BFDTests {
  /// A packet with its IP header; what follows UDP's.
  private static let up = Scapy.bfdUp.dropping(28)
  private static let poll = Scapy.bfdPoll.dropping(48)

  private func read(_ octets: [UInt8]) -> BFDPacket? { BFDPacket(octets.span.bytes) }

  @Test func takesApart() throws {
    let up = try #require(read(Self.up))
    #expect(up.state == .up && up.diagnostic == .neighbourDown && up.isFinal && !up.isPoll && !up.isDemand)
    #expect(up.multiplier == 3 && up.myDiscriminator == 0x1122_3344 && up.yourDiscriminator == 0x5566_7788)
    #expect(up.desiredMinTx == 50_000 && up.requiredMinRx == 60_000 && up.requiredMinEchoRx == 0)
    let poll = try #require(read(Self.poll + [1, 2]))
    #expect(poll.state == .adminDown && poll.diagnostic == .administrativelyDown && poll.isPoll && poll.isDemand)
    #expect(!poll.isFinal && poll.multiplier == 255 && poll.yourDiscriminator == 0)
    #expect(poll.myDiscriminator == 0xDEAD_BEEF && poll.requiredMinRx == 0 && poll.requiredMinEchoRx == 1)
    #expect(read(Scapy.bfdInit.dropping(28))?.state == .opening)
  }

  @Test func writes() throws {
    for packet in [Self.up, Self.poll, Scapy.bfdInit.dropping(28)] {
      let value = try #require(read(packet))
      let (octets, end) = onDirtyBuffer(26) { value.write(into: &$0, at: 1) }
      #expect(octets == [0xA5] + packet + [0xA5] && end == 25)
      #expect(refusesShortBuffers(24) { value.write(into: &$0) })
    }
  }

  @Test func impossibleLengths() {
    for count in 0..<24 { #expect(read(Array(Self.up.prefix(count))) == nil, "\(count) octets") }
    for length in [0, 23, 25, 255] as [UInt8] {
      #expect(read(Self.up.with(length, at: 3)) == nil, "length \(length)")
    }
    #expect(read(Self.up.with(26, at: 3) + [0, 0]) != nil, "what follows is inside the length")
  }

  /// RFC 5880, section 6.8.6, rule by rule.
  @Test(
    arguments: [
      (0, 0x00), (0, 0x43), (0, 0xFF),  // version 0, 2, 7
      (1, 0xC4),  // authentication, which is not in use
      (1, 0xC1),  // multipoint
      (2, 0x00),  // multiplier 0
    ] as [(Int, UInt8)])
  func refuses(_ offset: Int, _ value: UInt8) {
    #expect(read(Self.up.with(value, at: offset)) == nil)
  }

  @Test func refusesMissingDiscriminators() {
    func packet(state: UInt8, mine: Bool, yours: Bool) -> BFDPacket? {
      var octets = Self.up.with(state << 6, at: 1)
      if !mine { octets.replaceSubrange(4..<8, with: [0, 0, 0, 0]) }
      if !yours { octets.replaceSubrange(8..<12, with: [0, 0, 0, 0]) }
      return read(octets)
    }
    for state in 0...3 as ClosedRange<UInt8> {
      #expect(packet(state: state, mine: true, yours: true) != nil)
      #expect(packet(state: state, mine: false, yours: true) == nil)
      #expect((packet(state: state, mine: true, yours: false) != nil) == (state < 2), "state \(state)")
    }
  }

  @Test func checksumsAreScapys() throws {
    for (packet, start) in [(Scapy.bfdUp, 20), (Scapy.bfdPoll, 40), (Scapy.udp4, 20), (Scapy.udp6, 40)] {
      let (source, destination): (IPAddress, IPAddress)
      if start == 20 {
        let view = try required(IPv4View(packet.span.bytes))
        (source, destination) = (view.source, view.destination)
      } else {
        let view = try required(IPv6View(packet.span.bytes))
        (source, destination) = (view.source, view.destination)
      }
      func isValid(_ octets: [UInt8]) -> Bool? {
        UDPView(octets.dropping(start).span.bytes)?.checksumIsValid(source: source, destination: destination)
      }
      #expect(isValid(packet) == true)
      for offset in [start, start + 6, packet.count - 1] {
        #expect(isValid(packet.with(packet[offset] ^ 1, at: offset)) == false, "octet \(offset)")
      }
      // Absent: right over IPv4 only.
      #expect(isValid(packet.with(0, at: start + 6).with(0, at: start + 7)) == (start == 20))
      let header = UDPHeader(sourcePort: 0, destinationPort: 0, datagramLength: UInt16(packet.count - start))
      let dirty = packet.with(0xA5, at: start + 6).with(0xA5, at: start + 7)
      let (written, done) = changed(dirty) {
        header.storeChecksum(&$0, at: start, source: source, destination: destination)
      }
      #expect(done && written == packet)
      for count in 0..<packet.count {
        let (same, done) = changed(Array(dirty.prefix(count))) {
          header.storeChecksum(&$0, at: start, source: source, destination: destination)
        }
        #expect(!done && same == Array(dirty.prefix(count)))
      }
    }
  }

  /// A sum that comes out as 0 is sent as ffff, since 0 says that there is none.
  @Test func aChecksumOfZeroIsWrittenAsItsOtherForm() throws {
    let address = try #require(IPAddress("192.0.2.1"))
    let header = UDPHeader(sourcePort: 0, destinationPort: 0, datagramLength: 10)
    var octets = [UInt8](repeating: 0, count: 10)
    octets.replaceSubrange(4..<6, with: [0, 10])
    let sum = changed(octets) { header.storeChecksum(&$0, at: 0, source: address, destination: address) }.octets
    // The payload takes the sum's place: with it the whole sums to zero.
    octets.replaceSubrange(8..<10, with: sum[6..<8])
    let (written, _) = changed(octets) { header.storeChecksum(&$0, at: 0, source: address, destination: address) }
    #expect(written[6] == 0xFF && written[7] == 0xFF)
    let isValid = UDPView(written.span.bytes)?.checksumIsValid(source: address, destination: address)
    #expect(isValid == true)
  }
}
