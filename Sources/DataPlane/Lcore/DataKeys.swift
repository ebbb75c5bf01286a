internal import Keys
internal import Wire

/// One lcore's data keys for one direction: those it has, and those it derives for a burst.
///
/// A burst goes: `begin`; for each packet `request`, or nothing if it needs no key; `resolve`, which derives what is
/// missing in one call per master key; then for each packet in order `slot`, the AEAD call, and `keep` if the packet
/// authenticated; `end`.
///
/// A missing key is expanded for its packet only, a few at a time, into slots that stay in the nearest cache of the CPU.
struct DataKeys<Engine: AEADEngine>: ~Copyable {
  /// Packets in a burst.
  static var width: Int { 64 }

  let engine: Engine
  private var cache: DataKeyCache
  private var policy: CachePolicy
  private let derivation = KeyDerivation()
  /// The derived keys of the packets that miss, in order.
  private let derived: LockedMemory
  /// A batch of expanded ones.
  private let batch: LockedMemory

  // One of each per packet.
  /// Found in the cache; null for a miss.
  private let found: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  /// Which miss it is.
  private let places: UnsafeMutablePointer<Int>

  // One of each per miss.
  private let requests: UnsafeMutablePointer<DataKeyRequest>
  private let masters: UnsafeMutablePointer<MasterKey>
  private let uses: UnsafeMutablePointer<KeyUse>

  private var isLooking = true
  /// Of the burst: packets that need keys, and those of them whose keys are not in the cache.
  private var packets = 0
  private(set) var misses = 0
  /// The misses that the batch holds.
  private var expanded = 0..<0
  /// The most slots of the batch that were in use, and the most blocks that a key of the burst is for.
  private var widest = 0
  private var mostBlocks = 0
  /// The last miss that authenticated, or -1.
  private var candidate = -1
  private(set) var hitCount = 0
  private(set) var missCount = 0

  /// - Parameter octets: of locked memory for the cache, the library's part included; 0 for no cache.
  init(engine: Engine, octets: Int) throws {
    // Everything that can fail comes first.
    let cache = try engine.makeDataKeyCache(octets: octets)
    let derived = try LockedMemory(octets: Self.width * KeyDerivation.keySize)
    let batch = try LockedMemory(octets: Engine.batchWidth * engine.slotSize)
    try engine.prepareBatch(batch.base)
    self.engine = engine
    self.cache = cache
    policy = CachePolicy(leastHits: octets > 0 ? engine.leastHits : nil)
    self.derived = derived
    self.batch = batch
    found = .allocateLines(capacity: Self.width)
    places = .allocateLines(capacity: Self.width)
    requests = .allocateLines(capacity: Self.width)
    masters = .allocateLines(capacity: Self.width)
    uses = .allocateLines(capacity: Self.width)
    found.initialize(repeating: nil, count: Self.width)
    places.initialize(repeating: 0, count: Self.width)
  }

  deinit {
    for slot in 0..<Engine.batchWidth { engine.releaseSlot(batch.base + slot * engine.slotSize) }
    found.deallocate()
    places.deallocate()
    requests.deallocate()
    masters.deallocate()
    uses.deallocate()
  }

  var count: Int { cache.count }
  var capacity: Int { cache.capacity }

  /// A new key table is in force: what the old one's master keys gave is erased.
  mutating func adopt(serials: Range<UInt64>) { cache.erase(serialsNotIn: serials) }

  /// Erases what was derived for epochs that this receiver accepts no more: without it the keys of a sender or connection
  /// that is gone would stay until others push them out.
  mutating func erasePast(_ board: SealingBoard, keys: KeyTableView) {
    cache.erase { tag in
      guard let period = keys.epochPeriod(ofSerial: tag.serial), let own = board.openEpoch(period: period) else {
        return true
      }
      return !Epoch.isAccepted(tag.request.epoch, own: own)
    }
  }

  /// Ten times a second: a few keys may enter at once.
  mutating func housekeep() { policy.refill() }

  @inline(__always) mutating func begin() {
    isLooking = policy.isLooking
    misses = 0
    expanded = 0..<0
    widest = 0
    mostBlocks = 0
    candidate = -1
  }

  /// The key that a flow's last packet had, if it is still there, which makes `request` needless.
  @inline(__always)
  func recall(_ index: Int, _ memo: KeyMemo, epoch: UInt16) -> UnsafeMutableRawPointer? {
    guard isLooking, memo.version == cache.version, memo.epoch == epoch else { return nil }
    found[index] = memo.slot
    return memo.slot
  }

