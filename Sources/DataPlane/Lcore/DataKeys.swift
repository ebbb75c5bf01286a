internal import Keys
internal import Wire

/// One lcore's data keys for one direction: those it has, and those it derives for a burst.
///
/// A burst goes: `begin`; for each packet `skip` or `request`; `resolve`, which derives what is missing in one call per master
/// key; then for each packet in order `slot`, the AEAD call, and `keep` if the packet authenticated.
struct DataKeys<Engine: AEADEngine>: ~Copyable {
  /// Packets in a burst.
  static var width: Int { 64 }

  let engine: Engine
  private var cache: DataKeyCache
  private let derivation: KeyDerivation
  /// A place for each packet of a burst, and one for a key that has to be derived again.
  private let derived: LockedMemory

  private let tags: UnsafeMutablePointer<DataKeyTag>
  private let masters: UnsafeMutablePointer<MasterKey?>
  /// Found in the cache by `resolve`; null for a miss.
  private let found: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let requests: UnsafeMutablePointer<DataKeyRequest>
  /// Where in `derived` a packet's key lies.
  private let places: UnsafeMutablePointer<Int>
  private var misses = 0
  /// Whether the cache changed since `resolve`, so that what it found may have moved.
  private var isStale = false
  private var isScratch = false
  private(set) var hitCount = 0
  private(set) var missCount = 0

  private static var noRequest: DataKeyRequest {
    DataKeyRequest(
      variant: Variant(context: .device, suite: .aes256, isWide: false), id: 0, epoch: 0, source: .unspecifiedIPv6)
  }

  /// - Parameter octets: of locked memory for the cache, the library's part included.
  init(engine: Engine, octets: Int) throws {
    // Everything that can fail comes first.
    let cache = try engine.makeDataKeyCache(octets: octets)
    let derivation = try KeyDerivation()
    let derived = try LockedMemory(octets: (Self.width + 1) * KeyDerivation.keySize)
    self.engine = engine
    self.cache = cache
    self.derivation = derivation
    self.derived = derived
    tags = .allocate(capacity: Self.width)
    masters = .allocate(capacity: Self.width)
    found = .allocate(capacity: Self.width)
    requests = .allocate(capacity: Self.width)
    places = .allocate(capacity: Self.width)
    tags.initialize(
      repeating: DataKeyTag(serial: 0, request: Self.noRequest), count: Self.width)
    masters.initialize(repeating: nil, count: Self.width)
    found.initialize(repeating: nil, count: Self.width)
    requests.initialize(repeating: Self.noRequest, count: Self.width)
    places.initialize(repeating: 0, count: Self.width)
  }

  deinit {
    tags.deallocate()
    masters.deallocate()
    found.deallocate()
    requests.deallocate()
    places.deallocate()
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

  @inline(__always) mutating func begin() {
    misses = 0
    isStale = false
  }

  /// This packet needs no key.
  @inline(__always) func skip(_ index: Int) { masters[index] = nil }

  @inline(__always) func request(_ index: Int, master: MasterKey, header: SecurityHeader, source: IPAddress) {
    masters[index] = master
    tags[index] = DataKeyTag(
      serial: master.serial,
      request: DataKeyRequest(variant: header.variant, id: header.id, epoch: header.epoch, source: source))
  }

  /// Looks every requested key up and derives the missing ones.
  @inline(__always) mutating func resolve(count: Int) {
    var requested = 0
    for index in 0..<count where masters[index] != nil {
      requested &+= 1
      found[index] = cache.find(tags[index])
      if found[index] == nil { misses &+= 1 }
    }
    hitCount &+= requested &- misses
    missCount &+= misses
    if misses > 0 { derive(count: count) }
  }

  /// One derivation per run of packets under the same master key: nearly always one for the whole burst.
  @inline(never) private func derive(count: Int) {
    var place = 0
    var first = 0
    while first < count {
      guard let master = masters[first], found[first] == nil else {
        first &+= 1
        continue
      }
      var run = 0
      let start = place
      while first < count {
        guard let next = masters[first], found[first] == nil else {
          first &+= 1
          continue
        }
        guard next == master else { break }
        requests[run] = tags[first].request
        places[first] = place
        run &+= 1
        place &+= 1
        first &+= 1
      }
      derivation.derive(
        requests, count: run, under: master, with: engine, into: derived.base + start &* KeyDerivation.keySize)
    }
  }

  /// The expanded key of a packet, for its AEAD call only.
  @inline(__always) mutating func slot(_ index: Int) -> UnsafeMutableRawPointer {
    isScratch = false
    if let slot = found[index], !isStale { return slot }
    return slotAfterMiss(index)
  }

  @inline(never) private mutating func slotAfterMiss(_ index: Int) -> UnsafeMutableRawPointer {
    if let slot = cache.find(tags[index]) { return slot }
    let suite = tags[index].request.variant.suite
    if found[index] == nil {
      engine.expand(derived.base + places[index] &* KeyDerivation.keySize, suite: suite, into: cache.scratch)
    } else if let master = masters[index] {
      // Found by `resolve`, then pushed out by another packet of the same burst.
      let key = derived.base + Self.width &* KeyDerivation.keySize
      derivation.derive(tags[index].request, under: master, with: engine, into: key)
      engine.expand(key, suite: suite, into: cache.scratch)
    }
    isScratch = true
    return cache.scratch
  }

  /// The packet of the last `slot` call authenticated: its key may stay.
  @inline(__always) mutating func keep(_ index: Int) {
    guard isScratch else { return }
    cache.keepScratch(as: tags[index])
    isStale = true
    isScratch = false
  }

  /// After the burst's last packet: derived keys do not outlive it.
  @inline(__always) func end() {
    if misses > 0 { eraseOctets(derived.base, count: (Self.width &+ 1) &* KeyDerivation.keySize) }
  }
}
