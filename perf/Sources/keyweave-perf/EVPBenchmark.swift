import CPerf
import DataPlane
import Keys
import Wire

/// The OpenSSL engine's calls beside OpenSSL's own, on the same buffers.
struct EVPBenchmark {
  enum Work: String, CaseIterable {
    case seal, open
    case sealNewKey = "seal, new key"
  }

  let texts: [UnsafeMutableRawPointer]
  let samples: Int
  private static let aad = 40

  func measure(_ work: Work, length: Int) throws -> (engine: Double, bare: Double) {
    let key = [UInt8](repeating: 0x42, count: 32)
    return try key.withUnsafeBytes { key in
      guard let key = key.baseAddress else { throw PerfError("no key") }
      return (try engine(work, length, key), try bare(work, length, key))
    }
  }

  private func engine(_ work: Work, _ length: Int, _ key: UnsafeRawPointer) throws -> Double {
    let engine = try OpenSSLEngine()
    let slot = try LockedSlot(engine)
    defer {
      slot.release(engine)
      engine.shutdown()
    }
    engine.expand(key, suite: .aes256, into: slot.base)
    return Measurement(packets: texts.count, samples: samples) {
      for text in texts {
        let header = text - Self.aad
        if work == .open {
          _ = engine.open(
            slot.base, suite: .aes256, nonce: header, aad: header, aadLength: Self.aad, text: text, length: length,
            tag: header)
          continue
        }
        if work == .sealNewKey { engine.expand(key, suite: .aes256, into: slot.base) }
        engine.seal(
          slot.base, suite: .aes256, nonce: header, aad: header, aadLength: Self.aad, text: text, length: length,
          tag: text + length)
      }
    }.median
  }

  private func bare(_ work: Work, _ length: Int, _ key: UnsafeRawPointer) throws -> Double {
    guard let context = perf_evp_new(key) else { throw PerfError("OpenSSL gave no context") }
    defer { perf_evp_free(context) }
    let newKey = work == .sealNewKey ? key : nil
    return Measurement(packets: texts.count, samples: samples) {
      for text in texts {
        let header = text - Self.aad
        if work == .open {
          _ = perf_evp_open(context, nil, header, header, Int32(Self.aad), text, Int32(length), header)
        } else {
          _ = perf_evp_seal(context, newKey, header, header, Int32(Self.aad), text, Int32(length), text + length)
        }
      }
    }.median
  }
}
