internal import CDPDK
internal import Glibc
internal import Synchronization

/// A pcapng file of one port's packets, both directions: lcores leave copies in a ring, a thread writes them.
final class CaptureFile: @unchecked Sendable {
  struct Failure: Error, CustomStringConvertible { let description: String }

  /// Packets on their way to the file.
  static let buffers = 4095

  let tap: CaptureTap
  let path: String
  private let descriptor: Int32
  private let file: UnsafeMutableRawPointer
  private let ring: UnsafeMutableRawPointer
  private let pool: UnsafeMutableRawPointer
  private let limit: Int
  private let written = Atomic<Int>(0)
  private let packets = Atomic<Int>(0)
  private let beyond = Atomic<Int>(0)
  private let batch = UnsafeMutablePointer<Mbuf?>.allocate(capacity: 64)

  /// - Parameters:
  ///   - limit: octets after which packets are counted instead of written.
  ///   - largest: octets of the largest frame.
  init(path: String, port: Int, limit: Int, largest: Int, name: String) throws(Failure) {
    self.path = path
    self.limit = limit
    // The capture holds what crosses the wire, sealed, and addresses: nobody else's business.
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure(description: "capture file \(path): \(String(cString: strerror(errno)))")
    }
    let room = dpdk_pcapng_mbuf_size(UInt32(largest)) + 256
    guard let pool = dpdk_pktmbuf_pool_create("capture-\(name)", UInt32(Self.buffers), 64, UInt16(min(room, 65535))),
      let ring = dpdk_ring_create("capture-\(name)", 4096, false, true),
      let file = dpdk_pcapng_fdopen(descriptor, "keyweave", "protected side, as captured by the gateway itself")
    else {
      close(descriptor)
      throw Failure(
        description: "capture file \(path): no memory for its buffers: \(String(cString: dpdk_last_error()))")
    }
    self.pool = pool
    self.ring = ring
    self.file = file
    let missed = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    missed.initialize(to: 0)
    tap = CaptureTap(port: port, ring: ring, pool: pool, missed: missed)
  }

  /// The writer's round: true when there was something.
  func write() -> Bool {
    let count = dpdk_ring_dequeue_burst(ring, batch, 64)
    guard count > 0 else { return false }
    if written.load(ordering: .relaxed) < limit {
      let octets = dpdk_pcapng_write_packets(file, batch, UInt16(count))
      if octets > 0 {
        written.wrappingAdd(octets, ordering: .relaxed)
        packets.wrappingAdd(Int(count), ordering: .relaxed)
      } else {
        beyond.wrappingAdd(Int(count), ordering: .relaxed)
      }
    } else {
      beyond.wrappingAdd(Int(count), ordering: .relaxed)
    }
    dpdk_pktmbuf_free_bulk(batch, count)
    return true
  }

  var packetCount: Int { packets.load(ordering: .relaxed) }
  /// Packets beyond the limit, or for which there was no room.
  var missedCount: Int { beyond.load(ordering: .relaxed) + Int(tap.missed.map { dpdk_load_relaxed($0) } ?? 0) }

  /// After the lcores and the writer have stopped.
  func finish() {
    while write() {}
    dpdk_pcapng_close(file)
    dpdk_ring_free(ring)
    dpdk_mempool_free(pool)
    tap.missed?.deallocate()
    batch.deallocate()
  }
}
