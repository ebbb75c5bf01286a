import CPerf
import DataPlane
import Keys
import Wire

/// The yardstick: AES-GCM of the library alone, with one fixed expanded key, in place, nothing else: on the buffers, at the
/// addresses and with the additional data that the gateway has.
struct RawBenchmark {
  let kind: Kind
  let texts: [UnsafeMutableRawPointer]
  let samples: Int

  static let burst = 32

  /// Takes the buffers that the rig's next burst will lie in.
  init(_ rig: Rig, samples: Int) throws {
    kind = rig.kind
    self.samples = samples
    var data = [UnsafeMutablePointer<UInt8>?](repeating: nil, count: Self.burst)
    guard perf_buffers("kw-\(rig.plan.name)", &data, UInt32(Self.burst)) else {
      throw PerfError("no buffers for \(rig.plan.name)")
    }
    // What is opened lies behind outer and security headers; what is sealed behind the frame's own.
    let outer = kind.family == .ipv4 ? 28 : 48
    let front = EthernetHeader.minimumLength + (kind.direction == .seal ? 0 : outer + kind.headerLength)
    texts = data.compactMap { $0.map { UnsafeMutableRawPointer($0) + front } }
  }

  /// Core cycles per packet of `sizes`; an IMIX is its packets in their order.
  func measure(_ sizes: Sizes) throws -> Measurement {
    #if IPSEC_MB
      try measure(sizes, with: IPsecMB(kind.suite))
    #else
      try measure(sizes, with: Bare(kind.suite))
    #endif
  }

  /// What is called for each packet.
  private func measure(_ sizes: Sizes, with cipher: some RawCipher) throws -> Measurement {
    defer { cipher.free() }
    let lengths = (0..<Self.burst).map { sizes.lengths[$0 % sizes.lengths.count] }
    let header = kind.headerLength
    if kind.direction == .seal {
      return Measurement(packets: Self.burst, samples: samples) {
        for packet in 0..<Self.burst {
          let text = texts[packet]
          cipher.seal(text - header, header, text, lengths[packet], text + lengths[packet])
        }
      }
    }
    return Measurement(packets: Self.burst, samples: samples) {
      for packet in 0..<Self.burst {
        let text = texts[packet]
        cipher.open(text - header, header, text, lengths[packet], text + lengths[packet])
      }
    }
  }
}

/// Additional data, its octets; text, its octets; tag. The nonce is of no matter to the time: it is the header's first octets.
private protocol RawCipher {
  func seal(
    _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int,
    _ tag: UnsafeMutableRawPointer)
  /// Opening what was not sealed fails, but only after the same work.
  func open(
    _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int, _ tag: UnsafeRawPointer)
  func free()
}

#if IPSEC_MB
  import CIPsecMB

  extension RawBenchmark {
    static let name = "IPsec-MB's bare AES-GCM"

    private struct IPsecMB: RawCipher {
      let manager: UnsafeMutablePointer<IMB_MGR>
      let key: UnsafeMutableRawPointer
      let suite: Suite

      init(_ suite: Suite) throws {
        guard let manager = CIPsecMB_alloc_mb_mgr() else { throw PerfError("no memory for IPsec-MB's manager") }
        self.manager = manager
        self.suite = suite
        key = .allocate(byteCount: Int(CIPsecMB_gcm_key_size) + 64, alignment: 64)
        let secret = [UInt8](repeating: 0x42, count: 32)
        switch suite {
        case .aes256: CIPsecMB_IMB_AES256_GCM_PRE(manager, secret, key)
        case .aes128: CIPsecMB_IMB_AES128_GCM_PRE(manager, secret, key)
        }
      }

      func free() {
        key.deallocate()
        free_mb_mgr(manager)
      }

      @inline(__always)
      func seal(
        _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int,
        _ tag: UnsafeMutableRawPointer
      ) {
        switch suite {
        case .aes256:
          CIPsecMB_IMB_AES256_GCM_ENC(manager, key, aad, aad, UInt64(aadLength), text, UInt64(length), tag)
        case .aes128:
          CIPsecMB_IMB_AES128_GCM_ENC(manager, key, aad, aad, UInt64(aadLength), text, UInt64(length), tag)
        }
      }

      @inline(__always)
      func open(
        _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int,
        _ tag: UnsafeRawPointer
      ) {
        var right: (UInt64, UInt64) = (0, 0)
        switch suite {
        case .aes256:
          CIPsecMB_IMB_AES256_GCM_DEC(manager, key, aad, aad, UInt64(aadLength), text, UInt64(length), &right)
        case .aes128:
          CIPsecMB_IMB_AES128_GCM_DEC(manager, key, aad, aad, UInt64(aadLength), text, UInt64(length), &right)
        }
      }
    }
  }
#else
  extension RawBenchmark {
    static let name = "OpenSSL's bare AES-GCM"

    private struct Bare: RawCipher {
      let engine: OpenSSLEngine
      let slot: LockedSlot
      let suite: Suite

      init(_ suite: Suite) throws {
        engine = try OpenSSLEngine()
        slot = try LockedSlot(engine)
        self.suite = suite
        engine.expand([UInt8](repeating: 0x42, count: 32), suite: suite, into: slot.base)
      }

      func free() { slot.release(engine) }

      func seal(
        _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int,
        _ tag: UnsafeMutableRawPointer
      ) {
        engine.seal(
          slot.base, suite: suite, nonce: aad, aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
      }

      func open(
        _ aad: UnsafeRawPointer, _ aadLength: Int, _ text: UnsafeMutableRawPointer, _ length: Int,
        _ tag: UnsafeRawPointer
      ) {
        _ = engine.open(
          slot.base, suite: suite, nonce: aad, aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
      }
    }
  }
#endif

struct PerfError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
