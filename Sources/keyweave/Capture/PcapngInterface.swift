/// What packets of one interface of a pcapng file have in common.
struct PcapngInterface {
  let linkType: LinkType
  /// 0 means no limit.
  let snapshotLength: Int
  /// Units of time per second; nothing when a second has more than 2^64 of them, so that every time is before the first.
  private var unitsPerSecond: UInt64? = 1_000_000
  /// Added to every time, in seconds.
  private var offset: Int64 = 0

  private enum Option {
    static let end: UInt16 = 0
    static let timeResolution: UInt16 = 9
    static let timeOffset: UInt16 = 14
  }

  /// - Parameter body: an interface description block's.
  init(_ body: [UInt8], _ order: FileOrder) throws(CaptureDamage) {
    guard body.count >= 8 else { throw CaptureDamage(description: "an interface block of \(body.count) octets") }
    linkType = LinkType(number: UInt32(order.uint16(body, at: 0)))
    snapshotLength = Int(order.uint32(body, at: 4))
    var rest = body.dropFirst(8)
    while rest.count >= 4 {
      let (code, length) = (order.uint16(rest, at: 0), Int(order.uint16(rest, at: 2)))
      let value = rest.dropFirst(4).prefix(length)
      if code == Option.end || value.count < length { break }
      if code == Option.timeResolution, let resolution = value.first { unitsPerSecond = Self.units(resolution) }
      if code == Option.timeOffset, length == 8 { offset = Int64(bitPattern: order.uint64(value, at: 0)) }
      rest = rest.dropFirst(4 + (length + 3) / 4 * 4)
    }
  }

  /// The highest bit chooses between negative powers of 2 and of 10.
  private static func units(_ resolution: UInt8) -> UInt64? {
    let exponent = Int(resolution & 0x7F)
    if resolution & 0x80 != 0 { return exponent < 64 ? 1 << exponent : nil }
    guard exponent < 20 else { return nil }
    return (0..<exponent).reduce(1) { units, _ in units &* 10 }
  }

  func time(_ stamp: UInt64) -> (seconds: UInt64, nanoseconds: UInt32) {
    guard let unitsPerSecond else { return (0, 0) }
    let (seconds, rest) = stamp.quotientAndRemainder(dividingBy: unitsPerSecond)
    // The rest is less than the divisor, so that the quotient is less than 10^9.
    let nanoseconds = unitsPerSecond.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
    return (seconds &+ UInt64(bitPattern: offset), UInt32(truncatingIfNeeded: nanoseconds))
  }
}
