package import Wire

/// A neighbour that watches this gateway by BFD: a router that spreads packets over a pool, or another member.
package struct BFDNeighbour: Hashable, Sendable {
  package var key: NeighbourKey
  package var settings: BFDSession.Settings

  package init(key: NeighbourKey, settings: BFDSession.Settings) {
    self.key = key
    self.settings = settings
  }
}

/// A session with where its packets come from and how many there were.
struct BFDEntry: Sendable {
  var session: BFDSession
  let local: IPAddress
  var received: UInt64 = 0
  var sent: UInt64 = 0
  /// Packets out of turn: answers to polls, changes of state. Nobody can make more of them than this.
  var bucket = TokenBucket(rate: 200, burst: 20)
}

/// BFD over a single hop (RFC 5880, RFC 5881) with the neighbours that the configuration names, and no others.
extension SlowPath {
  /// Nothing is due for BFD before.
  package var bfdDue: UInt64 { bfd.values.reduce(.max) { min($0, $1.session.due) } }

  func isUp(_ key: NeighbourKey) -> Bool { bfd[key]?.session.state == .up }

  /// Takes a configuration over: sessions that stay are not disturbed, those that go are told so.
  mutating func configureBFD(_ list: [BFDNeighbour], now: UInt64, _ output: inout some SlowPathOutput) {
    let before = bfd
    var kept: [NeighbourKey: BFDEntry] = [:]
    for neighbour in list {
      guard let local = ports[neighbour.key.port]?.solicitationSource(for: neighbour.key.address) else { continue }
      if var entry = before[neighbour.key], entry.local == local {
        entry.session.change(neighbour.settings, now: now)
        kept[neighbour.key] = entry
      } else {
        kept[neighbour.key] = newEntry(neighbour.settings, local, among: kept, now: now)
      }
    }
    for key in before.keys where kept[key]?.session.discriminator != before[key]?.session.discriminator {
      if bfd[key]?.session.hold(.administrativelyDown, now: now) == true {
        sendBFD(key, isFinal: false, now: now, &output)
      }
    }
    bfd = kept
    for key in bfd.keys { _ = bfd[key]?.session.hold(bfdHold, now: now) }
  }

  /// Discriminator and source port are no other session's, and cannot be guessed from outside.
  private func newEntry(
    _ settings: BFDSession.Settings, _ local: IPAddress, among others: [NeighbourKey: BFDEntry], now: UInt64
  ) -> BFDEntry {
    let taken = (Array(others.values) + Array(bfd.values)).map(\.session)
    var discriminator: UInt32
    repeat { discriminator = .random(in: 1...(.max)) } while taken.contains { $0.discriminator == discriminator }
    var port: UInt16
    repeat { port = .random(in: 49152...(.max)) } while taken.contains { $0.sourcePort == port }
    return BFDEntry(
      session: BFDSession(discriminator: discriminator, sourcePort: port, settings: settings, now: now), local: local)
  }

  /// Keeps every session administratively down for as long as there is a reason, so that neighbours send elsewhere.
  package mutating func holdBFD(
    _ reason: BFDPacket.Diagnostic?, now: UInt64, output: inout some SlowPathOutput
  ) {
    if bfdHold != nil, reason == nil { waitForOthers(now: now) }
    bfdHold = reason
    for key in bfd.keys.sorted() where bfd[key]?.session.hold(reason, now: now) == true {
      sendBFD(key, isFinal: false, now: now, &output)
    }
    settleShared(now: now)
  }

  mutating func tickBFD(now: UInt64, _ output: inout some SlowPathOutput) {
    for key in bfd.keys.sorted() where bfd[key].map({ now >= $0.session.due }) ?? false {
      if bfd[key]?.session.tick(now: now) == true { sendBFD(key, isFinal: false, now: now, &output) }
    }
  }

