import DataPlane
import Keys
import Wire

/// What an engine costs per packet, called as the lcore calls it.
final class EngineBenchmark<Engine: AEADEngine> {
  enum Work: String, CaseIterable {
    /// One key for all packets: what a packet costs whose data key is in the cache.
    case seal = "seal, cached key"
    /// With a wrong tag, which fails only after the same work.
    case open = "open, cached key"
    case seal128 = "seal, cached key, AES-128"
    /// The worst case: every packet of a burst needs a data key that is in no cache. One derivation for the burst, then key
    /// expansion and sealing by batches.
    case deriveAndSeal = "derive, expand, seal"
  }

  private static var headerLength: Int { 40 }
  private let samples: Int
  private let texts: [UnsafeMutableRawPointer]
  private let engine: Engine
  private let slot: LockedSlot

  /// - Parameter texts: buffers with room for a header before them and the longest packet behind.
  init(texts: [UnsafeMutableRawPointer], samples: Int) throws {
    self.texts = texts
    self.samples = samples
    engine = try Engine()
    slot = try LockedSlot(engine)
  }

  func free() {
    slot.release(engine)
    engine.shutdown()
  }

  func measure(_ work: Work, sizes: Sizes) throws -> Measurement {
    let lengths = texts.indices.map { sizes.lengths[$0 % sizes.lengths.count] }
    let suite: Suite = work == .seal128 ? .aes128 : .aes256
    engine.expand([UInt8](repeating: 0x42, count: 32), suite: suite, into: slot.base)
    switch work {
    case .seal, .seal128:
      return withPackets(lengths) { packets in
        Measurement(packets: texts.count, samples: samples) { seal(packets, texts.count, suite) }
      }
    case .open:
      var opened = 0
      let measurement = Measurement(packets: texts.count, samples: samples) {
        for packet in texts.indices { opened &+= open(packet, lengths[packet], suite) ? 1 : 0 }
      }
      guard opened == 0 else { throw PerfError("\(Engine.name) opened what was not sealed") }
      return measurement
    case .deriveAndSeal:
      return try deriveAndSeal(lengths, suite)
    }
  }

  private func deriveAndSeal(_ lengths: [Int], _ suite: Suite) throws -> Measurement {
    let table = try KeyTable([Network.group()], with: engine)
    guard let entry = table.view.group(at: 0) else { throw PerfError("the key table has no group") }
    let derivation = KeyDerivation()
    let keys = try LockedMemory(octets: texts.count * KeyDerivation.keySize)
    let variant = Variant(context: .device, suite: suite, isWide: false)
    var requests = texts.indices.map {
      DataKeyRequest(variant: variant, id: UInt64($0), epoch: 1, source: .unspecifiedIPv6)
    }
    let uses = lengths.map { KeyUse(suite: suite, text: $0, aad: Self.headerLength) }
    let mostBlocks = uses.map(\.blocks).max() ?? 0
    let batch = try LockedMemory(octets: Engine.batchWidth * engine.slotSize)
    for index in 0..<Engine.batchWidth { try engine.prepareSlot(batch.base + index * engine.slotSize) }
    defer { for index in 0..<Engine.batchWidth { engine.releaseSlot(batch.base + index * engine.slotSize) } }
    let measurement = withPackets(lengths) { packets in
      Measurement(packets: texts.count, samples: samples) {
        requests.withUnsafeMutableBufferPointer { requests in
          guard let base = requests.baseAddress else { return }
          base.pointee.epoch &+= 1
          derivation.derive(base, count: texts.count, under: entry.pointee.sealing, with: engine, into: keys.base)
        }
        uses.withUnsafeBufferPointer { uses in
          guard let uses = uses.baseAddress else { return }
          var first = 0
          while first < texts.count {
            let count = min(Engine.batchWidth, texts.count &- first)
            engine.expandBatch(
              keys.base + first &* KeyDerivation.keySize, for: uses + first, count: count, into: batch.base)
            for index in 0..<count { packets[first &+ index].slot = batch.base + index &* engine.slotSize }
            seal(packets + first, count, suite)
            first &+= count
          }
        }
        engine.eraseBatch(batch.base, count: min(Engine.batchWidth, texts.count), mostBlocks: mostBlocks)
      }
    }
    return withExtendedLifetime(table) { measurement }
  }

  /// The packets as an lcore describes them, with the cached key.
  private func withPackets<Result>(
    _ lengths: [Int], _ body: (UnsafeMutablePointer<AEADPacket>) throws -> Result
  ) rethrows -> Result {
    let packets = UnsafeMutablePointer<AEADPacket>.allocate(capacity: texts.count)
    defer { packets.deallocate() }
    for (index, text) in texts.enumerated() {
      let header = text - Self.headerLength
      (packets + index).initialize(
        to: AEADPacket(
          slot: slot.base, nonce: Nonce(header), aad: header, aadLength: Self.headerLength, text: text,
          length: lengths[index]))
    }
    return try body(packets)
  }

  @inline(__always)
  private func seal(_ packets: UnsafeMutablePointer<AEADPacket>, _ count: Int, _ suite: Suite) {
    engine.seal(packets, stride: MemoryLayout<AEADPacket>.stride, count: count, suite: suite)
  }

  @inline(__always)
  private func open(_ packet: Int, _ length: Int, _ suite: Suite) -> Bool {
    let text = texts[packet]
    let header = text - Self.headerLength
    return engine.open(
      slot.base, suite: suite, nonce: header, aad: header, aadLength: Self.headerLength, text: text, length: length,
      tag: header)
  }
}
