import DataPlane
import Glibc
import Keys
import Wire

extension Target {
  /// What arrives at a gateway that has keys. The first octet says how: bit 0 over UDP, bit 1 sealed by a member of the group
  /// (header and payload are then in clear, and sealed here), bit 2 from an IPv6 source. Everything is also given to a gateway
  /// with replay protection, what opens twice.
  static let open = Target(
    name: "open",
    seeds: { seeds in
      var inputs: [[UInt8]] = seeds.packets.prefix(60).map { [1] + $0 }
      for (index, payload) in seeds.payloads.enumerated() {
        for group in 0..<3 { inputs.append([3] + Rig.clear(payload, options: group, variant: UInt8(index % 2))) }
        inputs.append([6] + Rig.clear(payload, options: 1, variant: 4))
      }
      return inputs
    },
    run: { bytes in
      guard bytes.byteCount > 1 else { return }
      let how = bytes.uint8(at: 0)
      var packet = bytes.extracting(droppingFirst: 1).octets
      let source = how & 4 == 0 ? Seeds.v4(1) : Seeds.v6(1)
      let rig = Rig.shared
      let isSealed = how & 2 != 0 && rig.seal(&packet, overUDP: how & 1 != 0, source: source)
      let payload = isSealed ? bytes.extracting(droppingFirst: 1).octets : []
      rig.checkReplay(packet, overUDP: how & 1 != 0, source: source)
      let verdict = packet.withUnsafeMutableBytes { packet in
        rig.opener.open(packet, overUDP: how & 1 != 0, source: source, sourceIsMapped: false, time: nil)
      }
      switch verdict {
      case .open(let header):
        guard isSealed else { return }
        let start = Int(header.length)
        require(Array(packet[start..<payload.count]) == Array(payload[start...]), "what opens is what was sealed")
      case .drop(let reason):
        require(
          !isSealed || [.malformedInner, .dummy, .policyOffset].contains(reason),
          "a member's packet was dropped as \(reason)")
      }
    })
}

/// A receiver with a group for each number of options, and the means to seal for it with the other engine.
private final class Rig: @unchecked Sendable {
  static let shared: Rig = {
    do {
      return try Rig()
    } catch {
      require(false, "the rig starts: \(error)")
      fatalError("\(error)")
    }
  }()

  let opener: PacketOpener
  /// With windows for a few senders only, so that the table is full soon.
  private let guarded: PacketOpener
  private let engine: OpenSSLEngine
  private let table: KeyTable
  private let derivation: KeyDerivation
  private let slot: LockedMemory

  private init() throws {
    let groups = try Self.groups()
    opener = try PacketOpener(groups: groups)
    guarded = try PacketOpener(groups: groups, replay: ReplayShape(windows: 1024, largestWindow: 64))
    engine = try OpenSSLEngine()
    table = try KeyTable(groups, with: engine)
    derivation = KeyDerivation()
    slot = try LockedMemory(octets: engine.slotSize)
    try engine.prepareSlot(slot.base)
  }

  /// Group n has n + 1 levels; packets without options are the first one's.
  private static func groups() throws -> [TrustGroup] {
    try (1...3).map { count in
      let roots = try RootKeyLevel.allCases.sorted().prefix(count).map { level in
        let keys = try (0..<3).map { try key(UInt8(count) << 4 | level.rawValue << 2 | $0) }
        return RootKey(
          level: level, id: id(group: count, level: level.rawValue), previous: Generation(index: 6, key: keys[0]),
          current: Generation(index: 7, key: keys[1]), next: Generation(index: 8, key: keys[2]))
      }
      return TrustGroup(name: "group-\(count)", isDefault: count == 1, rootKeys: Array(roots))
    }
  }

  private static func key(_ octet: UInt8) throws -> SecretKey {
    try [UInt8](repeating: octet, count: 32).withUnsafeBytes { try .copying($0) }
  }

  private static func id(group: Int, level: UInt8) -> [UInt8] {
    [UInt8](repeating: UInt8(group) << 4 | level, count: 16)
  }

