import DataPlane
import Keys
import Wire

/// What an engine costs per packet, called as the lcore calls it.
struct EngineBenchmark<Engine: AEADEngine> {
  let samples: Int

  /// One key for all packets: what a packet costs whose data key is in the cache.
  func seal(length: Int, suite: Suite) throws -> Measurement {
    try withSlot { engine, slot in
      let burst = Burst(length: length)
      defer { burst.free() }
      engine.expand([UInt8](repeating: 0x42, count: 32), suite: suite, into: slot)
      return Measurement(packets: Burst.count, samples: samples) {
        for packet in 0..<Burst.count { Self.sealOne(engine, slot, burst, packet, suite) }
      }
    }
  }

  /// Opening what was opened before fails at the tag, but only after the same work.
  func open(length: Int, suite: Suite) throws -> Measurement {
    try withSlot { engine, slot in
      let burst = Burst(length: length)
      defer { burst.free() }
      engine.expand([UInt8](repeating: 0x42, count: 32), suite: suite, into: slot)
      var opened = 0
      let measurement = Measurement(packets: Burst.count, samples: samples) {
        for packet in 0..<Burst.count {
          let verified = engine.open(
            slot, suite: suite, nonce: burst.header(packet), aad: burst.header(packet),
            aadLength: Burst.headerLength, text: burst.text(packet), length: length, tag: burst.tag(packet))
          opened &+= verified ? 1 : 0
        }
      }
      guard opened == 0 else { throw PerfError("\(Engine.name) opened what was not sealed") }
      return measurement
    }
  }

  /// The worst case: every packet of a burst needs a data key that is in no cache. One derivation for the burst, then key
  /// expansion and sealing for each packet.
  func deriveAndSeal(length: Int, suite: Suite) throws -> Measurement {
    try withSlot { engine, slot in
      let group = TrustGroup(
        name: "perf", isDefault: true, epochPeriod: 600, maxCOffset: 16, maxIOffset: 0,
        rootKeys: [
          RootKey(
            level: .trustRegion, id: [UInt8](repeating: 7, count: 16), previous: nil,
            current: Generation(index: 1, key: try .random()), next: nil)
        ])
      let table = try KeyTable([group], with: engine)
      guard let entry = table.view.group(at: 0) else { throw PerfError("the key table has no group") }
      let derivation = try KeyDerivation()
      let keys = try LockedMemory(octets: Burst.count * KeyDerivation.keySize)
      let burst = Burst(length: length)
      defer { burst.free() }
      let variant = Variant(context: .device, suite: suite, isWide: false)
      var requests = (0..<Burst.count).map {
        DataKeyRequest(variant: variant, id: UInt64($0), epoch: 1, source: .unspecifiedIPv6)
      }
      let measurement = Measurement(packets: Burst.count, samples: samples) {
        requests.withUnsafeMutableBufferPointer { requests in
          guard let base = requests.baseAddress else { return }
          base.pointee.epoch &+= 1
          derivation.derive(base, count: Burst.count, under: entry.pointee.sealing, with: engine, into: keys.base)
        }
        for packet in 0..<Burst.count {
          engine.expand(keys.base + packet &* KeyDerivation.keySize, suite: suite, into: slot)
          Self.sealOne(engine, slot, burst, packet, suite)
        }
      }
      return withExtendedLifetime(table) { measurement }
    }
  }

  @inline(__always)
  private static func sealOne(
    _ engine: Engine, _ slot: UnsafeMutableRawPointer, _ burst: Burst, _ packet: Int, _ suite: Suite
  ) {
    engine.seal(
      slot, suite: suite, nonce: burst.header(packet), aad: burst.header(packet), aadLength: Burst.headerLength,
      text: burst.text(packet), length: burst.length, tag: burst.tag(packet))
  }

  private func withSlot(_ body: (Engine, UnsafeMutableRawPointer) throws -> Measurement) throws -> Measurement {
    let engine = try Engine()
    let memory = try LockedMemory(octets: engine.slotSize)
    try engine.prepareSlot(memory.base)
    defer {
      engine.releaseSlot(memory.base)
      engine.shutdown()
    }
    return try body(engine, memory.base)
  }
}
