internal import CDPDK
internal import Wire

/// One lcore's bulk lookups: addresses of both families in, one entry each out, in two calls to the library at most.
struct PrefixLookup {
  static var capacity: Int { 64 }

  private let addresses4: UnsafeMutablePointer<UInt32>
  private let addresses6: UnsafeMutablePointer<UInt8>
  private let nextHops: UnsafeMutablePointer<UInt64>
  private let places: UnsafeMutablePointer<Int>

  init() {
    addresses4 = .allocateLines(capacity: Self.capacity)
    addresses6 = .allocateLines(capacity: Self.capacity * 16)
    nextHops = .allocateLines(capacity: Self.capacity)
    places = .allocateLines(capacity: Self.capacity)
  }
  func deallocate() {
    addresses4.deallocate()
    addresses6.deallocate()
    nextHops.deallocate()
    places.deallocate()
  }

  /// `count` up to `capacity`. What matches nothing gets entry 0: no route, no speaker.
  @inline(__always)
  func find(
    _ addresses: UnsafePointer<IPAddress>, count: Int, in table: ForwardingView,
    into entries: UnsafeMutablePointer<PrefixEntry>
  ) {
    var count4 = 0
    var count6 = 0
    for index in 0..<count {
      let address = addresses[index]
      if address.isIPv4 {
        addresses4[count4] = address.ipv4
        places[count4] = index
        count4 &+= 1
      } else {
        count6 &+= 1
        places[Self.capacity &- count6] = index
        let octets = UnsafeMutableRawPointer(addresses6 + (count6 &- 1) &* 16)
        octets.storeBytes(of: address.high.bigEndian, as: UInt64.self)
        octets.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
    }
    if count4 == count {
      // The usual burst is in order already.
      dpdk_fib_lookup_bulk(table.fib4, addresses4, nextHops, Int32(truncatingIfNeeded: count))
      for index in 0..<count { entries[index] = table.prefixes[Int(truncatingIfNeeded: nextHops[index])] }
      return
    }
    if count4 > 0 {
      dpdk_fib_lookup_bulk(table.fib4, addresses4, nextHops, Int32(truncatingIfNeeded: count4))
      for index in 0..<count4 { entries[places[index]] = table.prefixes[Int(truncatingIfNeeded: nextHops[index])] }
    }
    if count6 > 0 {
      dpdk_fib6_lookup_bulk(table.fib6, addresses6, nextHops, Int32(truncatingIfNeeded: count6))
      for index in 0..<count6 {
        entries[places[Self.capacity &- 1 &- index]] = table.prefixes[Int(truncatingIfNeeded: nextHops[index])]
      }
    }
  }
}

/// The forwarding table by its pointers: what a lcore holds for one burst, without retaining anything.
struct ForwardingView {
  let fib4: UnsafeMutableRawPointer
  let fib6: UnsafeMutableRawPointer
  let prefixes: UnsafePointer<PrefixEntry>
  let routes: UnsafePointer<RouteEntry>
  let sealings: UnsafePointer<SealingEntry>
  let peers: UnsafePointer<PeerEntry>
  let ports: UnsafePointer<PortEntry>
  let portCount: Int
  let speakers: UnsafePointer<UInt64>
  let speakerWords: Int
  let forms: UnsafePointer<UInt8>
  let proxies: UnsafePointer<ProxyEntry>
  /// By group.
  let proxyRanges: UnsafePointer<ProxyRange>
  let isProxy: Bool
  /// By group.
  let clientPools: UnsafePointer<ClientPoolEntry>
  let bypassUnmatched: Bool
  let mssClamp: Bool

  /// `table` must outlive the view.
  init(_ table: ForwardingTable) {
    fib4 = table.fib4
    fib6 = table.fib6
    prefixes = UnsafePointer(table.prefixes.baseAddress.unsafelyUnwrapped)
    routes = UnsafePointer(table.routes.baseAddress.unsafelyUnwrapped)
    sealings = UnsafePointer(table.sealings.baseAddress.unsafelyUnwrapped)
    peers = UnsafePointer(table.peers.baseAddress.unsafelyUnwrapped)
    ports = UnsafePointer(table.ports.baseAddress.unsafelyUnwrapped)
    portCount = table.plan.ports.count
    speakers = UnsafePointer(table.speakers.baseAddress.unsafelyUnwrapped)
    speakerWords = table.speakerWords
    forms = UnsafePointer(table.forms.baseAddress.unsafelyUnwrapped)
    proxies = UnsafePointer(table.proxies.baseAddress.unsafelyUnwrapped)
    proxyRanges = UnsafePointer(table.proxyRanges.baseAddress.unsafelyUnwrapped)
    isProxy = !table.plan.proxies.isEmpty
    clientPools = UnsafePointer(table.clientPools.baseAddress.unsafelyUnwrapped)
    bypassUnmatched = table.plan.bypassUnmatched
    mssClamp = table.plan.mssClamp
  }

  @inline(__always) func maySpeak(group: Int, _ entry: PrefixEntry) -> Bool { isCovered(entry, by: group) }
  /// - Parameter bit: a group's number, or a bit of a `ProxyEntry`.
  @inline(__always) func isCovered(_ entry: PrefixEntry, by bit: Int) -> Bool {
    let word = speakers[Int(entry.speakers) &* speakerWords &+ bit >> 6]
    return word >> UInt64(truncatingIfNeeded: bit & 63) & 1 == 1
  }
  /// Whether Ethernet frames of a group are held to its prefixes: where it has none, it is trusted with whole frames.
  @inline(__always) func limitsFrames(group: Int) -> Bool { forms[group] & ForwardingTable.limitsFrames != 0 }
  @inline(__always) func mayUse(group: Int, _ form: PayloadForm) -> Bool { forms[group] >> form.rawValue & 1 == 1 }
}
