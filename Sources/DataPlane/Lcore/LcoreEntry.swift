internal import Keys

// What DPDK starts on an lcore: C functions, one per engine, so that the loop behind each is specialised. Both are roots of
// the check that the loop is free of allocation and reference counting.

@c(keyweave_lcore_openssl)
func runOpenSSLWorker(_ worker: UnsafeMutableRawPointer?) -> Int32 {
  worker?.assumingMemoryBound(to: Worker<OpenSSLEngine>.self).pointee.run()
  return 0
}

extension OpenSSLEngine {
  package static var lcoreEntry: LcoreEntry { runOpenSSLWorker }
}

#if IPSEC_MB
  @c(keyweave_lcore_ipsecmb)
  func runIPsecMBWorker(_ worker: UnsafeMutableRawPointer?) -> Int32 {
    worker?.assumingMemoryBound(to: Worker<IPsecMBEngine>.self).pointee.run()
    return 0
  }

  extension IPsecMBEngine {
    package static var lcoreEntry: LcoreEntry { runIPsecMBWorker }
  }
#endif
