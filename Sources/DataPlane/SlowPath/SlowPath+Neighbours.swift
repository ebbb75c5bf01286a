import Wire

/// ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861): what a frame teaches, and what is said.
extension SlowPath {
  mutating func receiveNeighbour<Output: SlowPathOutput>(
    _ frame: RawSpan, _ info: PuntInfo, now: UInt64, _ output: inout Output
  ) -> PuntDisposition {
    counts.neighbourFrames &+= 1
    guard let port = ports[info.port], let link = EthernetView(frame), link.source.isStation else {
      return invalid()
    }
    guard port.speaks(link) else {
      counts.neighbourFramesIgnored &+= 1
      return .dropped(.vlan)
    }
    guard link.destination == port.mac || link.destination.isMulticast else {
      counts.neighbourFramesIgnored &+= 1
      return .dropped(.notForUs)
    }
    switch link.etherType {
    case EtherType.arp:
      guard let message = ARPPacket(link.payload) else { return invalid() }
      return receive(message, link, port, now: now, &output)
    case EtherType.ipv6:
      guard let packet = IPv6View(link.payload), let icmp = ICMPView(packet.payload) else { return invalid() }
      if packet.nextHeader == IPProtocol.icmpv6, !icmp.isNeighbourMessage { return ignored() }
      guard !packet.hasMappedAddress, let message = NeighbourMessage(packet) else { return invalid() }
      return receive(message, link, port, now: now, &output)
    default:
      return invalid()
    }
  }

  private mutating func receive<Output: SlowPathOutput>(
    _ message: ARPPacket, _ link: borrowing EthernetView, _ port: SlowPathPort, now: UInt64,
    _ output: inout Output
  ) -> PuntDisposition {
    if port.owns(message.sender) { return claimed(by: message.senderMAC, port) }
    guard message.senderMAC.isStation, message.senderMAC != port.mac,
      message.sender.isHost || message.sender.isUnspecified
    else { return invalid() }
    let isForUs = port.owns(message.target)
    let isRequest = message.operation == .request && isForUs
    if isNeighbour(message.sender, port) {
      let key = NeighbourKey(port: port.index, address: message.sender)
      if isRequest {
        neighbours.hear(key, message.senderMAC, now: now, &actions)
      } else {
        let isAnswer = message.operation == .reply && isForUs && message.targetMAC == port.mac
        neighbours.tell(key, message.senderMAC, solicited: isAnswer, overrides: true, now: now, &actions)
      }
    } else if !message.sender.isUnspecified, port.prefix(around: message.sender) != nil {
      return ignored()
    }
    // A host whose address is not of this link, but on its loopback, asks with it as well (Linux: arp_announce 0). It is
    // answered, as everyone is who asks for our address (RFC 826), and teaches nothing.
    guard isRequest else { return isForUs ? .consumed : ignored() }
    let way = Way(port: port.index, header: link.answer(from: port.mac, to: message.senderMAC))
    answer(way, &output) { bytes, start in message.reply(from: port.mac).write(into: &bytes, at: start) }
    return .consumed
  }

  private mutating func receive<Output: SlowPathOutput>(
    _ message: NeighbourMessage, _ link: borrowing EthernetView, _ port: SlowPathPort, now: UInt64,
    _ output: inout Output
  ) -> PuntDisposition {
    // An IPv4-mapped target would pass for one of our IPv4 addresses; no station has it.
    guard !message.target.isIPv4 else { return invalid() }
    if let mac = message.linkLayer, !mac.isStation { return invalid() }
    switch message.kind {
    case .advertisement:
      if port.owns(message.target) { return claimed(by: message.linkLayer ?? link.source, port) }
      guard message.linkLayer != port.mac else { return invalid() }
      guard isNeighbour(message.target, port) else { return ignored() }
      neighbours.tell(
        NeighbourKey(port: port.index, address: message.target), message.linkLayer, solicited: message.isSolicited,
        overrides: message.isOverride, now: now, &actions)
      return .consumed
    case .solicitation:
      if port.owns(message.source) { return claimed(by: message.linkLayer ?? link.source, port) }
      guard message.linkLayer != port.mac else { return invalid() }
      guard port.owns(message.target) else { return ignored() }
      guard message.source.isUnspecified || isNeighbour(message.source, port) else { return ignored() }
      if let mac = message.linkLayer {
        neighbours.hear(NeighbourKey(port: port.index, address: message.source), mac, now: now, &actions)
      }
      let asker = message.source.isUnspecified ? MACAddress(multicast: .allNodes) : message.linkLayer ?? link.source
      let way = Way(port: port.index, header: link.answer(from: port.mac, to: asker))
      answer(way, &output) { bytes, start in message.advertisement(from: port.mac).write(into: &bytes, at: start) }
      return .consumed
    }
  }