  /// A header with so many options at the current generations, and a payload in clear.
  static func clear(_ payload: [UInt8], options count: Int, variant: UInt8) -> [UInt8] {
    var options: [UInt8] = []
    for level in 1...max(count, 1) where count > 0 {
      options += [UInt8(level), 18, 7, 0] + id(group: count, level: UInt8(level))
    }
    guard let variant = Variant(rawValue: variant) else { return payload }
    let header = SecurityHeader(
      variant: variant, reserve: count == 0 ? 3 : 0, coffset: 2, id: 42, epoch: 5, counter: 77)
    let length = SecurityHeader.length(variant: variant, optionsLength: options.count) ?? 0
    return Seeds.made(length: length + payload.count) { bytes in
      _ = header.write(encodedOptions: options.span.bytes, into: &bytes)
      bytes.store(payload.span.bytes, at: length)
    }
  }

  /// With replay protection a packet meets the same end or is dropped as a replay; once through, it is a duplicate, or its
  /// sender has no window.
  func checkReplay(_ packet: [UInt8], overUDP: Bool, source: IPAddress) {
    func open(_ opener: PacketOpener) -> DropReason? {
      var copy = packet
      let verdict = copy.withUnsafeMutableBytes {
        opener.open($0, overUDP: overUDP, source: source, sourceIsMapped: false, time: nil)
      }
      if case .drop(let reason) = verdict { return reason }
      return nil
    }
    let without = open(opener)
    let untracked = guarded.untrackedCount
    let first = open(guarded)
    let isReplay = first == .replayLate || first == .replayDuplicate
    require(first == without || isReplay, "\(String(describing: without)) became \(String(describing: first))")
    guard first == nil else { return }
    let isTracked = guarded.untrackedCount == untracked
    let second = open(guarded)
    require(second == (isTracked ? .replayDuplicate : nil), "a second copy: \(String(describing: second))")
  }

  /// Adds the ICV and encrypts; false, and the ICV zero, where no receiver would get as far as the tag.
  func seal(_ packet: inout [UInt8], overUDP: Bool, source: IPAddress) -> Bool {
    packet += [UInt8](repeating: 0, count: SecurityHeader.icvLength)
    guard
      case .header(let header) = SecurityHeader.decode(
        packet.span.bytes, overUDP: overUDP, sourceIsMapped: false)
    else { return false }
    return packet.withUnsafeMutableBytes { octets in
      guard let base = octets.baseAddress, let master = master(of: header, at: base) else { return false }
      let key = UnsafeMutableRawPointer.allocate(byteCount: KeyDerivation.keySize, alignment: 64)
      defer { key.deallocate() }
      let request = DataKeyRequest(variant: header.variant, id: header.id, epoch: header.epoch, source: source)
      derivation.derive(request, under: master, with: engine, into: key)
      engine.expand(key, suite: header.variant.suite, into: slot.base)
      let payload = base + Int(header.length)
      let textLength = octets.count - Int(header.length) - header.clearLength - SecurityHeader.icvLength
      var aad = Array(octets[..<Int(header.length)])
      aad += octets[Int(header.length) + header.unprotectedLength..<Int(header.length) + header.clearLength]
      let nonce = Seeds.made(length: 12) { bytes in
        bytes.store(UInt32(truncatingIfNeeded: header.id), at: 0)
        bytes.store(SecurityHeader.sequenceWord(epoch: header.epoch, counter: header.counter), at: 4)
      }
      engine.seal(
        slot.base, suite: header.variant.suite, nonce: nonce, aad: aad, aadLength: aad.count,
        text: payload + header.clearLength, length: textLength, tag: payload + header.clearLength + textLength)
      return true
    }
  }

  private func master(of header: SecurityHeader, at octets: UnsafeRawPointer) -> MasterKey? {
    if header.optionCount == 0 {
      return table.view.group(at: table.defaultGroup ?? 0)?.pointee.master(reserve: header.reserve)
    }
    return table.view.group(namedBy: header, at: octets)?.pointee.master(namedBy: header)
  }
}
