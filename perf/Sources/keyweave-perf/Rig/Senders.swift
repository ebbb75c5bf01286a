import DataPlane
import Foundation
import Keys
import Wire

/// Many senders of one trust group: before every round their next packets are sealed, each with the key of its own ID.
final class Senders {
  enum Spread: String { case uniform, zipf }

  let frames: FrameSet
  private static let width = 32
  private let texts: [UInt8]
  private let header: Int
  private let headerLength: Int
  private let length: Int
  private let epoch: UInt16
  private let variant: Variant
  private let count: UInt64
  private let zipf: Zipf?
  private var random = SplitMix(seed: 1)
  private var ids = [UInt64](repeating: 0, count: width)
  private var requests: [DataKeyRequest]
  private let engine: any AEADEngine
  private let table: KeyTable
  private let derivation: KeyDerivation
  private let keys: LockedMemory
  private let slot: LockedSlot
  private let master: MasterKey
  private var counter: UInt64 = 0

  /// Packets of `length` octets for the rig; IDs from 1 to `count`.
  init(_ rig: Rig, length: Int, count: UInt64, spread: Spread) throws {
    let kind = rig.kind
    self.count = count
    self.length = length
    let template = try Rig.sealed(kind, .fixed(length)).readdressed(to: rig.mac)[0]
    frames = FrameSet([[UInt8]](repeating: template, count: Self.width))
    header = EthernetHeader.minimumLength + (kind.family == .ipv4 ? 28 : 48)
    headerLength = kind.headerLength
    let sequence = template[(header + headerLength - 8)...]
    epoch = UInt16(sequence[sequence.startIndex]) << 8 | UInt16(sequence[sequence.startIndex + 1])
    texts = Array(
      Network(kind.family).frame(length: length, flow: 0, to: rig.mac)[EthernetHeader.minimumLength...])
    variant = Variant(context: .device, suite: kind.suite, isWide: false)
    zipf = spread == .zipf ? Zipf(count: count, exponent: 1) : nil
    requests = []
    engine = try Self.makeEngine()
    table = try KeyTable([Network.group()], with: engine)
    guard let entry = table.view.group(at: 0) else { throw PerfError("the key table has no group") }
    master = entry.pointee.sealing
    derivation = KeyDerivation()
    keys = try LockedMemory(octets: Self.width * KeyDerivation.keySize)
    slot = try LockedSlot(engine)
  }

  deinit {
    slot.release(engine)
    engine.shutdown()
  }

  private static func makeEngine() throws -> any AEADEngine {
    #if IPSEC_MB
      try IPsecMBEngine()
    #else
      try OpenSSLEngine()
    #endif
  }

  /// The next burst.
  func refill(_: Int) { refill(with: engine) }

  private func refill(with engine: some AEADEngine) {
    requests.removeAll(keepingCapacity: true)
    for _ in 0..<Self.width {
      let id = 1 + (zipf.map { $0.next(&random) - 1 } ?? random.next() % count)
      // Scattered, so that frequent senders do not have neighbouring IDs.
      requests.append(
        DataKeyRequest(
          variant: variant, id: count == 1 ? 1 : (id &* 0x9E37_79B1) & 0xFFFF_FFFF, epoch: epoch,
          source: .unspecifiedIPv6))
    }
    derivation.derive(requests, count: Self.width, under: master, with: engine, into: keys.base)
    for packet in 0..<Self.width {
      counter += 1
      let octets = frames.octets(packet) + header
      let id = UInt32(truncatingIfNeeded: requests[packet].id).bigEndian
      let sequence = SecurityHeader.sequenceWord(epoch: epoch, counter: counter).bigEndian
      octets.storeBytes(of: id, toByteOffset: SecurityHeader.idOffset, as: UInt32.self)
      octets.storeBytes(of: sequence, toByteOffset: headerLength - 8, as: UInt64.self)
      let text = octets + headerLength
      text.copyMemory(from: texts, byteCount: length)
      engine.expand(keys.base + packet * KeyDerivation.keySize, suite: variant.suite, into: slot.base)
      var nonce = (id, UInt32(truncatingIfNeeded: sequence), UInt32(truncatingIfNeeded: sequence >> 32))
      engine.seal(
        slot.base, suite: variant.suite, nonce: &nonce, aad: octets, aadLength: headerLength, text: text,
        length: length, tag: text + length)
    }
  }
}

/// Numbers from 1 to `count`, k with a probability in proportion to k^-exponent: by rejection and inversion (Hörmann and
/// Derflinger, 1996), so that no table of the numbers is needed.
struct Zipf {
  private let exponent: Double
  private let count: UInt64
  private let first: Double
  private let last: Double
  private let shift: Double

  init(count: UInt64, exponent: Double) {
    self.count = count
    self.exponent = exponent
    first = Self.integral(1.5, exponent) - 1
    last = Self.integral(Double(count) + 0.5, exponent)
    shift = 2 - Self.inverse(Self.integral(2.5, exponent) - Self.density(2, exponent), exponent)
  }

  func next(_ random: inout SplitMix) -> UInt64 {
    while true {
      let u = last + Double(random.next() >> 11) * 0x1p-53 * (first - last)
      let x = Self.inverse(u, exponent)
      let k = min(max(x.rounded(), 1), Double(count))
      if k - x <= shift || u >= Self.integral(k + 0.5, exponent) - Self.density(k, exponent) { return UInt64(k) }
    }
  }

  private static func density(_ x: Double, _ s: Double) -> Double { pow(x, -s) }
  private static func integral(_ x: Double, _ s: Double) -> Double {
    s == 1 ? log(x) : (pow(x, 1 - s) - 1) / (1 - s)
  }
  private static func inverse(_ u: Double, _ s: Double) -> Double {
    s == 1 ? exp(u) : pow(1 + u * (1 - s), 1 / (1 - s))
  }
}

/// Steele, Lea and Flood's generator: the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
