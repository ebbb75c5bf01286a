import Support
import Testing
import Wire

@Suite struct VectorTests {
  let vectors: VectorFile

  init() throws {
    vectors = try VectorFile.load()
    try #require(vectors.positive.count == 30 && vectors.negative.count == 193)
  }

  @Test func headers() throws {
    for vector in vectors.positive {
      let header = try #require(SecurityHeader.decode(vector.packet).header, "\(vector.name)")
      #expect(header.variant.rawValue == vector.v && header.reserve == vector.reserve)
      #expect(header.id == vector.id.reduce(0) { $0 << 8 | UInt64($1) } && header.variant.idLength == vector.id.count)
      #expect(header.epoch == vector.epoch && header.counter == vector.counter)
      #expect(header.coffset == vector.coffset && header.ioffset == vector.ioffset)
      #expect(Int(header.optionCount) == vector.options)
      #expect(Int(header.length) + vector.payload.count + SecurityHeader.icvLength == vector.packet.count)
      for index in 0..<vector.options {
        let (option, root) = (header.option(index), vector.rootKeys[index])
        #expect(option.level == root.type)
        #expect(option.index == UInt8(truncatingIfNeeded: root.usedGeneration.index))
        #expect(Array(vector.packet[option.idOffset...].prefix(option.idLength)) == root.id)
      }
    }
  }

  @Test func writesTheSameHeaders() throws {
    for vector in vectors.positive {
      let decoded = try #require(SecurityHeader.decode(vector.packet).header)
      var options = [UInt8](repeating: 0xA5, count: 128)
      var end = 0
      for root in vector.rootKeys.prefix(vector.options) {
        var span = options.mutableSpan
        var bytes = span.mutableBytes
        let index = UInt8(truncatingIfNeeded: root.usedGeneration.index)
        end = try #require(
          MasterKeyOption.write(level: root.type, index: index, id: root.id.span.bytes, into: &bytes, at: end))
      }
      let header = SecurityHeader(
        variant: try #require(Variant(rawValue: vector.v)), reserve: vector.reserve, coffset: vector.coffset,
        ioffset: vector.ioffset, id: decoded.id, epoch: vector.epoch, counter: vector.counter)
      let encoded = Array(options.prefix(end))
      let (octets, length) = onDirtyBuffer(128) { header.write(encodedOptions: encoded.span.bytes, into: &$0) }
      #expect(length == Int(decoded.length))
      #expect(octets.prefix(Int(decoded.length)) == vector.packet.prefix(Int(decoded.length)), "\(vector.name)")
    }
  }

  @Test func payloads() throws {
    for vector in vectors.positive {
      let classified = InnerPayload.classify(vector.payload.span.bytes)
      if vector.payloadForm == "dummy" {
        #expect(classified.reason == .dummy)
        continue
      }
      let inner = try #require(classified.inner, "\(vector.name)")
      let forms: [String: PayloadForm] = [
        "ipv4": .ipv4, "ipv6": .ipv6, "transport-udp": .transport, "ethernet": .ethernet,
      ]
      #expect(inner.form == forms[vector.payloadForm])
      #expect(inner.nextHeader == ["ipv4": 4, "ipv6": 41, "transport-udp": 17, "ethernet": 143][vector.payloadForm])
      #expect(inner.offset + inner.length <= vector.payload.count)
    }
  }

  /// Those of the negative vectors that need no key: the header's own mistakes must be seen here and the others must not.
  @Test func negatives() {
    var seen: [String: Int] = [:]
    for vector in vectors.negative {
      let reason = SecurityHeader.decode(vector.packet).reason?.name
      let isOurs = ["malformed", "version", "variant"].contains(vector.drop)
      #expect(reason == (isOurs ? vector.drop : nil), "\(vector.name)")
      seen[vector.drop, default: 0] += 1
      #expect(DropReason.allCases.contains { $0.name == vector.drop })
    }
    #expect(Set(seen.keys).isSuperset(of: ["malformed", "version", "variant", "unknown-key", "authentication"]))
  }
}
