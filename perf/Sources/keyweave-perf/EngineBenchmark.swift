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
    /// expansion and sealing for each packet.
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
      return Measurement(packets: texts.count, samples: samples) {
        for packet in texts.indices { seal(packet, lengths[packet], suite) }
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
    let measurement = Measurement(packets: texts.count, samples: samples) {
      requests.withUnsafeMutableBufferPointer { requests in
        guard let base = requests.baseAddress else { return }
        base.pointee.epoch &+= 1
        derivation.derive(base, count: texts.count, under: entry.pointee.sealing, with: engine, into: keys.base)
      }
      for packet in texts.indices {
        engine.expand(keys.base + packet &* KeyDerivation.keySize, suite: suite, into: slot.base)
        seal(packet, lengths[packet], suite)
      }
    }
    return withExtendedLifetime(table) { measurement }
  }

  @inline(__always)
  private func seal(_ packet: Int, _ length: Int, _ suite: Suite) {
    let text = texts[packet]
    let header = text - Self.headerLength
    engine.seal(
      slot.base, suite: suite, nonce: header, aad: header, aadLength: Self.headerLength, text: text, length: length,
      tag: text + length)
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
