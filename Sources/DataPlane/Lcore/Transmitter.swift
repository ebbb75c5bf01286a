internal import CDPDK
internal import Wire

/// One lcore's way out: a buffer per port, sent as a burst when it is full or the loop comes round.
///
/// A pointer and no more, as the loop copies the value for every packet.
struct Transmitter: ~Copyable {
  static var width: Int { 64 }
  /// How often a port that took only part of a burst is asked again before the rest is dropped.
  private static var attempts: Int { 4 }

  private struct Parts {
    let portCount: Int
    let queue: UInt16
    let numbers: UnsafeMutablePointer<UInt16>
    let buffers: UnsafeMutablePointer<TransmitBuffer>
    let counters: Counters
    let capture: CaptureTap
    let downs: PortDowns
  }

  private let parts: UnsafeMutablePointer<Parts>

  init(ports: [UInt16], queue: UInt16, counters: Counters, capture: CaptureTap, downs: PortDowns) {
    let numbers = UnsafeMutablePointer<UInt16>.allocateLines(capacity: ports.count)
    for (index, port) in ports.enumerated() { numbers[index] = port }
    let buffers = UnsafeMutablePointer<TransmitBuffer>.allocateLines(capacity: ports.count)
    buffers.initialize(repeating: TransmitBuffer(), count: ports.count)
    parts = .allocateLines(capacity: 1)
    parts.initialize(
      to: Parts(
        portCount: ports.count, queue: queue, numbers: numbers, buffers: buffers, counters: counters, capture: capture,
        downs: downs))
  }

  deinit {
    parts.pointee.numbers.deallocate()
    parts.pointee.buffers.deallocate()
    parts.deallocate()
  }

  private var portCount: Int { @inline(__always) get { parts.pointee.portCount } }
  private var queue: UInt16 { @inline(__always) get { parts.pointee.queue } }
  private var numbers: UnsafeMutablePointer<UInt16> { @inline(__always) get { parts.pointee.numbers } }
  private var buffers: UnsafeMutablePointer<TransmitBuffer> { @inline(__always) get { parts.pointee.buffers } }
  private var counters: Counters { @inline(__always) get { parts.pointee.counters } }
  private var capture: CaptureTap { @inline(__always) get { parts.pointee.capture } }
  private var downs: PortDowns { @inline(__always) get { parts.pointee.downs } }

  @inline(__always) func receive(port: Int, into mbufs: UnsafeMutablePointer<Mbuf?>, count: Int) -> Int {
    let received = Int(dpdk_eth_rx_burst(numbers[port], queue, mbufs, UInt16(truncatingIfNeeded: count)))
    if received > 0 && capture.port == port {
      capture.take(mbufs, count: received, dpdkPort: numbers[port], queue: queue, outgoing: false)
    }
    return received
  }

  /// Takes a finished frame.
  @inline(__always) func send(_ mbuf: Mbuf, port: Int) {
    if mbuf.isGenerated { (buffers + port).pointee.generated &+= 1 }
    forward(mbuf, port: port)
  }

  /// One that is not the gateway's own.
  @inline(__always) func forward(_ mbuf: Mbuf, port: Int) { forward(mbuf, port: port, by: buffer(port)) }

  /// For packets in a row to one port.
  @inline(__always) func buffer(_ port: Int) -> UnsafeMutablePointer<TransmitBuffer> { buffers + port }

  @inline(__always) func forward(_ mbuf: Mbuf, port: Int, by buffer: UnsafeMutablePointer<TransmitBuffer>) {
    if buffer.pointee.append(mbuf) == Self.width { flush(port) }
  }

  @inline(__always) func flushAll() {
    for port in 0..<portCount where buffers[port].count > 0 { flush(port) }
  }

  @inline(never) private func flush(_ port: Int) {
    let buffer = buffers + port
    let count = buffer.pointee.count
    let mbufs = UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: Mbuf?.self)
    if capture.port == port { capture.take(mbufs, count: count, dpdkPort: numbers[port], queue: queue, outgoing: true) }
    var sent = 0
    for _ in 0..<Self.attempts {
      sent &+= Int(
        dpdk_eth_tx_burst(numbers[port], queue, mbufs + sent, UInt16(truncatingIfNeeded: count &- sent)))
      if sent == count { break }
    }
    var ownSent = buffer.pointee.generated
    if sent < count {
      for index in sent..<count {
        guard let mbuf = mbufs[index] else { continue }
        if mbuf.isGenerated {
          ownSent &-= 1
          counters.add(.generatedDropped)
        } else {
          counters.drop(downs.isDown(port) ? .portDown : .transmitFull)
        }
      }
      dpdk_pktmbuf_free_bulk(mbufs + sent, UInt32(truncatingIfNeeded: count &- sent))
    }
    counters.add(.sent, sent &- ownSent)
    counters.add(.generatedSent, ownSent)
    counters.sent(port: port, sent)
    buffer.pointee.count = 0
    buffer.pointee.generated = 0
  }
}

/// Frames on their way out of a port.
struct TransmitBuffer {
  /// The first field, so that a pointer to the buffer is a pointer to it.
  private var mbufs = InlineArray<64, Mbuf?>(repeating: nil)
  fileprivate(set) var count = 0
  /// Of them, those that the gateway made.
  fileprivate(set) var generated = 0

  /// How many there are then.
  @inline(__always) fileprivate mutating func append(_ mbuf: Mbuf) -> Int {
    mbufs[unchecked: count] = mbuf
    count &+= 1
    return count
  }
}

/// Which ports have no link: written by the slow path's thread, which asks, read where a port took nothing.
struct PortDowns: @unchecked Sendable {
  private let words: UnsafeMutablePointer<UInt64>

  init(count: Int) {
    words = .allocateLines(capacity: max(1, count))
    words.initialize(repeating: 0, count: max(1, count))
  }

  func isDown(_ port: Int) -> Bool { dpdk_load_relaxed(words + port) != 0 }
  func set(_ port: Int, isDown: Bool) { dpdk_store_release(words + port, isDown ? 1 : 0) }
  func deallocate() { words.deallocate() }
}

/// Copies of a port's packets for the capture thread. Nothing is taken where `port` is -1.
struct CaptureTap: @unchecked Sendable {
  let port: Int
  let ring: UnsafeMutableRawPointer?
  let pool: UnsafeMutableRawPointer?
  /// Copies that found no buffer or no room in the ring.
  let missed: UnsafeMutablePointer<UInt64>?

  static let none = CaptureTap(port: -1, ring: nil, pool: nil, missed: nil)

  @inline(never)
  func take(_ mbufs: UnsafeMutablePointer<Mbuf?>, count: Int, dpdkPort: UInt16, queue: UInt16, outgoing: Bool) {
    guard let ring, let pool, let missed else { return }
    for index in 0..<count {
      guard let mbuf = mbufs[index] else { continue }
      var copy = dpdk_pcapng_copy(dpdkPort, queue, mbuf, pool, outgoing)
      if copy == nil || dpdk_ring_enqueue_burst(ring, &copy, 1) == 0 {
        if let copy { dpdk_pktmbuf_free(copy) }
        dpdk_add(missed, 1)
      }
    }
  }
}
