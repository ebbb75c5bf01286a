import Wire

/// Changes to frames, at random: each is one that might make a packet of a known flow pass for what it is not.
struct Oddities {
  var random: RepeatableGenerator

  init(seed: UInt64) { random = RepeatableGenerator(seed: seed) }

  mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
  mutating func octet() -> UInt8 { UInt8.random(in: 0...255, using: &random) }
  mutating func pick<Choice>(_ choices: [Choice]) -> Choice { choices[below(choices.count)] }

  mutating func flipped(_ frame: [UInt8], _ bits: Int, in range: Range<Int>) -> [UInt8] {
    var frame = frame
    let range = range.clamped(to: 0..<frame.count)
    guard !range.isEmpty else { return frame }
    for _ in 0..<bits { frame[Int.random(in: range, using: &random)] ^= 1 << UInt8(below(8)) }
    return frame
  }

  private func setting(_ frame: [UInt8], _ place: Int, _ octets: [UInt8]) -> [UInt8] {
    guard place >= 0, place + octets.count <= frame.count else { return frame }
    var frame = frame
    frame.replaceSubrange(place..<place + octets.count, with: octets)
    return frame
  }

  /// A frame with an IP packet `ip` octets from its start, with something about its link or its IP header changed.
  ///
  /// - Parameter reach: octets from the frame's first in which single bits change.
  mutating func changed(_ frame: [UInt8], ip: Int, reach: Int, vlan: UInt16?) -> (frame: [UInt8], name: String) {
    let isIPv4 = frame[ip] >> 4 == 4
    switch below(18) {
    case 0: return (flipped(frame, 1, in: 0..<reach), "a bit")
    case 1, 2: return (TwoWays.mended(flipped(frame, 1, in: 0..<reach)), "a bit, mended")
    case 3: return (TwoWays.mended(flipped(frame, 2 + below(2), in: ip..<reach)), "bits, mended")
    case 4: return (Array(frame.prefix(below(frame.count) + 1)), "cut")
    case 5: return (frame + (0..<1 + below(40)).map { _ in octet() }, "padded")
    case 6:
      let place = ip + (isIPv4 ? 2 : 4)
      let length = pick([0, 1, 8, 19, 20, 27, 28, 0xFFFF, frame.word(at: place) + below(17) - 8])
      return (TwoWays.mended(setting(frame, place, Packet.word(max(0, length)))), "length \(length)")
    case 7:
      let hops = pick([UInt8(0), 1, 2, 3, 255])
      return (TwoWays.mended(setting(frame, ip + (isIPv4 ? 8 : 7), [hops])), "hops \(hops)")
    case 8:
      let words = 1 + below(10)
      var longer = frame
      if isIPv4 {
        longer[ip] = 0x45 + UInt8(words)
        longer.insert(contentsOf: [UInt8](repeating: 1, count: 4 * words), at: ip + 20)
        longer = setting(longer, ip + 2, Packet.word(longer.word(at: ip + 2) + 4 * words))
        return (TwoWays.mended(longer), "options")
      }
      let header = pick([UInt8(0), 60, 44])
      // A fragment header, of a first or a last fragment or of neither, or else options that are padding.
      let extra: [UInt8] = [frame[ip + 6], 0, header == 44 ? 0 : 1, header == 44 ? octet() & 9 : 4, 0, 0, 0, 0]
      longer.insert(
        contentsOf: extra, at: ip + 40)
      longer[ip + 6] = header
      return (setting(longer, ip + 4, Packet.word(longer.word(at: ip + 4) + 8)), "extension header \(header)")
    case 9:
      guard isIPv4 else { return (flipped(frame, 3, in: ip..<ip + 4), "IPv6 bits") }
      let word = pick([0x2000, 0x4000, 0, 0x8000, 0x6000, 0xC000, 1, 0x1FFF, 0x2001, 1 << below(13)])
      return (TwoWays.mended(setting(frame, ip + 6, Packet.word(word))), "fragment \(word)")
    case 10:
      let tags = pick([[], [0], [100], [200], [100, 100], [4095], [Int(vlan ?? 1), 1], [0xE000 | Int(vlan ?? 0)]])
      return (
        Array(frame[..<12]) + tags.flatMap { [0x81, 0] + Packet.word($0) } + Array(frame[(ip - 2)...]), "tags \(tags)"
      )
    case 11:
      let mac: [UInt8] = pick([
        [0x01, 0, 0x5E, 0, 0, 1], [255, 255, 255, 255, 255, 255], [2, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0],
      ])
      return (setting(frame, 0, mac), "to \(mac)")
    case 12, 13:
      let isSource = below(2) == 0
      let text =
        isIPv4
        ? pick([
          "224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "169.254.1.1", "10.1.0.1", "10.2.0.1", "10.9.9.9",
        ])
        : pick([
          "ff02::1", "ff0e::1", "::1", "fe80::1", "::", "::ffff:10.2.0.2", "2001:db8:1::1", "2001:db8:2::1",
          "2001:db8:99::1",
        ])
      let place = ip + (isIPv4 ? (isSource ? 12 : 16) : (isSource ? 8 : 24))
      return (TwoWays.mended(setting(frame, place, Packet.octets(text))), "\(isSource ? "from" : "to") \(text)")
    case 14:
      let word = frame.word(at: ip)
      let value = Int(octet())
      let changed = isIPv4 ? word & 0xFF00 | value : word & 0xF00F | value << 4
      return (TwoWays.mended(setting(frame, ip, Packet.word(changed))), "class \(value)")
    case 15:
      let number = pick([UInt8(1), 2, 6, 17, 50, 58, 132, 253, 255])
      return (TwoWays.mended(setting(frame, ip + (isIPv4 ? 9 : 6), [number])), "protocol \(number)")
    case 16:
      return (setting(frame, ip - 2, pick([[8, 0], [0x86, 0xDD], [0x88, 0xB5], [0x81, 0]])), "type")
    default:
      let place = ip + (isIPv4 ? 20 : 40)
      let length = pick([0, 7, 8, 9, 0xFFFF, frame.word(at: place + 4) + below(9) - 4])
      return (setting(frame, place + 4, Packet.word(max(0, length))), "UDP length \(length)")
    }
  }

