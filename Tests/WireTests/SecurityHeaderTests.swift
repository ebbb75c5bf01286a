import Support
import Testing
import Wire

@Suite struct SecurityHeaderTests {
  /// ID widths with the number and sizes of root key IDs, and the header's length by the table of wire format, section 1.
  static let layouts: [(isWide: Bool, ids: [Int], length: Int)] = [
    (false, [], 16), (true, [], 24), (false, [16], 40), (true, [16], 40), (false, [20], 40), (true, [20], 48),
    (false, [32], 56),
    (true, [32], 56), (false, [24, 28], 80), (false, [16, 20, 24], 88), (true, [16, 20, 24], 96),
    (false, [32, 32, 32], 128),
    (true, [32, 32, 32], 128), (true, [28, 28, 28], 120), (false, [28, 28, 28], 112),
  ]

  struct Made {
    let header: SecurityHeader
    let ids: [[UInt8]]
    /// Header, eight octets of payload and an ICV.
    let packet: [UInt8]
  }

  static func made(_ layout: (isWide: Bool, ids: [Int], length: Int), random: inout SplitMix) throws -> Made {
    let ids = layout.ids.map { random.octets($0) }
    var encoded = [UInt8](repeating: 0xA5, count: layout.ids.reduce(0) { $0 + $1 + 4 })
    var offset = 0
    for (index, id) in ids.enumerated() {
      var span = encoded.mutableSpan
      var bytes = span.mutableBytes
      let level = UInt8(index + 1)
      offset = try #require(
        MasterKeyOption.write(level: level, index: level &* 77, id: id.span.bytes, into: &bytes, at: offset))
    }
    let header = SecurityHeader(
      variant: Variant(context: .sourceAddress, suite: .aes128, isWide: layout.isWide), reserve: 0x5A, coffset: 2,
      ioffset: 1,
      id: layout.isWide ? random.next() | 1 << 63 : random.next() >> 32, epoch: 0xFEDC, counter: random.next() >> 16)
    let options = encoded
    let (packet, end) = onDirtyBuffer(layout.length + 24) {
      header.write(encodedOptions: options.span.bytes, into: &$0)
    }
    #expect(end == layout.length)
    return Made(header: header, ids: ids, packet: packet)
  }

  @Test func roundTrip() throws {
    var random = SplitMix(seed: 3)
    for layout in Self.layouts {
      let made = try Self.made(layout, random: &random)
      let header = try #require(SecurityHeader.decode(made.packet).header)
      #expect(
        Int(header.length) == layout.length && header.id == made.header.id && header.counter == made.header.counter)
      #expect(header.epoch == 0xFEDC && header.reserve == 0x5A && header.coffset == 2 && header.ioffset == 1)
      #expect(header.clearLength == 8 && header.unprotectedLength == 4)
      #expect(header.variant == made.header.variant && Int(header.optionCount) == layout.ids.count)
      for (index, id) in made.ids.enumerated() {
        let option = header.option(index)
        #expect(option.level == UInt8(index + 1) && option.index == UInt8(index + 1) &* 77)
        let start = option.idOffset
        #expect(Array(made.packet[start..<(start + option.idLength)]) == id)
        #expect(index > 0 || start == header.optionsOffset + 4)
      }
      #expect(header.option(layout.ids.count).level == 0)
      #expect(made.packet[layout.length] == 0xA5, "the payload is untouched")
      #expect(SecurityHeader.decode(made.packet, sourceIsMapped: true).reason == .malformed)
      #expect(refusesShortBuffers(16) { made.header.write(into: &$0) })
    }
  }

  /// Every length for HL but the right one, every cut, and every option octet that may not be so.
  @Test func impossibleLengths() throws {
    var random = SplitMix(seed: 4)
    for layout in Self.layouts {
      let packet = try Self.made(layout, random: &random).packet
      for count in 0..<packet.count {
        #expect(SecurityHeader.decode(Array(packet.prefix(count)), overUDP: false).reason == .malformed)
      }
      let long = packet + random.octets(128)
      let options = layout.isWide ? 12 : 8
      // A header that ends after fewer of its options is whole as well, if no padding is needed there.
      var ends = [options]
      for id in layout.ids { ends.append(ends[ends.count - 1] + id + 4) }
      let whole = ends.filter { $0 % 8 == 0 }.map { $0 / 8 } + [layout.length / 8 - 1]
      let isPadded = ends[ends.count - 1] % 8 == 4
      for units in 0..<16 {
        let decoded = SecurityHeader.decode(long.with(0xF0 | UInt8(units), at: 0))
        #expect((decoded.header != nil) == whole.contains(units), "HL \(units)")
        #expect(decoded.header != nil || decoded.reason == .malformed)
      }
      if !layout.ids.isEmpty {
        for level in 0...255 where level != 1 {
          let reason = SecurityHeader.decode(packet.with(UInt8(level), at: options)).reason
          // A lone option may be of another level.
          let isRising = layout.ids.count == 1 ? (2...3).contains(level) : false
          #expect(reason == (isRising ? nil : .malformed), "level \(level)")
        }
        for length in 0...255 where length != layout.ids[0] + 2 {
          // The padding may pass for the last four octets of a longer ID.
          let isLonger = isPadded && layout.ids.count == 1 && length == layout.ids[0] + 6 && length <= 34
          let reason = SecurityHeader.decode(packet.with(UInt8(length), at: options + 1)).reason
          #expect(reason == (isLonger ? nil : .malformed), "length \(length)")
        }
        #expect(SecurityHeader.decode(packet.with(0xFF, at: options + 3)).header != nil, "option padding is ignored")
      }
      if isPadded {
        for offset in 1...4 {
          #expect(SecurityHeader.decode(packet.with(1, at: layout.length - 8 - offset)).reason == .malformed)
        }
      }
    }
  }

  @Test func order() throws {
    var random = SplitMix(seed: 5)
    let good = try Self.made((false, [16], 40), random: &random).packet
    func reason(_ octets: [UInt8], overUDP: Bool = true) -> DropReason? {
      SecurityHeader.decode(octets, overUDP: overUDP).reason
    }
    #expect(reason([0xFF]) == .keepalive && reason([0xFF], overUDP: false) == .malformed)
    #expect(reason([]) == .malformed && reason([0xFE]) == .malformed && reason([0xFF, 0xFF]) == .malformed)
    // Each further mistake stands behind the one before.
    var bad = good.with(0xFF, at: 3)
    #expect(reason(bad) == .malformed)
    bad[8] = 9
    #expect(reason(bad) == .malformed)
    bad[1] = 0x60
    #expect(reason(bad) == .variant)
    bad[0] = 0xF0
    #expect(reason(bad) == .malformed)
    bad[0] = 0xFF
    #expect(reason(bad) == .malformed)
    bad[0] = 0x1F
    #expect(reason(bad) == .version)
    #expect(reason(Array(bad.prefix(15))) == .malformed)
    // IOffset above COffset; COffset that leaves no room for the ICV, to the octet.
    #expect(reason(good.with(0x23, at: 3)) == .malformed && reason(good.with(0x22, at: 3)) == nil)
    #expect(reason(good.with(0x31, at: 3)) == .malformed && reason(good + [0, 0, 0]) == nil)
    #expect(reason((good + [0, 0, 0]).with(0x31, at: 3)) == .malformed)
    #expect(reason((good + [0, 0, 0, 0]).with(0x31, at: 3)) == nil)
    // Only the source address context minds a mapped source.
    #expect(SecurityHeader.decode(good, sourceIsMapped: true).reason == .malformed)
    #expect(SecurityHeader.decode(good.with(good[1] & 0x0F, at: 1), sourceIsMapped: true).reason == nil)
  }

  @Test func variants() {
    let valid = (0...255 as ClosedRange<UInt8>).compactMap { Variant(rawValue: $0) }
    #expect(valid.map(\.rawValue) == [0, 1, 4, 5, 8, 9, 10, 11, 12, 13])
    for variant in valid {
      #expect(variant == Variant(context: variant.context, suite: variant.suite, isWide: variant.isWide))
      #expect(variant.idLength == (variant.isWide ? 8 : 4))
    }
    #expect(Variant(context: .connection, suite: .aes256, isWide: false).rawValue == 10)
    #expect(Suite.aes256.keyLength == 32 && Suite.aes128.keyLength == 16)
  }

  @Test func refusesToWrite() {
    let narrow = Variant(context: .device, suite: .aes256, isWide: false)
    let headers = [
      SecurityHeader(variant: narrow, id: 1 << 32), SecurityHeader(variant: narrow, id: 1, counter: 1 << 48),
      SecurityHeader(variant: narrow, coffset: 1, ioffset: 2, id: 1),
      SecurityHeader(variant: narrow, coffset: 20, ioffset: 16, id: 1),
    ]
    for header in headers {
      let (octets, end) = onDirtyBuffer(160) { header.write(into: &$0) }
      #expect(end == nil && octets.allSatisfy { $0 == 0xA5 })
    }
    let options = [UInt8](repeating: 0, count: 116)
    for count in [2, 21, 116] {
      let (_, end) = onDirtyBuffer(160) {
        SecurityHeader(variant: narrow, id: 1).write(
          encodedOptions: options.span.bytes.extracting(first: count), into: &$0)
      }
      #expect(end == nil)
    }
    for (level, count) in [(0, 16), (4, 16), (1, 0), (1, 12), (1, 17), (1, 36), (255, 32)] as [(UInt8, Int)] {
      let (octets, end) = onDirtyBuffer(64) {
        MasterKeyOption.write(level: level, index: 0, id: options.span.bytes.extracting(first: count), into: &$0, at: 0)
      }
      #expect(end == nil && octets.allSatisfy { $0 == 0xA5 })
    }
  }

  /// The data plane keeps a header and stores these two words into it for each packet.
  @Test func template() throws {
    var random = SplitMix(seed: 6)
    let made = try Self.made((true, [32, 20], 80), random: &random)
    var patched = made.packet
    let first = SecurityHeader.firstWord(length: 80, variant: made.header.variant, reserve: 3, coffset: 7, ioffset: 0)
    let sequence = SecurityHeader.sequenceWord(epoch: 9, counter: 0xFFFF_0000_0000_0005)
    let (octets, _) = changed(patched + random.octets(40)) {
      $0.store(first, at: 0)
      $0.store(sequence, at: 80 - SecurityHeader.sequenceLength)
    }
    patched = octets
    let header = try #require(SecurityHeader.decode(patched).header)
    #expect(
      header.reserve == 3 && header.coffset == 7 && header.ioffset == 0 && header.epoch == 9 && header.counter == 5)
    #expect(header.id == made.header.id && header.optionCount == 2)
    #expect(MemoryLayout<SecurityHeader>.size < 64)
  }
}
