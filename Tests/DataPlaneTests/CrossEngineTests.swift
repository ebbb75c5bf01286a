import DataPlane
import Glibc
import Foundation
import Keys
import Testing
import Wire

/// What one engine derives, expands and seals a burst at a time, the other opens: packets of random lengths, offsets, IDs,
/// contexts and suites, with and without options.
///
/// KEYWEAVE_PACKETS=1000000 makes it a long run.
@Suite struct CrossEngineTests {
  private static let packets = ProcessInfo.processInfo.environment["KEYWEAVE_PACKETS"].flatMap { Int($0) } ?? 10_000

  @Test func openSSLOpensWhatTheOthersSealed() throws {
    #if IPSEC_MB
      try run(try IPsecMBEngine(), openedBy: .openSSL)
      try run(try IPsecMBEngine(vectorized: false), openedBy: .openSSL, Self.packets / 10)
    #endif
  }

  @Test func theOtherOpensWhatOpenSSLSealed() throws {
    try run(try OpenSSLEngine(), openedBy: .auto)
  }

  private func run<Engine: AEADEngine>(
    _ engine: Engine, openedBy choice: EngineChoice, _ count: Int = packets
  ) throws {
    defer { engine.shutdown() }
    let opener = try PacketOpener(groups: [Keyring.train], engine: choice)
    let sender = try BurstSender(engine)
    var random = RepeatableGenerator(seed: 31)
    var done = 0
    while done < count {
      let burst = (0..<min(Int.random(in: 1...64, using: &random), count - done)).map { _ in
        sender.packet(&random)
      }
      var sealed = burst
      sender.seal(&sealed)
      for (clear, sent) in zip(burst, sealed) {
        var octets = sent.octets
        let verdict = octets.withUnsafeMutableBytes {
          opener.open($0, overUDP: true, source: sent.source, sourceIsMapped: false, time: nil)
        }
        guard case .open(let header) = verdict else {
          Issue.record("\(verdict) for \(clear.header), \(clear.octets.count) octets")
          return
        }
        let payload = Int(header.length)..<(clear.octets.count - SecurityHeader.icvLength)
        try #require(octets[payload] == clear.octets[payload] && header.id == clear.header.id)
        // What is to be encrypted was, and the rest not.
        let text = (payload.lowerBound + header.clearLength)..<payload.upperBound
        #expect(sent.octets[..<text.lowerBound] == clear.octets[..<text.lowerBound])
        #expect(text.count < 16 || sent.octets[text] != clear.octets[text])
      }
      done += burst.count
    }
  }
}

/// A packet from the security header to the ICV.
struct SentPacket {
  var header: SecurityHeader
  var source: IPAddress
  var octets: [UInt8]
}

/// Makes packets of a group's members and seals them as an lcore does: all keys of a burst in one derivation, expanded a batch
/// at a time.
final class BurstSender<Engine: AEADEngine> {
  private let engine: Engine
  private let table: KeyTable
  private let batch: EngineBatch
  private let keys: LockedMemory

  /// Both for the group `Keyring.train`. The engine lives as long.
  init(_ engine: Engine) throws {
    self.engine = engine
    table = try KeyTable([Keyring.train], with: engine)
    batch = try EngineBatch(engine)
    keys = try LockedMemory(octets: 64 * KeyDerivation.keySize)
  }

  private var group: GroupEntry? { table.view.group(at: 0)?.pointee }

  /// Anything that a member may send, as transport mode would.
  func packet(_ random: inout RepeatableGenerator) -> SentPacket {
    let variants = [0, 1, 4, 5, 8, 9, 10, 11, 12, 13] as [UInt8]
    let variant = Variant(rawValue: variants[Int.random(in: variants.indices, using: &random)])
    let coffset =
      Bool.random(using: &random) ? 0 : UInt8.random(in: 0...(random.next() % 16 == 0 ? 255 : 20), using: &random)
    let ioffset = Bool.random(using: &random) ? 0 : UInt8.random(in: 0...min(15, coffset), using: &random)
    let longest = [64, 64, 200, 1500, 1500, 9200][Int.random(in: 0..<6, using: &random)]
    let length = max(4, Int(coffset) * 4) + Int.random(in: 0...longest, using: &random)
    var header = SecurityHeader(
      variant: variant ?? Variant(context: .device, suite: .aes256, isWide: true), reserve: 0, coffset: coffset,
      ioffset: ioffset, id: random.next(), epoch: UInt16(truncatingIfNeeded: random.next()),
      counter: random.next() >> 16)
    if !header.variant.isWide { header.id &= 0xFFFF_FFFF }
    let source =
      Bool.random(using: &random)
      ? IPAddress(ipv4: UInt32(truncatingIfNeeded: random.next()))
      : IPAddress(high: random.next() | 1 << 61, low: random.next())
    // Form 0: UDP, no padding.
    return write(
      header, source: source, payload: [0, 0, 17, 0] + random.octets(length - 4), options: Bool.random(using: &random))
  }

  /// The header and the payload in clear, with room for the ICV.
  func write(_ header: SecurityHeader, source: IPAddress, payload: [UInt8], options: Bool) -> SentPacket {
    var header = header
    guard let group else { return SentPacket(header: header, source: source, octets: []) }
    header.reserve = options ? 0 : group.reserve
    let encoded = UnsafeRawBufferPointer(start: group.options, count: options ? group.optionsLength : 0)
    var octets = [UInt8](repeating: 0, count: SecurityHeader.maximumLength)
    let length = octets.withUnsafeMutableBytes { buffer in
      var bytes = buffer.mutableBytes
      return header.write(encodedOptions: encoded.bytes, into: &bytes) ?? 0
    }
    octets = Array(octets.prefix(length)) + payload + [UInt8](repeating: 0, count: SecurityHeader.icvLength)
    if case .header(let decoded) = SecurityHeader.decode(octets.span.bytes, overUDP: true, sourceIsMapped: false) {
      header = decoded
    }
    return SentPacket(header: header, source: source, octets: octets)
  }

