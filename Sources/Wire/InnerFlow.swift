/// What sealing wants to know of a clear packet: whose flow it is and where its headers end.
@usableFromInline
package struct InnerFlow: Sendable, BitwiseCopyable {
  @usableFromInline package var source: IPAddress
  @usableFromInline package var destination: IPAddress
  /// Source and destination port of TCP, UDP and SCTP; 0 for others and for every fragment, so that all fragments of a
  /// datagram take one path.
  @usableFromInline package var ports: UInt32
  @usableFromInline package var protocolNumber: UInt8
  /// Of any fragment, the first included.
  @usableFromInline package var isFragment: Bool
  /// Octets from the packet's first to the end of its IP headers.
  @usableFromInline package var transportOffset: Int
  /// Octets from the packet's first to the end of its transport header; `transportOffset` when none was found. No user data
  /// lies before it, so COffset is lowered to it (wire format, section 3).
  @usableFromInline package var headersEnd: Int

  /// Nothing when the packet is no whole IPv4 or IPv6 packet, or when its extension headers cannot be walked.
  @inlinable package init?(packet bytes: RawSpan) {
    if let view = IPv4View(bytes) {
      self.init(view)
    } else if let view = IPv6View(bytes) {
      self.init(view)
    } else {
      return nil
    }
  }

  @inlinable @inline(__always) package init(_ view: borrowing IPv4View) {
    self.init(
      view.packet, source: view.source, destination: view.destination, protocolNumber: view.protocolNumber,
      transportOffset: view.headerLength, isFragment: view.isFragment, isFirst: view.fragmentOffset == 0)
  }

  /// Nothing when the extension headers cannot be walked.
  @inlinable @inline(__always) package init?(_ view: borrowing IPv6View) {
    guard let upper = IPv6Extensions.walk(view) else { return nil }
    self.init(
      view.packet, source: view.source, destination: view.destination, protocolNumber: upper.protocolNumber,
      transportOffset: upper.upperOffset, isFragment: upper.isFragment, isFirst: upper.hasUpperHeader)
  }

  /// The flow of an Ethernet frame: that of the IP packet in it, or else of its MAC addresses and its type.
  @inlinable package init?(frame bytes: RawSpan) {
    guard let frame = EthernetView(bytes) else { return nil }
    let isIP = frame.etherType == EtherType.ipv4 || frame.etherType == EtherType.ipv6
    if isIP, let inner = InnerFlow(packet: frame.payload) {
      self = inner
      transportOffset &+= frame.headerLength
      headersEnd &+= frame.headerLength
    } else {
      source = IPAddress(high: 0, low: frame.source.rawValue)
      destination = IPAddress(high: 0, low: frame.destination.rawValue)
      ports = UInt32(frame.etherType)
      protocolNumber = IPProtocol.ethernet
      isFragment = false
      transportOffset = frame.headerLength
      headersEnd = frame.headerLength
    }
  }

  @inlinable @inline(__always) init(
    _ packet: RawSpan, source: IPAddress, destination: IPAddress, protocolNumber: UInt8, transportOffset: Int,
    isFragment: Bool, isFirst: Bool
  ) {
    self.source = source
    self.destination = destination
    self.protocolNumber = protocolNumber
    self.isFragment = isFragment
    self.transportOffset = transportOffset
    headersEnd = transportOffset
    ports = 0
    guard isFirst else { return }
    let transport = packet.extracting(droppingFirst: transportOffset)
    headersEnd &+= InnerFlow.headerLength(protocolNumber: protocolNumber, transport)
    guard !isFragment, transport.byteCount >= 4 else { return }
    switch protocolNumber {
    case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp: ports = transport.uint32(at: 0)
    default: break
    }
  }

  /// Octets of the transport header at the span's start: TCP as its data offset says, UDP and ICMP 8; 0 for another
  /// protocol and for a header that is cut or broken.
  @inlinable @inline(__always) package static func headerLength(protocolNumber: UInt8, _ transport: RawSpan) -> Int {
    switch protocolNumber {
    case IPProtocol.tcp: TCPView(transport)?.headerLength ?? 0
    case IPProtocol.udp, IPProtocol.icmp, IPProtocol.icmpv6: transport.byteCount >= 8 ? 8 : 0
    default: 0
    }
  }

  @inlinable @inline(__always) package func hash(_ key: FlowKey) -> UInt64 {
    key.hash(source: source, destination: destination, rest: UInt64(ports) << 8 | UInt64(protocolNumber))
  }

  /// COffset in 4-octet units: the configured one, lowered so that nothing after `headersEnd` is left in clear.
  ///
  /// - Parameter prefix: octets of payload before the packet, such as a Payload Info Header's 4.
  @inlinable @inline(__always) package func coffset(upTo limit: UInt8, prefix: Int = 0) -> UInt8 {
    UInt8(clamping: min(Int(limit), (headersEnd &+ prefix) / 4))
  }
}
