internal import CDPDK

/// A step of the loop, for the table that says where its cycles go.
package enum Stage: Int, CaseIterable, Sendable {
  /// Packets from the ports.
  case receive
  /// Headers taken apart, the flow or the sender found.
  case parse
  /// Headers written (sealing).
  case header
  /// Epoch, counter, data keys: found or derived.
  case keys
  /// AES-GCM, and the erasure of what it leaves.
  case cipher
  /// Opened packets on their way: inner headers, policy, next hop, frame.
  case deliver
  /// Frames to the ports.
  case transmit
  /// What a round costs whatever it meets: snapshot, neighbours, RCU, the time.
  case round
}

/// Tells perf how the time of a burst divides into steps. In the program that people run it is nothing at all.
struct StageClock {
  #if FLOOR
    /// The time of the last mark, then ticks by stage; null while nobody asks.
    private var words: UnsafeMutablePointer<UInt64>?

    mutating func start(_ memory: UnsafeMutablePointer<UInt64>?) { words = memory }

    @inline(__always) func begin() {
      if let words { words[0] = dpdk_rdtsc() }
    }

    /// What has passed since the last mark was for this.
    @inline(__always) func end(_ stage: Stage) {
      guard let words else { return }
      let now = dpdk_rdtsc()
      words[stage.rawValue &+ 1] &+= now &- words[0]
      words[0] = now
    }
  #else
    @inline(__always) func begin() {}
    @inline(__always) func end(_: Stage) {}
  #endif
}

#if FLOOR
  extension Gateway {
    func time(stages: UnsafeMutablePointer<UInt64>?, ofLcore lcore: Int) { workers[lcore].pointee.clock.start(stages) }
  }
#endif
