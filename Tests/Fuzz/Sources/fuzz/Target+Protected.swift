import Wire

extension Target {
  /// A security header; the first octet says how it was carried.
  static let securityHeader = Target(
    name: "header",
    seeds: { seeds in
      seeds.packets.map { [1] + $0 } + seeds.packets.prefix(30).map { [2] + $0 } + [[1, 0xFF]]
    },
    run: { bytes in
      guard bytes.byteCount > 0 else { return }
      let how = bytes.uint8(at: 0)
      let packet = bytes.extracting(droppingFirst: 1)
      let (overUDP, isMapped) = (how & 1 != 0, how & 2 != 0)
      switch SecurityHeader.decode(packet, overUDP: overUDP, sourceIsMapped: isMapped) {
      case .header(let header): check(header, of: packet)
      case .drop(let reason):
        require(
          [.keepalive, .malformed, .version, .variant].contains(reason) && (reason != .keepalive || overUDP),
          "\(reason) is not the codec's to say")
      }
    })

  private static func check(_ header: SecurityHeader, of packet: RawSpan) {
    let length = Int(header.length)
    require(length >= 16 && length <= 128 && length % 8 == 0, "a header has 16 to 128 octets")
    require(header.unprotectedLength <= header.clearLength, "what is encrypted is protected")
    require(packet.byteCount >= length + header.clearLength + SecurityHeader.icvLength, "the ICV is inside")
    var options: [UInt8] = []
    var level: UInt8 = 0
    for index in 0..<Int(header.optionCount) {
      let option = header.option(index)
      require(option.level > level && option.level <= 3, "levels rise")
      level = option.level
      let (start, end) = (Int(option.idOffset), Int(option.idOffset) + Int(option.idLength))
      guard let id = packet.part(from: start, to: end) else { return require(false, "a root key ID is inside") }
      options += Seeds.made(length: 4 + id.byteCount) { bytes in
        let next = MasterKeyOption.write(level: option.level, index: option.index, id: id, into: &bytes, at: 0)
        require(next == 4 + id.byteCount, "an option that was read can be written")
      }
    }
    var octets = [UInt8](repeating: 0xA5, count: length)
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    let written = header.write(encodedOptions: options.span.bytes, into: &bytes)
    require(written == length, "a header that was read can be written")
    // The padding octet of an option is ignored when received and zero when sent; all others must come back.
    var original = packet.extracting(first: length).octets
    for index in 0..<Int(header.optionCount) { original[Int(header.option(index).idOffset) - 1] = 0 }
    require(bytes.bytes.octets == original, "a header writes what it read")
  }

  /// An opened payload, and what sealing would look for in the same octets.
  static let payload = Target(
    name: "payload",
    seeds: { seeds in seeds.payloads },
    run: { bytes in
      switch InnerPayload.classify(bytes) {
      case .inner(let inner):
        require(
          inner.offset >= 0 && inner.length >= 0 && inner.offset + inner.length <= bytes.byteCount,
          "the inner packet is inside")
        let packet = bytes.extracting(inner.offset..<inner.offset + inner.length)
        checkFlow(inner.form == .ethernet ? InnerFlow(frame: packet) : InnerFlow(packet: packet), of: packet)
      case .drop(let reason):
        require(reason == .malformedInner || reason == .dummy, "\(reason) is not the payload's to say")
      }
    })

  private static func checkFlow(_ flow: InnerFlow?, of packet: RawSpan) {
    guard let flow else { return }
    require(flow.transportOffset <= flow.headersEnd && flow.headersEnd <= packet.byteCount, "headers end inside")
    for prefix in [0, 4] {
      let clear = Int(flow.coffset(upTo: 255, prefix: prefix)) * 4
      require(clear <= flow.headersEnd + prefix, "COffset exposes no user data")
    }
    let hash = flow.hash(FlowKey(1, 2, 3, 4))
    require(FlowChoice.sourcePort(hash) >= 49152, "the source port is an ephemeral one")
    require((0..<3).contains(FlowChoice.index(hash, below: 3)), "a peer's index is inside its set")
  }
}
