internal import Keys

/// An engine that lcores run with.
package protocol LcoreEngine: AEADEngine {
  /// Runs a `Worker` of this engine, to which the pointer leads, until control says stop.
  static var lcoreEntry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 { get }
  /// One round of it, for an owner that moves the lcore himself; the packets it met.
  static var lcoreRound: @convention(c) (UnsafeMutableRawPointer?) -> Int { get }
}

// What DPDK starts on an lcore: C functions, one per engine, so that the loop behind each is specialised (a method of the
// generic gateway would run the loop that is not). They are roots of the check that the loop is free of allocation and reference
// counting.

@c(keyweave_lcore_openssl)
func runOpenSSLWorker(_ worker: UnsafeMutableRawPointer?) -> Int32 {
  worker?.assumingMemoryBound(to: Worker<OpenSSLEngine>.self).pointee.run()
  return 0
}

@c(keyweave_lcore_round_openssl)
func roundOfOpenSSLWorker(_ worker: UnsafeMutableRawPointer?) -> Int {
  worker?.assumingMemoryBound(to: Worker<OpenSSLEngine>.self).pointee.iterate(receiving: true) ?? 0
}

extension OpenSSLEngine: LcoreEngine {
  package static var lcoreEntry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 { runOpenSSLWorker }
  package static var lcoreRound: @convention(c) (UnsafeMutableRawPointer?) -> Int { roundOfOpenSSLWorker }
}

#if IPSEC_MB
  @c(keyweave_lcore_ipsecmb)
  func runIPsecMBWorker(_ worker: UnsafeMutableRawPointer?) -> Int32 {
    worker?.assumingMemoryBound(to: Worker<IPsecMBEngine>.self).pointee.run()
    return 0
  }

  @c(keyweave_lcore_round_ipsecmb)
  func roundOfIPsecMBWorker(_ worker: UnsafeMutableRawPointer?) -> Int {
    worker?.assumingMemoryBound(to: Worker<IPsecMBEngine>.self).pointee.iterate(receiving: true) ?? 0
  }

  extension IPsecMBEngine: LcoreEngine {
    package static var lcoreEntry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 { runIPsecMBWorker }
    package static var lcoreRound: @convention(c) (UnsafeMutableRawPointer?) -> Int { roundOfIPsecMBWorker }
  }
#endif