  /// Whether what `address` says of itself is heeded: it lies on the link, or it is a next hop that the operator named, such
  /// as the host of a client's connection, whose address is outside the port's networks.
  private func isNeighbour(_ address: IPAddress, _ port: SlowPathPort) -> Bool {
    port.canNeighbour(address) || neighbours.pinned.contains(NeighbourKey(port: port.index, address: address))
  }

  /// Another station says that it has one of our addresses, or our own frame came back to us.
  private mutating func claimed(by mac: MACAddress, _ port: SlowPathPort) -> PuntDisposition {
    if mac == port.mac { return ignored() }
    counts.addressConflicts &+= 1
    return .consumed
  }

  private mutating func invalid() -> PuntDisposition {
    counts.neighbourFramesInvalid &+= 1
    return .dropped(.malformedFrame)
  }

  private mutating func ignored() -> PuntDisposition {
    counts.neighbourFramesIgnored &+= 1
    return .consumed
  }

  private mutating func answer<Output: SlowPathOutput>(
    _ way: Way, _ output: inout Output, _ write: (inout MutableRawSpan, Int) -> Int?
  ) {
    guard let length = compose(way, write) else { return }
    emit(length, way, &output)
    counts.solicitationsAnswered &+= 1
  }

  /// Asks for a neighbour: everyone, or at the address it was known by.
  mutating func solicit<Output: SlowPathOutput>(
    _ key: NeighbourKey, _ known: MACAddress?, _ output: inout Output
  ) {
    guard let port = ports[key.port], let source = port.solicitationSource(for: key.address) else { return }
    let way: Way
    let length: Int?
    if key.address.isIPv4 {
      way = port.way(to: known ?? .broadcast, EtherType.arp)
      let request = ARPPacket(.request, senderMAC: port.mac, sender: source, targetMAC: .zero, target: key.address)
      length = compose(way) { bytes, start in request.write(into: &bytes, at: start) }
    } else {
      way = port.way(to: known ?? MACAddress(multicast: key.address.solicitedNode), EtherType.ipv6)
      let request = NeighbourMessage.solicitation(
        for: key.address, from: source, mac: port.mac, known: known != nil)
      length = compose(way) { bytes, start in request.write(into: &bytes, at: start) }
    }
    guard let length else { return }
    emit(length, way, &output)
    counts.solicitationsSent &+= 1
  }

  /// Gratuitous ARP and unsolicited advertisements: who had these addresses in another place learns the new one.
  mutating func announceAddresses<Output: SlowPathOutput>(of port: SlowPathPort, _ output: inout Output) {
    for address in port.addresses.map(\.address) + port.active.sorted() {
      let way: Way
      let length: Int?
      if address.isIPv4 {
        way = port.way(to: .broadcast, EtherType.arp)
        let message = ARPPacket(.request, senderMAC: port.mac, sender: address, targetMAC: .zero, target: address)
        length = compose(way) { bytes, start in message.write(into: &bytes, at: start) }
      } else {
        way = port.way(to: MACAddress(multicast: .allNodes), EtherType.ipv6)
        let message = NeighbourMessage(
          .advertisement, source: address, destination: .allNodes, target: address, linkLayer: port.mac,
          isRouter: true, isOverride: true)
        length = compose(way) { bytes, start in message.write(into: &bytes, at: start) }
      }
      guard let length else { continue }
      emit(length, way, &output)
      counts.announcementsSent &+= 1
    }
  }
}

extension ICMPView {
  /// Of the two kinds that this gateway takes part in; router messages and redirects are for hosts.
  fileprivate var isNeighbourMessage: Bool {
    type == ICMPv6.neighbourSolicitation || type == ICMPv6.neighbourAdvertisement
  }
}