  /// At most 64 packets.
  func seal(_ packets: inout [SentPacket]) {
    guard let group else { return }
    let requests = packets.map {
      DataKeyRequest(variant: $0.header.variant, id: $0.header.id, epoch: $0.header.epoch, source: $0.source)
    }
    KeyDerivation().derive(requests, count: requests.count, under: group.sealing, with: engine, into: keys.base)
    let uses = packets.map { packet in
      KeyUse(suite: packet.header.variant.suite, text: Self.text(packet).count, aad: packet.header.aadLength)
    }
    for first in stride(from: 0, to: packets.count, by: Engine.batchWidth) {
      let count = min(Engine.batchWidth, packets.count - first)
      engine.expandBatch(
        keys.base + first * KeyDerivation.keySize, for: Array(uses[first...]), count: count, into: batch.memory)
      for index in first..<first + count {
        seal(&packets[index], with: batch.memory + (index - first) * engine.slotSize)
      }
    }
    engine.eraseBatch(batch.memory, count: Engine.batchWidth, mostBlocks: uses.map(\.blocks).max() ?? 0)
    eraseOctets(keys.base, count: 64 * KeyDerivation.keySize)
  }

  private static func text(_ packet: SentPacket) -> Range<Int> {
    let start = Int(packet.header.length) + packet.header.clearLength
    return start..<(packet.octets.count - SecurityHeader.icvLength)
  }

  private func seal(_ packet: inout SentPacket, with slot: UnsafeMutableRawPointer) {
    let header = packet.header
    let text = Self.text(packet)
    let payload = Int(header.length)
    let aad = Array(
      packet.octets[..<payload] + packet.octets[payload + header.unprotectedLength..<payload + header.clearLength])
    var nonce = [UInt8]()
    for value in [UInt64(header.id & 0xFFFF_FFFF) << 32 | UInt64(header.epoch) << 16 | header.counter >> 32] {
      nonce += (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
    }
    nonce += (0..<4).map { UInt8(truncatingIfNeeded: header.counter >> UInt64(24 - 8 * $0)) }
    packet.octets.withUnsafeMutableBytes { octets in
      guard let base = octets.baseAddress else { return }
      engine.seal(
        slot, suite: header.variant.suite, nonce: nonce, aad: aad, aadLength: aad.count, text: base + text.lowerBound,
        length: text.count, tag: base + text.upperBound)
    }
  }
}

extension RingTests {
  /// Whole bursts of many senders through a gateway, sealed by the other engine: found keys and derived ones side by side.
  @Suite struct ManySenders {
    @Test(arguments: [EngineChoice.auto, .openSSL], [1, 3, 40, 5_000])
    func allAreOpened(_ choice: EngineChoice, _ senders: Int) throws {
      let couple = try Couple(engine: choice)
      let inner = RoundTrips.packets(100).map { $0 }
      let outer = try #require(couple.carry(packet: inner[0]).outer.first)
      // From the sealed frame: the outer headers end 42 octets in, the epoch stands before the counter.
      guard
        case .header(let header) = SecurityHeader.decode(
          Array(outer.dropFirst(42)).span.bytes, overUDP: true, sourceIsMapped: false)
      else { throw SentPacketError() }
      #if IPSEC_MB
        if choice == .openSSL {
          try run(couple, header, BurstSender(IPsecMBEngine()), senders)
          return couple.finish()
        }
      #endif
      try run(couple, header, BurstSender(OpenSSLEngine()), senders)
      couple.finish()
    }

    private func run(
      _ couple: Couple, _ own: SecurityHeader, _ sender: BurstSender<some AEADEngine>, _ senders: Int
    ) throws {
      var random = RepeatableGenerator(seed: 33)
      var counter: UInt64 = 1
      for round in 0..<60 {
        var sealed: [SentPacket] = []
        var expected: [[UInt8]] = []
        for _ in 0..<Int.random(in: 1...(round < 10 ? 4 : 32), using: &random) {
          let size = Int.random(in: 0...(round % 3 == 0 ? 1300 : 60), using: &random)
          let packet = RoundTrips.packets(size)[Int.random(in: 0...1, using: &random)]
          var header = own
          header = SecurityHeader(
            variant: Variant(context: .device, suite: round % 4 == 0 ? .aes128 : .aes256, isWide: false), reserve: 0,
            coffset: 0, ioffset: 0, id: 0x100 + random.next() % UInt64(senders), epoch: own.epoch, counter: counter)
          counter += 1
          sealed.append(
            sender.write(header, source: Station.address("192.0.2.1"), payload: packet, options: round % 2 == 0))
          expected.append(RoundTrips.hopped(packet, by: 1))
        }
        sender.seal(&sealed)
        for packet in sealed {
          let datagram = Packet.ipv4(from: "192.0.2.1", to: "192.0.2.2", Packet.udp(50000, 4500, packet.octets))
          couple.two.put(
            Packet.frame(to: couple.two.fabric.mac, from: Station.router, datagram), on: couple.two.fabric, then: false)
        }
        couple.two.run()
        let got = couple.two.takenClear().map { Array($0.dropFirst(14)) }
        #expect(got == expected, "round \(round): \(couple.two.drops)")
      }
      // Lcores tell of their caches ten times a second.
      usleep(150_000)
      couple.two.run()
      let cache = couple.two.gateway.status.cache
      #expect(cache.misses > 0 && (senders > 40 || cache.hits > 0))
    }

    private struct SentPacketError: Error {}
  }
}
