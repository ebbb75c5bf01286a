internal import Wire

/// What the lcores read of the forwarding table: plain values in memory that never changes once it is published.

struct PortEntry {
  var dpdkPort: UInt16
  var mac: MACAddress
  var mtu: UInt16
  /// 0xFFFF: frames carry no tag.
  var vlan: UInt16
  var isProtected: Bool
  var isCapture: Bool
  var mode: GatewayPlan.Mode
  /// Index of the port on the other side of the bump, or -1.
  var pair: Int16
  /// Destination port of protected packets over UDP.
  var udpPort: UInt16
  /// Group of packets without options, or -1.
  var defaultGroup: Int16
  /// Ethernet mode: index of the sealing that its frames get, or -1.
  var frameSealing: Int16
  /// Ethernet mode: the group whose opened frames leave here, or -1.
  var frameGroup: Int16
  /// A neighbour on this port has a BFD session.
  var takesBFD: Bool

  static var untagged: UInt16 { 0xFFFF }
  @inline(__always) func takes(_ destination: MACAddress) -> Bool {
    destination == mac || destination.isMulticast || isCapture
  }
  var etherLength: Int { vlan == Self.untagged ? 14 : 18 }
}

struct PeerEntry {
  /// Ethernet, IP and UDP headers up to the security header, at most 66 octets, in whole vectors of 16; MACs, lengths, checksum
  /// and flow fields are filled in per packet.
  /// The first field, so that a pointer to the entry is a pointer to these octets.
  var template: InlineArray<80, UInt8>
  var templateLength: Int
  var port: UInt16
  var isIPv4: Bool
  var carriage: GatewayPlan.Carriage
  var nextHop: IPAddress
  var source: IPAddress
  var etherLength: Int
  /// The peer's place in the plan, for its counter.
  var place: Int
  /// Octets of the largest outer IP packet.
  var mtu: Int
  /// The sum of the IPv4 header's last three words, to which a packet's first two are added.
  var checksumBase: UInt64

  var ipLength: Int { isIPv4 ? 20 : 40 }
  /// Octets of IP and UDP header.
  var outerLength: Int { templateLength &- etherLength }
}

struct SealingEntry {
  var group: Int
  var mode: GatewayPlan.Mode
  var carriage: GatewayPlan.Carriage
  var udpPort: UInt16
  var suite: Suite
  var context: KeyContext
  var coffset: UInt8
  var ioffset: UInt8
  /// 0 to 63, or 0xFF to copy.
  var dscp: UInt8
  /// Octets of the security header.
  var headerLength: Int
  var firstPeer: Int
  var peerCount: Int
  var spread: GatewayPlan.Spread
  /// A client's: the only inner source that may seal on its connection.
  var source: IPAddress

  static var copyDSCP: UInt8 { 0xFF }

  /// DSCP and ECN of the outer header around a packet with these.
  @inline(__always) func outerClass(_ inner: UInt8) -> UInt8 { inner & keptClass | addedClass }
  /// The bits of the inner packet's that the outer header has too: ECN, and DSCP where it is copied.
  @inline(__always) var keptClass: UInt8 { dscp == Self.copyDSCP ? 0xFF : 3 }
  @inline(__always) var addedClass: UInt8 { dscp == Self.copyDSCP ? 0 : dscp << 2 }
}

struct RouteEntry {
  /// From `seal` on they lead to the protected side. `clients` are those of this pool, `connection` is a client's own.
  enum Kind: UInt8 { case none, own, connected, via, deny, seal, clients, connection, bypass }
  var kind: Kind
  var port: Int16
  /// Index of the SealingEntry of `seal`, `clients` and `connection`.
  var sealing: Int16
  var nextHop: IPAddress

  @inline(__always) var leadsBack: Bool { kind.rawValue >= Kind.seal.rawValue }
}

/// A policy of the proxy. `sources` and `destinations` are the bits of the speakers' sets that say whether an address lies in the
/// policy's prefixes; -1: every address does.
struct ProxyEntry {
  var to: Int
  var sources: Int
  var destinations: Int
  var admitsClients: Bool
  /// The policy's place in the plan, for its counter.
  var place: Int
}

/// Which of the `ProxyEntry`s are for what a group sent.
struct ProxyRange {
  var first: Int32
  var end: Int32
}

/// What the longest prefix says of an address, in both of its roles: where packets to it go, and which groups may send from it.
struct PrefixEntry {
  var route: UInt16
  var speakers: UInt16
}
