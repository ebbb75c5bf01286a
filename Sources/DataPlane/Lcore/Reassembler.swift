internal import CDPDK
internal import Glibc
internal import Wire

/// One lcore's fragments on their way to becoming datagrams, bounded in number and time.
struct Reassembler: ~Copyable {
  /// Datagrams under way; each of up to eight fragments (the library's limit).
  private static let flows: UInt32 = 128
  /// RFC 1122, section 3.3.2, allows 60 to 120 s; a fabric's fragments are milliseconds apart, and buffers are precious.
  private static let seconds: UInt64 = 2

  private let table: UnsafeMutableRawPointer
  private let deathRow: UnsafeMutableRawPointer
  private let pool: UnsafeMutableRawPointer
  private let counters: Counters
  private var pending = 0

  init?(pool: UnsafeMutableRawPointer, counters: Counters) {
    guard let table = dpdk_ip_frag_table_create(Self.flows, Self.seconds * dpdk_get_tsc_hz()),
      let deathRow = dpdk_ip_frag_death_row_create()
    else { return nil }
    self.table = table
    self.deathRow = deathRow
    self.pool = pool
    self.counters = counters
  }

  /// Frees what never became whole.
  deinit {
    dpdk_ip_frag_table_destroy(table)
    free(deathRow)
  }

  /// Takes a fragment whose IP header starts at `l3`; `fragmentHeader` is IPv6's Fragment header, both from the frame's start.
  /// Gives the whole datagram in one buffer, or nothing: every fragment is then held or counted.
  @inline(never)
  mutating func add(_ mbuf: Mbuf, l3: Int, fragmentHeader: Int?) -> Mbuf? {
    // The library knows the Fragment header right behind the IPv6 header only. Those who send our outer packets put nothing
    // between them.
    if let fragmentHeader, fragmentHeader != l3 + IPv6Header.length {
      counters.drop(.outerFragment)
      dpdk_pktmbuf_free(mbuf)
      return nil
    }
    let now = dpdk_rdtsc()
    pending += 1
    let whole: Mbuf?
    if let fragmentHeader {
      whole = dpdk_ipv6_frag_reassemble_packet(
        table, deathRow, mbuf, now, UInt16(truncatingIfNeeded: l3), UInt16(truncatingIfNeeded: fragmentHeader))
    } else {
      whole = dpdk_ipv4_frag_reassemble_packet(table, deathRow, mbuf, now, UInt16(truncatingIfNeeded: l3))
    }
    bury()
    guard let whole else { return nil }
    let fragments = Int(whole.pointee.nb_segs)
    pending -= fragments
    counters.drop(.reassembled, fragments - 1)
    let flat = dpdk_pktmbuf_copy(whole, pool)
    dpdk_pktmbuf_free(whole)
    guard let flat else {
      counters.drop(.noBuffer)
      return nil
    }
    if fragmentHeader == nil { Self.completeChecksum(flat, l3: l3) }
    return flat
  }

  /// Gives up what waited too long.
  mutating func expire() {
    guard pending > 0 else { return }
    dpdk_frag_table_del_expired_entries(table, deathRow, dpdk_rdtsc())
    bury()
  }

  /// Counts what is under way as lost by the stop; its buffers are freed with the table.
  mutating func abandon() {
    counters.drop(.stopping, pending)
    pending = 0
  }

  private mutating func bury() {
    let dead = Int(dpdk_ip_frag_free_death_row(deathRow))
    pending -= dead
    if dead > 0 { counters.drop(.outerFragment, dead) }
  }

  /// The library leaves the IPv4 header checksum zero.
  private static func completeChecksum(_ mbuf: Mbuf, l3: Int) {
    let header = mbuf.data + l3
    let length = Int(header.load(as: UInt8.self) & 0xF) * 4
    header.storeBytes(of: 0, toByteOffset: IPv4Header.checksumOffset, as: UInt16.self)
    let checksum = Checksum.compute(UnsafeRawBufferPointer(start: header, count: length).bytes)
    header.storeBytes(of: checksum.bigEndian, toByteOffset: IPv4Header.checksumOffset, as: UInt16.self)
  }
}
