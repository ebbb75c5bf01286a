/// A BFD control packet without authentication section (RFC 5880, section 4.1): what follows the UDP header.
@usableFromInline
package struct BFDPacket: Hashable, Sendable, BitwiseCopyable {
  /// RFC 5880, section 4.1, `Sta`; `opening` is the RFC's Init.
  package enum State: UInt8, Sendable, BitwiseCopyable {
    case adminDown = 0
    case down = 1
    case opening = 2
    case up = 3
  }

  /// Why the sender's session last changed its state (RFC 5880, section 4.1, `Diag`; 5 bits).
  package struct Diagnostic: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue & 0x1F }

    package static let none = Diagnostic(rawValue: 0)
    package static let timeExpired = Diagnostic(rawValue: 1)
    package static let neighbourDown = Diagnostic(rawValue: 3)
    package static let forwardingPlaneReset = Diagnostic(rawValue: 4)
    package static let concatenatedPathDown = Diagnostic(rawValue: 6)
    package static let administrativelyDown = Diagnostic(rawValue: 7)
  }

  package var diagnostic: Diagnostic
  package var state: State
  package var isPoll: Bool
  package var isFinal: Bool
  /// The sender asks for silence while both ends are up (Demand mode).
  package var isDemand: Bool
  /// 1 to 255: lost packets that make a session fail.
  package var multiplier: UInt8
  /// Never 0.
  package var myDiscriminator: UInt32
  /// 0 while the sender has not heard the receiver's.
  package var yourDiscriminator: UInt32
  /// Microseconds, as all intervals.
  package var desiredMinTx: UInt32
  /// 0: the sender wants no periodic packets.
  package var requiredMinRx: UInt32
  /// 0: the sender takes no echo packets.
  package var requiredMinEchoRx: UInt32

  package static let length = 24
  /// Destination UDP port of control packets over a single hop (RFC 5881, section 4).
  @inlinable package static var udpPort: UInt16 { 3784 }
  /// TTL or hop limit with which they are sent and must arrive (RFC 5881, section 5).
  @inlinable package static var hopLimit: UInt8 { 255 }

  private static let multiplierOffset = 2
  private static let lengthOffset = 3
  private static let myDiscriminatorOffset = 4
  private static let yourDiscriminatorOffset = 8
  private static let desiredMinTxOffset = 12
  private static let requiredMinRxOffset = 16
  private static let requiredMinEchoRxOffset = 20
  private static let version: UInt8 = 1
  private static let poll: UInt8 = 0x20
  private static let final: UInt8 = 0x10
  private static let authentication: UInt8 = 0x04
  private static let demand: UInt8 = 0x02
  private static let multipoint: UInt8 = 0x01

  package init(
    state: State, diagnostic: Diagnostic = .none, isPoll: Bool = false, isFinal: Bool = false, isDemand: Bool = false,
    multiplier: UInt8, myDiscriminator: UInt32, yourDiscriminator: UInt32, desiredMinTx: UInt32, requiredMinRx: UInt32,
    requiredMinEchoRx: UInt32 = 0
  ) {
    self.diagnostic = diagnostic
    self.state = state
    self.isPoll = isPoll
    self.isFinal = isFinal
    self.isDemand = isDemand
    self.multiplier = multiplier
    self.myDiscriminator = myDiscriminator
    self.yourDiscriminator = yourDiscriminator
    self.desiredMinTx = desiredMinTx
    self.requiredMinRx = requiredMinRx
    self.requiredMinEchoRx = requiredMinEchoRx
  }

  /// Reads what follows the UDP header, with all checks of RFC 5880, section 6.8.6, that need no session; nothing when one
  /// fails. A packet with an authentication section is refused, as none is in use.
  package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= BFDPacket.length else { return nil }
    let (first, flags) = (bytes.uint8(at: 0), bytes.uint8(at: 1))
    let length = Int(bytes.uint8(at: BFDPacket.lengthOffset))
    guard first >> 5 == BFDPacket.version, length >= BFDPacket.length, length <= bytes.byteCount,
      flags & (BFDPacket.authentication | BFDPacket.multipoint) == 0, let state = State(rawValue: flags >> 6)
    else { return nil }
    self.init(
      state: state, diagnostic: Diagnostic(rawValue: first), isPoll: flags & BFDPacket.poll != 0,
      isFinal: flags & BFDPacket.final != 0, isDemand: flags & BFDPacket.demand != 0,
      multiplier: bytes.uint8(at: BFDPacket.multiplierOffset),
      myDiscriminator: bytes.uint32(at: BFDPacket.myDiscriminatorOffset),
      yourDiscriminator: bytes.uint32(at: BFDPacket.yourDiscriminatorOffset),
      desiredMinTx: bytes.uint32(at: BFDPacket.desiredMinTxOffset),
      requiredMinRx: bytes.uint32(at: BFDPacket.requiredMinRxOffset),
      requiredMinEchoRx: bytes.uint32(at: BFDPacket.requiredMinEchoRxOffset))
    guard multiplier != 0, myDiscriminator != 0, yourDiscriminator != 0 || state == .down || state == .adminDown
    else { return nil }
  }

  /// Writes 24 octets and returns the offset after them; nothing, and no octet written, when they do not fit.
  package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: BFDPacket.length, at: offset) else { return nil }
    let flags =
      state.rawValue << 6 | (isPoll ? BFDPacket.poll : 0) | (isFinal ? BFDPacket.final : 0)
      | (isDemand ? BFDPacket.demand : 0)
    bytes.store(BFDPacket.version << 5 | diagnostic.rawValue, at: offset)
    bytes.store(flags, at: offset &+ 1)
    bytes.store(multiplier, at: offset &+ BFDPacket.multiplierOffset)
    bytes.store(UInt8(BFDPacket.length), at: offset &+ BFDPacket.lengthOffset)
    bytes.store(myDiscriminator, at: offset &+ BFDPacket.myDiscriminatorOffset)
    bytes.store(yourDiscriminator, at: offset &+ BFDPacket.yourDiscriminatorOffset)
    bytes.store(desiredMinTx, at: offset &+ BFDPacket.desiredMinTxOffset)
    bytes.store(requiredMinRx, at: offset &+ BFDPacket.requiredMinRxOffset)
    bytes.store(requiredMinEchoRx, at: offset &+ BFDPacket.requiredMinEchoRxOffset)
    return offset &+ BFDPacket.length
  }
}

extension BFDPacket.State: CustomStringConvertible {
  package var description: String {
    switch self {
    case .adminDown: "AdminDown"
    case .down: "Down"
    case .opening: "Init"
    case .up: "Up"
    }
  }
}

extension BFDPacket.Diagnostic: CustomStringConvertible {
  private static let texts = [
    "no diagnostic", "control detection time expired", "echo function failed", "neighbour signalled session down",
    "forwarding plane reset", "path down", "concatenated path down", "administratively down",
    "reverse concatenated path down",
  ]

  package var description: String {
    Self.texts.indices.contains(Int(rawValue)) ? Self.texts[Int(rawValue)] : "reserved diagnostic \(rawValue)"
  }
}
