internal import CDPDK
internal import Wire

/// One thread's counters: written by that thread alone, read by anyone, so that no count costs a locked instruction.
///
/// received + generated = sent + sum of drops, whenever nothing is under way.
struct Counters: @unchecked Sendable {
  /// Counters before the drop reasons.
  enum Kind: Int, CaseIterable {
    case received, sent, generated, generatedSent, generatedDropped, sealed, opened, idle, busy, replayTableFull,
      replayConnectionFull, cacheHits, cacheMisses,
      cacheEntries,
      cacheCapacity
  }

  /// Groups and peers beyond these are not counted one by one.
  static let maxGroups = 256
  static let maxPeers = 1024
  static let maxPorts = 64
  static let maxProxies = 64
  // Computed, as a static let that is no literal would be initialised by a call in the packet loop.
  private static var drops: Int { Kind.cacheCapacity.rawValue + 1 }
  private static var groups: Int { drops + DropReason.count }
  private static var peers: Int { groups + maxGroups }
  private static var portReceived: Int { peers + maxPeers }
  private static var portSent: Int { portReceived + maxPorts }
  private static var proxies: Int { portSent + maxPorts }
  private static var count: Int { proxies + maxProxies }

  private let words: UnsafeMutablePointer<UInt64>

  init() {
    // 128-aligned and a whole number of pairs of cache lines: no lcore writes a line that another one touches.
    let octets = (Self.count * 8 + 127) & ~127
    let raw = UnsafeMutableRawPointer.allocate(byteCount: octets, alignment: 128)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: octets)
    words = raw.assumingMemoryBound(to: UInt64.self)
  }
  func deallocate() { words.deallocate() }

  @inline(__always) func add(_ kind: Kind, _ n: Int = 1) {
    dpdk_add(words + kind.rawValue, UInt64(truncatingIfNeeded: n))
  }
  func set(_ kind: Kind, _ n: Int) { dpdk_store_release(words + kind.rawValue, UInt64(truncatingIfNeeded: n)) }
  @inline(__always) func drop(_ reason: DropReason, _ n: Int = 1) {
    dpdk_add(words + (Self.drops &+ Int(reason.rawValue)), UInt64(truncatingIfNeeded: n))
  }
  @inline(__always) func opened(group: Int, _ n: Int = 1) {
    if group < Self.maxGroups { dpdk_add(words + (Self.groups &+ group), UInt64(truncatingIfNeeded: n)) }
  }
  @inline(__always) func sealed(peer: Int, _ n: Int = 1) {
    if peer < Self.maxPeers { dpdk_add(words + (Self.peers &+ peer), UInt64(truncatingIfNeeded: n)) }
  }
  @inline(__always) func proxied(policy: Int) {
    if policy < Self.maxProxies { dpdk_add(words + (Self.proxies &+ policy), 1) }
  }
  @inline(__always) func received(port: Int, _ n: Int) {
    dpdk_add(words + (Self.portReceived &+ port), UInt64(truncatingIfNeeded: n))
  }
  @inline(__always) func sent(port: Int, _ n: Int) {
    dpdk_add(words + (Self.portSent &+ port), UInt64(truncatingIfNeeded: n))
  }

  func value(_ kind: Kind) -> UInt64 { dpdk_load_relaxed(words + kind.rawValue) }
  func value(_ reason: DropReason) -> UInt64 { dpdk_load_relaxed(words + (Self.drops + Int(reason.rawValue))) }
  func opened(inGroup group: Int) -> UInt64 {
    group < Self.maxGroups ? dpdk_load_relaxed(words + (Self.groups + group)) : 0
  }
  func sealed(toPeer peer: Int) -> UInt64 { peer < Self.maxPeers ? dpdk_load_relaxed(words + (Self.peers + peer)) : 0 }
  func proxied(underPolicy policy: Int) -> UInt64 {
    policy < Self.maxProxies ? dpdk_load_relaxed(words + (Self.proxies + policy)) : 0
  }
  func received(onPort port: Int) -> UInt64 { dpdk_load_relaxed(words + (Self.portReceived + port)) }
  func sent(onPort port: Int) -> UInt64 { dpdk_load_relaxed(words + (Self.portSent + port)) }
}
