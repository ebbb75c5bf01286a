package import Wire

extension Configuration {
  /// Another gateway: where sealed packets are sent.
  package struct Peer: Equatable, Sendable {
    package var name: String
    package var address: IPAddress
    /// The neighbour that gets its packets: `address` itself when it is on-link, else `via`.
    package var nextHop: IPAddress
    /// The protected port on whose network `nextHop` is.
    package var port: String
    package var carriage: Carriage

    package enum Field: String, SectionField {
      case name, address, via, port, carriage
      case udpPort = "udp_port"
    }
  }

  /// What carries the security header (wire format, section 6).
  package enum Carriage: Hashable, Sendable {
    case udp(port: UInt16)
    /// IP protocol 253.
    case ip

    enum Name: String, CaseIterable {
      case udp, ip
    }

    /// Octets between the outer IP header and the security header.
    package var headerLength: Int {
      switch self {
      case .udp: 8
      case .ip: 0
      }
    }
  }

  /// A peer as written, before its next hop's port is known.
  struct PeerDraft {
    var name: String
    var address: IPAddress
    var via: IPAddress?
    var port: String?
    var carriage: Carriage
  }
}

extension Configuration.PeerDraft {
  init?(_ section: Section<Configuration.Peer.Field>) {
    let name = section.required(.name, .name)
    let address = section.required(.address, Kind<IPAddress>.host)
    let via = section.value(.via, Kind<IPAddress>.host)
    let port = section.value(.port, .name)
    let carriage = Configuration.Carriage(section, .carriage, .udpPort)
    guard let name, let address else { return nil }
    self.init(name: name, address: address, via: via, port: port, carriage: carriage)
  }
}

extension Configuration.Carriage {
  init<Field>(_ section: Section<Field>, _ carriage: Field, _ udpPort: Field) {
    let port = section.value(udpPort, .integer(UInt16(1)...UInt16.max), default: Configuration.Defaults.udpPort)
    switch section.value(carriage, Kind<Name>.choice, default: .udp) {
    case .udp: self = .udp(port: port)
    case .ip:
      section.refuse([udpPort], because: "with `carriage: ip`")
      self = .ip
    }
  }
}
