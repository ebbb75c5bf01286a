internal import Wire

/// Where a flow's packets come from.
struct FlowOrigin {
  fileprivate let rawValue: UInt16

  /// A port of the gateway.
  @inline(__always) static func port(_ index: Int) -> FlowOrigin {
    FlowOrigin(rawValue: UInt16(truncatingIfNeeded: index))
  }

  /// Under whose keys they were opened.
  @inline(__always) static func group(_ index: Int) -> FlowOrigin {
    FlowOrigin(rawValue: 0x8000 | UInt16(truncatingIfNeeded: index))
  }
}

/// What tells flows apart, as it stands in their packets: addresses, ports and protocol, with the place where they came in.
struct FlowID {
  private var addresses: (UInt64, UInt64, UInt64, UInt64)
  private var rest: UInt64

  /// - Parameters:
  ///   - packet: of at least 20 octets (IPv4) or 40 (IPv6).
  ///   - ports: as they stand in the packet; 0 where they do not count.
  ///   - shape: what else its packets have in common, in 7 bits.
  @inline(__always) init(
    _ packet: UnsafeRawPointer, isIPv4: Bool, ports: UInt32 = 0, protocolNumber: UInt8 = 0, shape: UInt8 = 0,
    origin: FlowOrigin
  ) {
    if isIPv4 {
      addresses = (packet.loadUnaligned(fromByteOffset: IPv4Header.sourceOffset, as: UInt64.self), 0, 0, 0)
    } else {
      let octets = packet + IPv6Header.sourceOffset
      addresses = (
        octets.loadUnaligned(as: UInt64.self), octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
        octets.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
        octets.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
      )
    }
    rest =
      UInt64(ports) | UInt64(protocolNumber) << 32 | UInt64(shape & 0x7F) << 40 | (isIPv4 ? 1 << 47 : 0)
      | UInt64(origin.rawValue) << 48
  }

  /// Both addresses fit one word.
  private var isIPv4: Bool { @inline(__always) get { rest >> 47 & 1 == 1 } }

  @inline(__always) static func == (left: FlowID, right: FlowID) -> Bool {
    guard (left.addresses.0 ^ right.addresses.0) | (left.rest ^ right.rest) == 0 else { return false }
    return left.isIPv4
      || (left.addresses.1 ^ right.addresses.1) | (left.addresses.2 ^ right.addresses.2)
        | (left.addresses.3 ^ right.addresses.3) == 0
  }

  @inline(__always) func hash(_ seed: (UInt64, UInt64)) -> UInt64 {
    var first = addresses.0 ^ seed.0
    if !isIPv4 { first = FlowKey.mix(FlowKey.mix(first, addresses.1 ^ seed.1) ^ addresses.2, addresses.3 ^ seed.0) }
    return FlowKey.mix(first, rest ^ seed.1)
  }
}

/// One lcore's flows: for each what the packets before this one showed to be right for all of them.
///
/// A place has room for two flows. When it is full, another flow enters that is not found there 33 times in a row, so that flows of
/// a packet each, however many, cost little and push nobody out, and that three flows that meet in a place do not push each other
/// out with every packet, for which a burst forgets its ways. The hash is keyed at random.
struct FlowTable<Way>: ~Copyable {
  struct Flow {
    var id: FlowID
    var generation: UInt32
    var way: Way
  }

  private let flows: UnsafeMutableRawPointer
  /// Per place, what was met there last and not found: bits of its hash, and in those of `patience` how often more.
  private let waiting: UnsafeMutablePointer<UInt32>
  private let mask: UInt64
  private let seed: (UInt64, UInt64)
  /// Changes when a flow takes another's place: then what `find` gave before may be the other's.
  private(set) var replacements: UInt64 = 0
  /// Of the flows that count. 0 is none's.
  private var generation: UInt32 = 1

  init(placeBits: Int) {
    let places = 1 << placeBits
    mask = UInt64(places - 1)
    let octets = 2 * places * Self.stride
    flows = .allocateLines(byteCount: octets)
    flows.initializeMemory(as: UInt8.self, repeating: 0, count: octets)
    waiting = .allocateLines(capacity: places)
    waiting.initialize(repeating: 0, count: places)
    var random = SystemRandomNumberGenerator()
    seed = (random.next(), random.next() | 1)
  }

  deinit {
    flows.deallocate()
    waiting.deallocate()
  }

  private static var patience: UInt32 { 31 }
  /// From one flow to the next: whole lines of the cache, of which a packet then touches as few as can be.
  private static var stride: Int { @inline(__always) get { (MemoryLayout<Flow>.size &+ 63) & ~63 } }

  /// Forgets all flows.
  mutating func forget() {
    generation &+= 1
    guard generation == 0 else { return }
    for index in 0..<2 * Int(mask &+ 1) { flow(index).pointee.generation = 0 }
    generation = 1
  }

  @inline(__always) func find(_ id: FlowID) -> UnsafeMutablePointer<Way>? {
    let first = place(id.hash(seed))
    if first.pointee.id == id, first.pointee.generation == generation { return way(of: first) }
    let second = Self.next(first)
    if second.pointee.id == id, second.pointee.generation == generation { return way(of: second) }
    return nil
  }

  /// Takes in a flow that was not found, where there is room, or else after a while: gives the place for its way, which the
  /// caller writes at once.
  mutating func enter(_ id: FlowID) -> UnsafeMutablePointer<Way>? {
    let hash = id.hash(seed)
    let first = place(hash)
    var flow = first.pointee.generation != generation ? first : Self.next(first)
    if flow.pointee.generation == generation {
      let number = Int(truncatingIfNeeded: hash & mask)
      let tag = UInt32(truncatingIfNeeded: hash >> 32) & ~Self.patience
      let met = waiting[number]
      guard met == tag | Self.patience else {
        waiting[number] = met & ~Self.patience == tag ? met &+ 1 : tag
        return nil
      }
      waiting[number] = 0
      flow = hash >> 63 == 0 ? first : Self.next(first)
      replacements &+= 1
    }
    flow.pointee.id = id
    flow.pointee.generation = generation
    return way(of: flow)
  }

  @inline(__always) private func place(_ hash: UInt64) -> UnsafeMutablePointer<Flow> {
    flow(2 &* Int(truncatingIfNeeded: hash & mask))
  }

  @inline(__always) private func flow(_ index: Int) -> UnsafeMutablePointer<Flow> {
    (flows + index &* Self.stride).assumingMemoryBound(to: Flow.self)
  }

  @inline(__always) private static func next(_ flow: UnsafeMutablePointer<Flow>) -> UnsafeMutablePointer<Flow> {
    (UnsafeMutableRawPointer(flow) + stride).assumingMemoryBound(to: Flow.self)
  }

  @inline(__always) private func way(of flow: UnsafeMutablePointer<Flow>) -> UnsafeMutablePointer<Way> {
    UnsafeMutableRawPointer(flow).advanced(by: MemoryLayout<Flow>.offset(of: \.way) ?? 0)
      .assumingMemoryBound(to: Way.self)
  }
}
