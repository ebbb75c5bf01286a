internal import CDPDK

/// A gateway whose lcores and threads do not run by themselves until `launch`: its owner moves them, one round at a time, on
/// his own thread. Tests and benchmarks know then what happened, and when.
package protocol SteppedGateway: RunningGateway {
  func launch() throws
  /// One round of an lcore; the packets it met.
  @discardableResult func step(lcore: Int) -> Int
  /// One round of the slow path; true when packets were there.
  @discardableResult func stepSlowPath() -> Bool
  /// Puts a frame on a wire of this gateway, in one of its own buffers, as a driver would. False: no buffer that takes it, or
  /// the wire is full.
  func put(_ frame: UnsafeRawBufferPointer, on wire: RingWire, queue: Int) -> Bool
  /// Buffers that are free now: of packets, and of datagrams put together from fragments.
  var freeBuffers: [Int] { get }
  /// Buffers that had not come back when the gateway stopped.
  var buffersLost: Int { get }
  #if FLOOR
    /// Adds up an lcore's ticks by `Stage` behind the first of these words, from now on; nil ends it.
    func time(stages: UnsafeMutablePointer<UInt64>?, ofLcore lcore: Int)
  #endif
}

extension Gateway {
  func step(lcore: Int) -> Int { round(rounds[lcore]) }

  func stepSlowPath() -> Bool { slowPath.round() }

  func put(_ frame: UnsafeRawBufferPointer, on wire: RingWire, queue: Int) -> Bool {
    guard let mbuf = dpdk_pktmbuf_alloc(pool) else { return false }
    guard frame.count <= mbuf.tailroom, wire.enqueue(mbuf, frame, queue: queue) else {
      dpdk_pktmbuf_free(mbuf)
      return false
    }
    return true
  }

  var freeBuffers: [Int] { [pool, wholes].map { Int(dpdk_mempool_avail_count(UnsafeRawPointer($0))) } }
}
