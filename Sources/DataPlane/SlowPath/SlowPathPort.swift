package import Wire

/// A port as the slow path sees it: who we are on that link, and who is known there beforehand.
package struct SlowPathPort: Sendable {
  package struct StaticNeighbour: Hashable, Sendable {
    package var address: IPAddress
    package var mac: MACAddress

    package init(address: IPAddress, mac: MACAddress) {
      self.address = address
      self.mac = mac
    }
  }

  /// An address that every member of a pool takes packets for and that one of them answers for.
  package struct SharedAddress: Hashable, Sendable {
    package var address: IPAddress
    /// The members that come first: while BFD finds one of them up, this gateway does not answer.
    package var after: [NeighbourKey]

    package init(address: IPAddress, after: [NeighbourKey]) {
      self.address = address
      self.after = after
    }
  }

  package let index: UInt16
  package let mac: MACAddress
  /// The largest IP packet, in octets.
  package let mtu: UInt16
  /// The VLAN, 1 to 4094, whose frames this port speaks; nil: untagged ones.
  package let vlan: UInt16?
  /// The protected side: its addresses are not a source for what goes to the peers' hosts.
  package let isProtected: Bool
  /// Own addresses with the prefix of their link. A port with IPv6 addresses has a link-local one, made from its MAC
  /// address if the configuration names none.
  package let addresses: [IPPrefix]
  package let neighbours: [StaticNeighbour]
  package let shared: [SharedAddress]
  /// The shared addresses that this gateway answers for now.
  var active: Set<IPAddress> = []

  package init(
    index: UInt16, mac: MACAddress, mtu: UInt16, vlan: UInt16? = nil, isProtected: Bool, addresses: [IPPrefix],
    neighbours: [StaticNeighbour] = [], shared: [SharedAddress] = []
  ) {
    self.index = index
    self.mac = mac
    self.mtu = mtu
    self.vlan = vlan
    self.isProtected = isProtected
    self.neighbours = neighbours
    self.shared = shared
    let ipv6 = addresses.filter { !$0.address.isIPv4 }
    let linkLocal = IPPrefix(address: IPAddress(linkLocal: mac), length: 64)
    if let linkLocal, !ipv6.isEmpty, !ipv6.contains(where: { $0.address.isLinkLocal }) {
      self.addresses = addresses + [linkLocal]
    } else {
      self.addresses = addresses
    }
  }

  func owns(_ address: IPAddress) -> Bool {
    addresses.contains { $0.address == address } || active.contains(address)
  }

  /// The own address that is on a link with `address`.
  func prefix(around address: IPAddress) -> IPPrefix? { addresses.first { $0.contains(address) } }

  /// Whose address a request for `target` bears: the one on its link, so that it can answer and learn.
  func solicitationSource(for target: IPAddress) -> IPAddress? {
    if let near = prefix(around: target) { return near.address }
    let family = addresses.filter { $0.address.isIPv4 == target.isIPv4 }
    return (family.first { $0.address.isLinkLocal } ?? family.first)?.address
  }

  /// Whether another station on this link can have `address`.
  func canNeighbour(_ address: IPAddress) -> Bool {
    guard let prefix = prefix(around: address), !owns(address), address.isHost else { return false }
    if address == prefix.broadcast { return false }
    // The network's own address is its old broadcast address (RFC 1812, section 4.2.3.1), or its routers' anycast address.
    let hasHosts = address.isIPv4 ? prefix.length < 31 : prefix.length < 127
    return !(hasHosts && address == prefix.network.address)
  }

  /// Whether a packet to or from `address` is meant for, or claims to be, more than one station of this link.
  func isBroadcast(_ address: IPAddress) -> Bool {
    addresses.contains { $0.broadcast == address }
  }
}

extension IPAddress {
  /// One station's address: what may stand as the source of a packet on a link.
  var isHost: Bool {
    !isUnspecified && !isLoopback && !isMulticast && !(isIPv4 && (ipv4 >> 28 == 0xF || ipv4 >> 24 == 0))
  }
}

extension MACAddress {
  /// One station's address.
  var isStation: Bool { !isZero && !isMulticast }
}

extension SlowPathPort {
  /// Whether a frame is of this port's VLAN: one tag with its number; without VLAN none, or one that has a priority only.
  func speaks(_ link: borrowing EthernetView) -> Bool {
    link.vlanCount < 2 && (link.outerTag?.number ?? 0) == vlan ?? 0
  }

  /// A header for a frame of our own.
  func way(to destination: MACAddress, _ etherType: UInt16) -> SlowPath.Way {
    SlowPath.Way(
      port: index,
      header: EthernetHeader(
        destination: destination, source: mac, outerTag: vlan.map { VLANTag(control: $0) }, etherType: etherType))
  }
}

extension EthernetView {
  /// The header of an answer to this frame, with its tags.
  func answer(from source: MACAddress, to destination: MACAddress) -> EthernetHeader {
    EthernetHeader(
      destination: destination, source: source, outerTag: outerTag, innerTag: innerTag, etherType: etherType)
  }
}
