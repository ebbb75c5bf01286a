import Foundation
import Wire

/// Valid inputs, made from the test vectors and the example configurations.
struct Seeds: Sendable {
  struct Vector: Decodable, Sendable {
    var packet: String
    var payload: String?
  }
  private struct Vectors: Decodable {
    var positive: [Vector]
    var negative: [Vector]
  }

  /// Security header, payload and ICV.
  let packets: [[UInt8]]
  /// What the positive vectors hold, in clear.
  let payloads: [[UInt8]]

  /// Reads from the current folder, the root of the clone.
  init() throws {
    let file = try Data(contentsOf: URL(fileURLWithPath: "Tests/Vectors/eesp-stateless.json"))
    let vectors = try JSONDecoder().decode(Vectors.self, from: file)
    packets = (vectors.positive + vectors.negative).map { Seeds.octets($0.packet) }
    payloads = vectors.positive.compactMap { $0.payload.map(Seeds.octets) }
  }

  /// Every file of a folder with one of these endings.
  func files(in folder: String, endings: [String]) -> [[UInt8]] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().filter { name in endings.contains { name.hasSuffix($0) } }
      .compactMap { FileManager.default.contents(atPath: "\(folder)/\($0)").map(Array.init) }
  }

  /// An Ethernet frame around an IP packet.
  static func frame(_ packet: [UInt8]) -> [UInt8] {
    let type = packet.first.map { $0 >> 4 } == 6 ? EtherType.ipv6 : EtherType.ipv4
    return made(length: 14 + packet.count) { bytes in
      _ = EthernetHeader(destination: mac(1), source: mac(2), etherType: type).write(into: &bytes)
      bytes.store(packet.span.bytes, at: 14)
    }
  }

  /// A protected packet as it arrives: Ethernet, IPv4 or IPv6, UDP.
  static func carried(_ packet: [UInt8], overIPv6: Bool) -> [UInt8] {
    let datagram = UInt16(clamping: UDPHeader.length + packet.count)
    let headers = overIPv6 ? IPv6Header.length : IPv4Header.minimumLength
    return frame(
      made(length: headers + Int(datagram)) { bytes in
        let start =
          overIPv6
          ? IPv6Header(payloadLength: datagram, nextHeader: IPProtocol.udp, source: v6(1), destination: v6(2))
            .write(into: &bytes)
          : IPv4Header(
            totalLength: UInt16(headers) + datagram, protocolNumber: IPProtocol.udp, source: v4(1), destination: v4(2)
          ).write(into: &bytes)
        let udp = UDPHeader(sourcePort: 50000, destinationPort: UDPHeader.defaultPort, datagramLength: datagram)
        _ = udp.write(into: &bytes, at: start ?? 0)
        bytes.store(packet.span.bytes, at: headers + UDPHeader.length)
      })
  }

  static func made(length: Int, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var octets = [UInt8](repeating: 0, count: length)
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    body(&bytes)
    return octets
  }

  static func mac(_ number: UInt64) -> MACAddress { MACAddress(rawValue: 0x0200_0000_0000 | number) }
  static func v4(_ number: UInt32) -> IPAddress { IPAddress(ipv4: 0xC000_0200 | number) }
  static func v6(_ number: UInt64) -> IPAddress { IPAddress(high: 0x2001_0DB8_0000_0000, low: number) }

  static func octets(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.map { $0 < 0x3A ? $0 &- 0x30 : ($0 | 0x20) &- 0x57 }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
