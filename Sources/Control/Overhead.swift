internal import Wire

/// Octets that protection adds to a packet (wire format, sections 1, 3 and 6).
enum Overhead {
  /// EESP Payload Info Header, before what is no IP packet.
  static let payloadInfoHeader = 4
  /// Destination, source and type; the frame's own VLAN tags come on top.
  static let ethernetHeader = 14

  /// - Parameter rootKeyIDs: octets of the IDs that the options name; empty without options.
  static func octets(
    mode: Configuration.Mode, variant: Variant, rootKeyIDs: [Int], outerIsIPv4: Bool, carriage: Configuration.Carriage
  ) -> Int {
    let options = rootKeyIDs.reduce(0) { $0 + MasterKeyOption.prefixLength + $1 }
    let header = SecurityHeader.length(variant: variant, optionsLength: options) ?? SecurityHeader.maximumLength
    let inside =
      switch mode {
      case .tunnel: outerIsIPv4 ? 20 : 40
      case .transport: payloadInfoHeader
      case .ethernet: (outerIsIPv4 ? 20 : 40) + payloadInfoHeader + ethernetHeader
      }
    return inside + carriage.headerLength + header + SecurityHeader.icvLength
  }
}

/// The largest IP packet that a route can carry whole to one peer.
struct InnerMTU: Equatable, Sendable {
  var route: Configuration.Route
  /// Nil in mode transport.
  var peer: String?
  /// The protected port that it leaves by.
  var port: String
  var octets: Int
}

extension Configuration {
  func innerMTUs(_ shapes: [GroupShape]) -> [InnerMTU] {
    routes.flatMap { route -> [InnerMTU] in
      guard case .protect(let protection) = route.action,
        let group = shapes.first(where: { $0.name == protection.group })
      else { return [] }
      let variant = Variant(
        context: connection == nil ? protection.context : .connection, suite: protection.suite,
        isWide: identity.numbers(towards: protection.group).isWide)
      let ids = protection.sendsOptions ? group.idLengths : []
      func mtu(_ port: Port, _ peer: Peer?, outerIsIPv4: Bool, _ carriage: Carriage) -> InnerMTU {
        let overhead = Overhead.octets(
          mode: protection.mode, variant: variant, rootKeyIDs: ids, outerIsIPv4: outerIsIPv4, carriage: carriage)
        return InnerMTU(route: route, peer: peer?.name, port: port.name, octets: Int(port.mtu) - overhead)
      }
      if protection.mode == .transport {
        let pairs = ports.compactMap(\.pair)
        return ports.filter { pairs.contains($0.name) }.map { port in
          mtu(port, nil, outerIsIPv4: true, protection.carriage ?? .ip)
        }
      }
      return peers.filter { protection.peers.contains($0.name) }.compactMap { peer in
        ports.first { $0.name == peer.port }.map {
          mtu($0, peer, outerIsIPv4: peer.address.isIPv4, peer.carriage)
        }
      }
    }
  }
}
