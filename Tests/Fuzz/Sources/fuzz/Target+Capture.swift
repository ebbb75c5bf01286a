import Wire

extension Target {
  /// A capture file as `inspect`, `seal` and `open` read it, and the outer headers of its packets. Their sources are links to
  /// the executable's, which no other program can import.
  static let capture = Target(
    name: "capture",
    seeds: { seeds in
      let frames = seeds.packets.prefix(4).enumerated().map { Seeds.carried($1, overIPv6: $0 % 2 == 0) }
      return [pcap(frames, linkType: 1), pcap(seeds.payloads.prefix(4), linkType: 101), pcapng(frames)]
    },
    run: { bytes in
      let path = Scratch.file("fuzzed.pcap", bytes.octets)
      guard var reader = try? CaptureReader(path: path) else { return }
      while true {
        do throws(CaptureDamage) {
          guard let record = try reader.next() else { return }
          require(record.octets.count <= bytes.byteCount, "a packet is a part of the file")
          guard let packet = ProtectedPacket(in: record.octets.span.bytes, linkType: record.linkType) else { continue }
          require(
            packet.range.lowerBound >= 0 && packet.range.upperBound <= record.octets.count,
            "a protected packet is a part of its frame")
        } catch {
          return require(!error.description.isEmpty, "damage is described")
        }
      }
    })

  private static func words(_ words: [UInt32]) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }

  private static func pcap(_ frames: some Sequence<[UInt8]>, linkType: UInt32) -> [UInt8] {
    words([0xA1B2_C3D4, 0x0004_0002, 0, 0, 65535, linkType])
      + frames.flatMap { words([1_800_000_000, 0, UInt32($0.count), UInt32($0.count)]) + $0 }
  }

  /// A section header, an Ethernet interface, and an enhanced packet block for each frame.
  private static func pcapng(_ frames: [[UInt8]]) -> [UInt8] {
    let section = words([0x0A0D_0D0A, 28, 0x1A2B_3C4D, 1, 0xFFFF_FFFF, 0xFFFF_FFFF, 28])
    let interface = words([1, 20, 1, 65535, 20])
    return section + interface
      + frames.flatMap { frame in
        let padded = frame + [UInt8](repeating: 0, count: -frame.count & 3)
        let length = UInt32(32 + padded.count)
        let count = UInt32(frame.count)
        return words([6, length, 0, 0x6_4000, 0x1000_0000, count, count]) + padded + words([length])
      }
  }
}