  /// - Parameters:
  ///   - text: octets that will be sealed or opened.
  ///   - aad: octets that will only be authenticated.
  ///   - memo: notes the key, if it is cached.
  /// - Returns: the key, if it is cached.
  @discardableResult
  @inline(__always) mutating func request(
    _ index: Int, _ request: DataKeyRequest, master: MasterKey, text: Int, aad: Int,
    memo: UnsafeMutablePointer<KeyMemo>? = nil
  ) -> UnsafeMutableRawPointer? {
    if isLooking, let slot = cache.find(DataKeyTag(serial: master.serial, request: request)) {
      found[index] = slot
      memo?.pointee = KeyMemo(slot: slot, version: cache.version, epoch: request.epoch)
      return slot
    }
    found[index] = nil
    places[index] = misses
    (requests + misses).initialize(to: request)
    (masters + misses).initialize(to: master)
    let use = KeyUse(suite: request.variant.suite, text: text, aad: aad)
    (uses + misses).initialize(to: use)
    mostBlocks = max(mostBlocks, use.blocks)
    misses &+= 1
    return nil
  }

  /// Derives the missing keys, in one call per run of packets under the same master key: nearly always one for all.
  ///
  /// - Parameter packets: those of the burst that need keys.
  @inline(__always) mutating func resolve(packets: Int) {
    self.packets = packets
    hitCount &+= packets &- misses
    missCount &+= misses
    var first = 0
    while first < misses {
      var end = first &+ 1
      while end < misses, masters[end] == masters[first] { end &+= 1 }
      derivation.derive(
        requests + first, count: end &- first, under: masters[first], with: engine,
        into: derived.base + first &* KeyDerivation.keySize)
      first = end
    }
  }

  /// Whether a packet's key is not in the cache.
  @inline(__always) func isMissing(_ index: Int) -> Bool { found[index] == nil }

  /// Whether a missing key is expanded, so that `slot` leaves those of other packets where they are.
  @inline(__always) func isExpanded(_ index: Int) -> Bool { expanded.contains(places[index]) }

  /// The expanded key of a packet, for its AEAD call only.
  @inline(__always) mutating func slot(_ index: Int) -> UnsafeMutableRawPointer {
    if let slot = found[index] { return slot }
    let place = places[index]
    if !expanded.contains(place) { expand(from: place) }
    return batch.base + (place &- expanded.lowerBound) &* engine.slotSize
  }

  @inline(never) private mutating func expand(from first: Int) {
    let count = min(misses &- first, Engine.batchWidth)
    engine.expandBatch(
      derived.base + first &* KeyDerivation.keySize, for: uses + first, count: count, into: batch.base)
    expanded = Range(uncheckedBounds: (first, first &+ count))
    widest = max(widest, count)
  }

  /// The packet of the last `slot` call authenticated: its key may stay.
  @inline(__always) mutating func keep(_ index: Int) {
    if found[index] == nil { candidate = places[index] }
  }

  /// After the burst's last packet: derived keys do not outlive it, unless in the cache.
  @inline(__always) mutating func end() {
    if policy.endBurst(packets: packets, hits: packets &- misses), candidate >= 0 { keepCandidate() }
    if misses > 0 { eraseOctets(derived.base, count: misses &* KeyDerivation.keySize) }
    engine.eraseBatch(batch.base, count: widest, mostBlocks: mostBlocks)
  }

  @inline(never) private mutating func keepCandidate() {
    let request = requests[candidate]
    engine.expand(
      derived.base + candidate &* KeyDerivation.keySize, suite: request.variant.suite, into: cache.scratch)
    cache.keepScratch(as: DataKeyTag(serial: masters[candidate].serial, request: request))
    policy.kept()
  }
}

/// Where the cache has the key of a flow: right for one epoch, until anything in the cache changes.
struct KeyMemo {
  fileprivate var slot: UnsafeMutableRawPointer?
  /// No cache is ever in its version 0.
  fileprivate var version: UInt32 = 0
  fileprivate var epoch: UInt16 = 0

  init() {}

  fileprivate init(slot: UnsafeMutableRawPointer, version: UInt32, epoch: UInt16) {
    self.slot = slot
    self.version = version
    self.epoch = epoch
  }
}

extension AEADEngine {
  /// Makes a batch's memory slots without keys; fails as `prepareSlot` does, and then none is.
  func prepareBatch(_ slots: UnsafeMutableRawPointer) throws(EngineError) {
    for index in 0..<Self.batchWidth {
      do throws(EngineError) {
        try prepareSlot(slots + index * slotSize)
      } catch {
        for prepared in 0...index { releaseSlot(slots + prepared * slotSize) }
        throw error
      }
    }
  }
}