  /// A packet to BFD's port: from a neighbour that has a session, sent by no hop further away (RFC 5881, section 5), and right
  /// in every other respect; or it changes nothing.
  mutating func receiveBFD(
    _ frame: RawSpan, _ info: PuntInfo, now: UInt64, _ output: inout some SlowPathOutput
  ) -> PuntDisposition {
    guard let port = ports[info.port], let link = EthernetView(frame), link.source.isStation else {
      return .dropped(.malformedFrame)
    }
    guard port.speaks(link) else { return .dropped(.vlan) }
    guard link.destination == port.mac else { return .dropped(.notForUs) }
    guard let (packet, source, destination) = bfdPacket(link.payload) else { return .dropped(.bfd) }
    let key = NeighbourKey(port: port.index, address: source)
    guard var entry = bfd[key], entry.local == destination,
      packet.yourDiscriminator == 0 || packet.yourDiscriminator == entry.session.discriminator
    else { return .dropped(.bfd) }
    let before = entry.session.state
    let answer = entry.session.receive(packet, now: now)
    entry.received &+= 1
    let mayAnswer = answer != .nothing && entry.bucket.take(now: now)
    bfd[key] = entry
    if mayAnswer { sendBFD(key, isFinal: answer == .final, now: now, &output) }
    if entry.session.state != before {
      if entry.session.state == .up { repeatShared(now: now) }
      settleShared(now: now)
      announce(now: now, &output)
    }
    return .consumed
  }

  private func bfdPacket(_ bytes: RawSpan) -> (BFDPacket, source: IPAddress, destination: IPAddress)? {
    if let view = IPv4View(bytes), view.protocolNumber == IPProtocol.udp, view.checksumIsValid, !view.isFragment {
      return bfdPacket(view.payload, hopLimit: view.ttl, view.source, view.destination)
    }
    if let view = IPv6View(bytes), view.nextHeader == IPProtocol.udp, !view.hasMappedAddress {
      return bfdPacket(view.payload, hopLimit: view.hopLimit, view.source, view.destination)
    }
    return nil
  }

  private func bfdPacket(
    _ payload: RawSpan, hopLimit: UInt8, _ source: IPAddress, _ destination: IPAddress
  ) -> (BFDPacket, source: IPAddress, destination: IPAddress)? {
    guard hopLimit == BFDPacket.hopLimit, let datagram = UDPView(payload),
      datagram.destinationPort == BFDPacket.udpPort,
      datagram.checksumIsValid(source: source, destination: destination), let packet = BFDPacket(datagram.payload)
    else { return nil }
    return (packet, source, destination)
  }

  /// Sends the session's packet; while the neighbour's MAC address is not known, what is due waits for it.
  private mutating func sendBFD(
    _ key: NeighbourKey, isFinal: Bool, now: UInt64, _ output: inout some SlowPathOutput
  ) {
    guard let port = ports[key.port], let mac = neighbours.mac(of: key), var entry = bfd[key] else {
      bfd[key]?.session.postpone(to: now &+ Self.bfdPatience)
      return
    }
    let packet = entry.session.packet(isFinal: isFinal, now: now)
    entry.sent &+= 1
    bfd[key] = entry
    let way = port.way(to: mac, key.address.isIPv4 ? EtherType.ipv4 : EtherType.ipv6)
    let (source, sourcePort) = (entry.local, entry.session.sourcePort)
    let length = compose(way) { bytes, start in
      Self.write(packet, from: source, sourcePort, to: key.address, into: &bytes, at: start)
    }
    if let length { emit(length, way, &output) }
  }

  /// Between attempts to send where no MAC address is known, nanoseconds.
  private static let bfdPatience: UInt64 = 10_000_000
  /// Internetwork control (RFC 2474's CS6): a busy network must not take the pool for dead.
  private static let trafficClass: UInt8 = 0xC0

  private static func write(
    _ packet: BFDPacket, from source: IPAddress, _ sourcePort: UInt16, to destination: IPAddress,
    into bytes: inout MutableRawSpan, at offset: Int
  ) -> Int? {
    let udp = UDPHeader(
      sourcePort: sourcePort, destinationPort: BFDPacket.udpPort,
      datagramLength: UInt16(UDPHeader.length + BFDPacket.length))
    let start: Int?
    if destination.isIPv4 {
      start = IPv4Header(
        trafficClass: trafficClass, totalLength: UInt16(IPv4Header.minimumLength) + udp.datagramLength,
        ttl: BFDPacket.hopLimit, protocolNumber: IPProtocol.udp, source: source, destination: destination
      ).write(into: &bytes, at: offset)
    } else {
      start = IPv6Header(
        trafficClass: trafficClass, payloadLength: udp.datagramLength, nextHeader: IPProtocol.udp,
        hopLimit: BFDPacket.hopLimit, source: source, destination: destination
      ).write(into: &bytes, at: offset)
    }
    guard let start, let payload = udp.write(into: &bytes, at: start),
      let end = packet.write(into: &bytes, at: payload),
      udp.storeChecksum(&bytes, at: start, source: source, destination: destination)
    else { return nil }
    return end
  }
}
