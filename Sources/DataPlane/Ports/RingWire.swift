internal import CDPDK
package import Wire

/// A port whose wire is rings in memory, one pair per queue: what tests and benchmarks hold the other end of.
package final class RingWire: @unchecked Sendable {
  package struct Failure: Error, CustomStringConvertible { package let description: String }

  /// What a plan's port names it by.
  package let device: String
  /// The port's: rings have none of their own.
  package let mac: MACAddress
  private let incoming: [UnsafeMutableRawPointer]
  private let outgoing: [UnsafeMutableRawPointer]

  /// - Parameters:
  ///   - name: unique in the process, at most 16 characters.
  ///   - capacity: frames that a direction holds, one less than a power of two.
  package init(name: String, queues: Int = 1, capacity: Int = 1023) throws(Failure) {
    var rings: [[UnsafeMutableRawPointer]] = [[], []]
    for direction in 0..<2 {
      for queue in 0..<queues {
        guard let ring = dpdk_ring_create("\(name)-\(queue)-\(direction)", UInt32(capacity + 1), false, false) else {
          throw Failure(description: "ring \(name): \(String(cString: dpdk_last_error()))")
        }
        rings[direction].append(ring)
      }
    }
    incoming = rings[0]
    outgoing = rings[1]
    let port = dpdk_eth_from_rings(
      name, incoming.map { UnsafeMutableRawPointer?($0) }, outgoing.map { UnsafeMutableRawPointer?($0) }, UInt32(queues)
    )
    guard port >= 0 else { throw Failure(description: "port \(name): \(String(cString: dpdk_last_error()))") }
    device = "port:\(port)"
    mac = Self.address(of: UInt16(port))
  }

  /// Locally administered, one for each DPDK port.
  static func address(of port: UInt16) -> MACAddress { MACAddress(rawValue: 0x024B_5700_0000 | UInt64(port)) }

  /// After the gateway has stopped and everything was taken.
  deinit { (incoming + outgoing).forEach { dpdk_ring_free($0) } }

  /// The next frame that the gateway sent; its buffer is free again.
  package func take(queue: Int = 0) -> [UInt8]? {
    var one: Mbuf?
    guard dpdk_ring_dequeue_burst(outgoing[queue], &one, 1) == 1, let one else { return nil }
    defer { dpdk_pktmbuf_free(one) }
    return Array(one.bytes)
  }

  /// False: the wire is full, and the buffer still the caller's. The frame fits it.
  func enqueue(_ mbuf: Mbuf, _ frame: UnsafeRawBufferPointer, queue: Int) -> Bool {
    dpdk_pktmbuf_set(mbuf, UInt16(truncatingIfNeeded: mbuf.headroom), UInt16(truncatingIfNeeded: frame.count))
    if let base = frame.baseAddress { mbuf.data.copyMemory(from: base, byteCount: frame.count) }
    var one: Mbuf? = mbuf
    return dpdk_ring_enqueue_burst(incoming[queue], &one, 1) == 1
  }
}