  /// A TCP segment with flags, header length and options of any kind.
  mutating func segment(_ frame: [UInt8], ip: Int) -> (frame: [UInt8], name: String) {
    let isIPv4 = frame[ip] >> 4 == 4
    let tcp = ip + (isIPv4 ? 20 : 40)
    guard frame[ip + (isIPv4 ? 9 : 6)] == 6, frame.count >= tcp + 20 else { return (frame, "nothing") }
    let (size, flags) = (UInt8(below(16)), pick([UInt8(0x02), 0x12, 0x10, 0x18, 0x01, 0x04, octet()]))
    switch below(3) {
    case 0: return (setting(frame, tcp + 12, [frame[tcp + 12], flags]), "flags \(flags)")
    case 1: return (setting(frame, tcp + 12, [size << 4, 0x10]), "data offset \(size)")
    default:
      // An MSS that is too large for any tunnel.
      var longer = frame
      longer.insert(contentsOf: [2, 4, 0x23, 0x28], at: tcp + 20)
      longer[tcp + 12] = 0x60
      longer[tcp + 13] = flags
      let place = ip + (isIPv4 ? 2 : 4)
      return (
        TwoWays.mended(setting(longer, place, Packet.word(longer.word(at: place) + 4))), "MSS, flags \(flags)"
      )
    }
  }

  /// The packet made longer.
  func lengthened(_ frame: [UInt8], ip: Int, to length: Int) -> (frame: [UInt8], name: String) {
    guard ip + length > frame.count else { return (frame, "nothing") }
    let longer = frame + Packet.pattern(ip + length - frame.count)
    let place = ip + (frame[ip] >> 4 == 4 ? 2 : 4)
    let value = frame[ip] >> 4 == 4 ? length : length - 40
    return (TwoWays.mended(setting(longer, place, Packet.word(value))), "\(length) octets")
  }
}
