internal import CDPDK

/// A packet buffer of DPDK. Every packet in the lcore loop is one segment: only reassembly makes chains, and copies them flat.
typealias Mbuf = UnsafeMutablePointer<dpdk_mbuf>

extension Mbuf {
  @inline(__always) var data: UnsafeMutableRawPointer { UnsafeMutableRawPointer(dpdk_pktmbuf_mtod(self)) }
  @inline(__always) var length: Int { Int(pointee.data_len) }
  @inline(__always) var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: length) }
  /// The data from `offset` on, which is at most `length`.
  @inline(__always) func bytes(from offset: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: data + offset, count: length &- offset)
  }
  @inline(__always) var headroom: Int { Int(pointee.data_off) }
  @inline(__always) var tailroom: Int { Int(dpdk_pktmbuf_tailroom(self)) }
  @inline(__always) var note: UnsafeMutablePointer<dpdk_mbuf_private> { dpdk_mbuf_to_priv(self) }

  /// Made by the gateway itself: it never entered, so it is not counted as what entered and left.
  @inline(__always) var isGenerated: Bool { pointee.ol_flags & Self.generatedFlag != 0 }
  @inline(__always) func markGenerated() { pointee.ol_flags |= Self.generatedFlag }
  /// A bit between the library's receive flags (from 0 up) and transmit flags (from 63 down), which drivers do not look at.
  static var generatedFlag: UInt64 { 1 << 38 }

  /// Cuts to `count` octets from `offset` of the data. The caller has checked that they are there.
  @inline(__always) func keep(from offset: Int, count: Int) {
    dpdk_pktmbuf_set(self, UInt16(truncatingIfNeeded: headroom &+ offset), UInt16(truncatingIfNeeded: count))
  }

  /// Makes room for `front` octets before the data and `back` after it, moving the data when there is not enough before
  /// it. False when the buffer is too small as a whole; nothing has changed then.
  @inline(__always) func reserve(front: Int, back: Int) -> Bool {
    if front <= headroom && back <= tailroom { return true }
    return shift(front: front, back: back)
  }

  /// Keeps `count` octets from `offset` of the data, with `front` octets before them and `back` behind that are to be written.
  /// False when the buffer is too small as a whole; nothing has changed then.
  @inline(__always) func reframe(from offset: Int, count: Int, front: Int, back: Int) -> Bool {
    let start = headroom &+ offset &- front
    let total = front &+ count &+ back
    if start < 0 || start &+ total > Int(pointee.buf_len) {
      guard front &+ count &+ back <= Int(pointee.buf_len) else { return false }
      keep(from: offset, count: count)
      guard shift(front: front, back: back) else { return false }
      dpdk_pktmbuf_set(self, UInt16(truncatingIfNeeded: headroom &- front), UInt16(truncatingIfNeeded: total))
      return true
    }
    dpdk_pktmbuf_set(self, UInt16(truncatingIfNeeded: start), UInt16(truncatingIfNeeded: total))
    return true
  }

  @inline(never) private func shift(front: Int, back: Int) -> Bool {
    let size = Int(pointee.buf_len)
    guard front &+ length &+ back <= size, let buffer = pointee.buf_addr else { return false }
    let start = Swift.max(front, Swift.min(headroom, size &- length &- back))
    UnsafeMutableRawPointer(buffer + start).copyMemory(from: data, byteCount: length)
    dpdk_pktmbuf_set(self, UInt16(truncatingIfNeeded: start), pointee.data_len)
    return true
  }
}
