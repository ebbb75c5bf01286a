internal import Keys
package import Wire

/// What a gateway shall do, as plain values: the data plane's own form of a checked configuration. Names have become indices.
package struct GatewayPlan: Sendable, Equatable {
  package enum Role: Sendable { case clear, protected }
  package enum Mode: UInt8, Sendable { case tunnel, transport, ethernet }
  package enum Carriage: UInt8, Sendable { case udp, ip }
  package enum DSCP: Sendable, Equatable { case copy, fixed(UInt8) }
  /// What goes one way together: the packets of a flow, or each packet for itself.
  package enum Spread: UInt8, Sendable { case flow, packet }

  package struct Neighbour: Sendable, Equatable {
    package var address: IPAddress
    package var mac: MACAddress
    package init(address: IPAddress, mac: MACAddress) {
      self.address = address
      self.mac = mac
    }
  }

  /// An address that a pool's members share; see `SlowPathPort.SharedAddress`.
  package struct Shared: Sendable, Equatable {
    package var address: IPAddress
    /// Indices of the BFD sessions with the members that come first.
    package var after: [Int]
    package init(address: IPAddress, after: [Int]) {
      self.address = address
      self.after = after
    }
  }

  package struct Port: Sendable, Equatable {
    package var name: String
    /// An interface name, a PCI address or a vdev string ("net_null0,size=64").
    package var device: String
    package var role: Role
    package var mode: Mode = .tunnel
    /// Octets of the largest IP packet, or frame without its Ethernet header.
    package var mtu: UInt16 = 1500
    package var vlan: UInt16?
    /// Transport mode: the port on the other side of the bump.
    package var pair: Int?
    package var addresses: [IPPrefix] = []
    package var neighbours: [Neighbour] = []
    package var shared: [Shared] = []
    /// The trust group of packets without master key options (an index into the key table).
    package var defaultGroup: Int?
    /// A capture file instead of a link: frames for any MAC address are taken, and a next hop's is made up from its address.
    package var isCapture = false
    /// Protected ports: the destination port of packets over UDP.
    package var udpPort: UInt16 = 4500
    package init(name: String, device: String, role: Role) {
      self.name = name
      self.device = device
      self.role = role
    }
  }

  package struct Peer: Sendable, Equatable {
    package var name: String
    package var address: IPAddress
    package var source: IPAddress
    package var port: Int
    /// The neighbour that takes its packets: the peer itself when it is on the link.
    package var nextHop: IPAddress
    package var carriage: Carriage = .udp
    package var udpPort: UInt16 = 4500
    package init(name: String, address: IPAddress, source: IPAddress, port: Int, nextHop: IPAddress) {
      self.name = name
      self.address = address
      self.source = source
      self.port = port
      self.nextHop = nextHop
    }
  }

  package struct Sealing: Sendable, Equatable {
    package var group: Int
    package var mode: Mode = .tunnel
    /// Transport mode has none: the packet's own header takes it on.
    package var peers: [Int] = []
    /// Over the peers, and over the paths to them that UDP source port and flow label choose.
    package var spread: Spread = .flow
    package var suite: Suite = .aes256
    package var context: KeyContext = .device
    package var options = true
    package var coffset: UInt8 = 0
    package var ioffset: UInt8 = 0
    package var dscp: DSCP = .copy
    /// Transport mode: how the packet is carried, and to which UDP port.
    package var carriage: Carriage = .udp
    package var udpPort: UInt16 = 4500
    package init(group: Int) { self.group = group }
  }

  package enum Action: Sendable, Equatable {
    case seal(Sealing)
    /// To a host or a router on a clear port.
    case forward(port: Int, via: IPAddress)
    /// In clear to a protected port and back: only where the operator said so.
    case bypass(port: Int, via: IPAddress?)
    /// Nowhere, also where unmatched traffic passes.
    case drop
  }

  package struct Route: Sendable, Equatable {
    package var prefix: IPPrefix
    package var action: Action
    package init(prefix: IPPrefix, action: Action) {
      self.prefix = prefix
      self.action = action
    }
  }

  /// What a trust group's members may send (wire format, section 3, "After the tag").
  package struct GroupPolicy: Sendable, Equatable {
    package var group: Int
    package var speaks: [IPPrefix]
    package var forms: Set<PayloadForm>
    /// Packets that replay protection looks back, one of `ReplayShape.windows`; 0 is without.
    package var replayWindow: Int
    package init(group: Int, speaks: [IPPrefix], forms: Set<PayloadForm>, replayWindow: Int = 0) {
      self.group = group
      self.speaks = speaks
      self.forms = forms
      self.replayWindow = replayWindow
    }
  }

  /// Parties outside a group that this gateway's pool serves (wire format, section 5).
  package struct ClientPool: Sendable, Equatable {
    package var group: Int
    /// Inner addresses: base + n.
    package var prefix: IPPrefix
    /// How packets to clients are sealed: group, context and peers are the pool's.
    package var sealing: Sealing
    /// Who may speak, by slot, and where packets for it go.
    package var clients: [UInt32: Peer]
    package init(group: Int, prefix: IPPrefix, sealing: Sealing, clients: [UInt32: Peer]) {
      self.group = group
      self.prefix = prefix
      self.sealing = sealing
      self.clients = clients
    }
  }

  /// The connection that this gateway has as a client: the group's sealings use it.
  package struct Connection: Sendable, Equatable {
    package var group: Int
    package var id: ConnectionID
    /// The one inner source: base + n.
    package var address: IPAddress
    package init(group: Int, id: ConnectionID, address: IPAddress) {
      self.group = group
      self.id = id
      self.address = address
    }
  }

  /// Neighbours that watch this gateway by BFD.
  package struct BFD: Sendable, Equatable {
    package struct Session: Sendable, Equatable {
      /// A protected one.
      package var port: Int
      package var neighbour: IPAddress
      /// Milliseconds.
      package var interval: UInt32
      package var multiplier: UInt8
      package init(port: Int, neighbour: IPAddress, interval: UInt32, multiplier: UInt8) {
        self.port = port
        self.neighbour = neighbour
        self.interval = interval
        self.multiplier = multiplier
      }
    }
    package var sessions: [Session] = []
    /// Ports without whose link this gateway is of no use to its neighbours.
    package var tracked: [Int] = []
  }

  /// Lets what was opened under one group's keys be sealed under another's (docs/proxy.md).
  package struct Proxy: Sendable, Equatable {
    package var from: Int
    package var to: Int
    /// Of the inner packet. Empty: all that `from` may speak for, and all that is routed to `to`.
    package var sources: [IPPrefix] = []
    package var destinations: [IPPrefix] = []
    /// Also what a client of `from`'s pool sends, and what goes to a client of `to`'s.
    package var clients = false
    package init(from: Int, to: Int) {
      self.from = from
      self.to = to
    }
  }

  /// Who the node is: assigned by the one identity controller of a trust group (wire format, section 4).
  package struct Identity: Sendable, Equatable {
    package var deviceID: UInt64
    /// Eight-octet IDs in the packets.
    package var wideID = false
    package var member: UInt8 = 0
    package init(deviceID: UInt64) { self.deviceID = deviceID }
  }

  package var name: String
  package var deviceID: UInt64
  /// Eight-octet IDs in the packets.
  package var wideID = false
  package var member: UInt8 = 0
  /// Who the node is towards groups that have another identity controller.
  package var identities: [Int: Identity] = [:]
  package var ports: [Port] = []
  package var peers: [Peer] = []
  package var routes: [Route] = []
  /// Ethernet mode: what a clear port's frames are sealed with, by port.
  package var frames: [Int: Sealing] = [:]
  package var policies: [GroupPolicy] = []
  package var clientPools: [ClientPool] = []
  package var connection: Connection?
  package var bfd = BFD()
  package var proxies: [Proxy] = []
  /// Traffic that matches no route passes in clear between the two ports of a bump; elsewhere it is always dropped.
  package var bypassUnmatched = false
  package var mssClamp = true
  /// Generated ICMP errors per second.
  package var icmpRate: UInt32 = 100
  package init(name: String, deviceID: UInt64) {
    self.name = name
    self.deviceID = deviceID
  }
}

extension GatewayPlan.BFD.Session {
  /// As the slow path knows it.
  var neighbourWatched: BFDNeighbour {
    BFDNeighbour(
      key: NeighbourKey(port: UInt16(port), address: neighbour),
      settings: BFDSession.Settings(interval: interval &* 1000, multiplier: multiplier))
  }
}

extension GatewayPlan {
  func identity(towards group: Int) -> Identity {
    if let identity = identities[group] { return identity }
    var identity = Identity(deviceID: deviceID)
    (identity.wideID, identity.member) = (wideID, member)
    return identity
  }

  /// What is wrong with the identities.
  var identityFault: String? {
    for identity in identities.keys.sorted().map({ identity(towards: $0) }) + [identity(towards: -1)] {
      guard identity.wideID || identity.deviceID >> 32 == 0 else {
        return "an ID of more than 8 hex digits without wide IDs (identity.device_id)"
      }
      do {
        try SealingCounter.check(member: Int(identity.member))
      } catch {
        return "\(error) (identity.member)"
      }
    }
    return nil
  }
}
