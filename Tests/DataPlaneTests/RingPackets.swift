import Testing
import Wire

/// Packets as the tests' own code builds them, octet by octet: nothing of Wire's codecs is used.
enum Packet {
  static func checksum(_ octets: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: octets.count, by: 2) {
      sum += UInt32(octets[index]) << 8 | (index + 1 < octets.count ? UInt32(octets[index + 1]) : 0)
    }
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    return ~UInt16(sum)
  }

  static func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

  /// Of the address as it is written: ::ffff:10.1.0.2 has sixteen octets.
  static func octets(_ text: String) -> [UInt8] {
    if text.hasPrefix("::ffff:") {
      return [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + octets(String(text.dropFirst(7)))
    }
    guard let address = IPAddress(text) else {
      Issue.record("no address: \(text)")
      return []
    }
    let all = (0..<16).map {
      UInt8(truncatingIfNeeded: ($0 < 8 ? address.high : address.low) >> UInt64(56 - 8 * ($0 % 8)))
    }
    return address.isIPv4 ? Array(all[12...]) : all
  }

  static func ipv4(
    from source: String, to destination: String, protocol number: UInt8 = 17, tos: UInt8 = 0, id: Int = 0,
    df: Bool = true,
    fragment: Int = 0, ttl: UInt8 = 64, options: [UInt8] = [], _ payload: [UInt8]
  ) -> [UInt8] {
    var header: [UInt8] = [UInt8(0x45 + options.count / 4), tos] + word(20 + options.count + payload.count) + word(id)
    header += word((df ? 0x4000 : 0) | fragment) + [ttl, number, 0, 0] + octets(source) + octets(destination) + options
    header.replaceSubrange(10..<12, with: word(Int(checksum(header))))
    return header + payload
  }

  static func ipv6(
    from source: String, to destination: String, next number: UInt8 = 17, trafficClass: UInt8 = 0, hops: UInt8 = 64,
    _ payload: [UInt8]
  ) -> [UInt8] {
    [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0] + word(payload.count) + [number, hops] + octets(source)
      + octets(destination)
      + payload
  }

  static func udp(_ source: Int = 1000, _ destination: Int = 2000, _ payload: [UInt8]) -> [UInt8] {
    word(source) + word(destination) + word(8 + payload.count) + [0, 0] + payload
  }

  static func syn(from source: String, to destination: String, mss: Int) -> [UInt8] {
    var segment =
      word(40000) + word(443) + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xFF, 0xFF, 0, 0, 0, 0, 2, 4] + word(mss)
    segment.replaceSubrange(16..<18, with: word(Int(transportChecksum(6, source, destination, segment))))
    return segment
  }

  static func transportChecksum(_ number: Int, _ source: String, _ destination: String, _ segment: [UInt8]) -> UInt16 {
    checksum(octets(source) + octets(destination) + [0, UInt8(number)] + word(segment.count) + segment)
  }

  static func echo(_ payload: [UInt8], sequence: Int = 1, type: UInt8 = 8) -> [UInt8] {
    var message: [UInt8] = [type, 0, 0, 0, 0x12, 0x34] + word(sequence) + payload
    message.replaceSubrange(2..<4, with: word(Int(checksum(message))))
    return message
  }

  static func echo6(from source: String, to destination: String, _ payload: [UInt8], type: UInt8 = 128) -> [UInt8] {
    var message: [UInt8] = [type, 0, 0, 0, 0x12, 0x34, 0, 1] + payload
    message.replaceSubrange(2..<4, with: word(Int(transportChecksum(58, source, destination, message))))
    return message
  }

  static func frame(to: MACAddress, from: MACAddress, vlans: [Int] = [], type: Int? = nil, _ payload: [UInt8])
    -> [UInt8]
  {
    let guess = (payload.first ?? 0) >> 4 == 6 ? 0x86DD : 0x0800
    return octets(of: to) + octets(of: from) + vlans.flatMap { [0x81, 0x00] + word($0) } + word(type ?? guess) + payload
  }

  static func octets(of mac: MACAddress) -> [UInt8] {
    (0..<6).map { UInt8(truncatingIfNeeded: mac.rawValue >> UInt64(40 - 8 * $0)) }
  }

  /// 0, 1, 2 and so on: every place is different from its neighbours.
  static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }
}

extension [UInt8] {
  func word(at offset: Int) -> Int { Int(self[offset]) << 8 | Int(self[offset + 1]) }
  func setting(_ value: UInt8, at offset: Int) -> [UInt8] {
    var copy = self
    copy[offset] = value
    return copy
  }
}
