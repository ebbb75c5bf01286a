import Wire

#if IPSEC_MB
  import CIPsecMB
#else
  import DataPlane
#endif

/// The yardstick: AES-256-GCM of the library alone, with one fixed expanded key, in place, nothing else.
enum RawBenchmark {
  #if IPSEC_MB
    static let name = "raw: IPsec-MB, fixed key"

    static func measure(length: Int, samples: Int) throws -> Measurement {
      guard let manager = CIPsecMB_alloc_mb_mgr() else { throw PerfError("no memory for IPsec-MB's manager") }
      defer { free_mb_mgr(manager) }
      let burst = Burst(length: length)
      let key = UnsafeMutableRawPointer.allocate(byteCount: Int(CIPsecMB_gcm_key_size) + 64, alignment: 64)
      let secret = [UInt8](repeating: 0x42, count: 32)
      defer {
        burst.free()
        key.deallocate()
      }
      CIPsecMB_IMB_AES256_GCM_PRE(manager, secret, key)
      return Measurement(packets: Burst.count, samples: samples) {
        for packet in 0..<Burst.count {
          CIPsecMB_IMB_AES256_GCM_ENC(
            manager, key, burst.header(packet), burst.header(packet), UInt64(Burst.headerLength), burst.text(packet),
            UInt64(length), burst.tag(packet))
        }
      }
    }
  #else
    static let name = "raw: OpenSSL, fixed key"

    static func measure(length: Int, samples: Int) throws -> Measurement {
      try EngineBenchmark<OpenSSLEngine>(samples: samples).seal(length: length, suite: .aes256)
    }
  #endif
}

struct PerfError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
