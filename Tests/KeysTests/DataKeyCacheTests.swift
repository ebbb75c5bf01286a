import Keys
import Testing
import Wire

/// Stands for an AEAD engine: a slot holds a number, prepared slots have a mark, and every call is counted.
private final class Slots {
  var prepared: Set<UnsafeMutableRawPointer> = []
  var erased = 0
  var released = 0
  /// What a slot held when it was given up: all zero, or keys would stay in memory.
  var leftovers = 0

  static let size = 128

  var operations: DataKeySlots {
    DataKeySlots(
      size: Self.size, prepare: { self.prepared.insert($0) },
      erase: {
        $0.storeBytes(of: 0, as: UInt64.self)
        self.erased += 1
      },
      release: {
        self.released += 1
        if $0.load(as: UInt64.self) != 0 { self.leftovers += 1 }
      })
  }
}

@Suite struct DataKeyCacheTests {
  private let slots = Slots()
  private static let device = Variant(context: .device, suite: .aes256, isWide: true)

  private func cache(keys: Int) throws -> DataKeyCache {
    try DataKeyCache(octets: (keys + 1) * Slots.size, slots: slots.operations)
  }

  private func tag(_ id: UInt64, serial: UInt64 = 1, epoch: UInt16 = 0) -> DataKeyTag {
    DataKeyTag(
      serial: serial,
      request: DataKeyRequest(variant: Self.device, id: id, epoch: epoch, source: IPAddress(high: 0, low: 0)))
  }

  /// As the lcore does: look, and on a miss expand into the scratch slot, then keep it if the packet authenticates.
  @discardableResult
  private func open(_ tag: DataKeyTag, in cache: inout DataKeyCache, authenticates: Bool = true) -> Bool {
    if let slot = cache.find(tag) {
      #expect(slot.load(as: UInt64.self) == tag.request.id, "the key found is the tag's")
      return true
    }
    let scratch = cache.scratch
    scratch.storeBytes(of: tag.request.id, as: UInt64.self)
    if authenticates { #expect(cache.keepScratch(as: tag) == scratch) }
    return false
  }

  @Test func staysWithinItsOctets() throws {
    let cache = try DataKeyCache(octets: 1 << 20, slots: slots.operations)
    #expect(cache.capacity == 8188, "8192 slots: one is the scratch slot, and sets have four")
    #expect(slots.prepared.count == 8189)
    #expect(slots.prepared.allSatisfy { UInt(bitPattern: $0) % 64 == 0 })
    #expect(try DataKeyCache(octets: 0, slots: slots.operations).capacity == 4)
    #expect(try DataKeyCache(octets: -1, slots: slots.operations).capacity == 4)
  }

  @Test func findsWhatWasKept() throws {
    var cache = try cache(keys: 1024)
    for id in 0..<200 as Range<UInt64> { #expect(!open(tag(id), in: &cache)) }
    // 200 keys in 1024 places: a set may overflow, hardly more than one.
    let found = (0..<200 as Range<UInt64>).count { cache.find(tag($0)) != nil }
    #expect(found > 190)
    #expect(cache.count <= 200)
  }

  @Test func comparesTheWholeTag() throws {
    var cache = try cache(keys: 4)
    let variant = Variant(context: .sourceAddress, suite: .aes256, isWide: true)
    func tag(
      _ serial: UInt64 = 1, _ variant: Variant = variant, id: UInt64 = 2, epoch: UInt16 = 3, high: UInt64 = 4,
      low: UInt64 = 5
    ) -> DataKeyTag {
      DataKeyTag(
        serial: serial,
        request: DataKeyRequest(variant: variant, id: id, epoch: epoch, source: IPAddress(high: high, low: low)))
    }
    cache.keepScratch(as: tag())
    let others = [
      tag(2), tag(1, Variant(context: .sourceAddress, suite: .aes128, isWide: true)), tag(id: 3), tag(epoch: 4),
      tag(high: 5), tag(low: 6), tag(id: 2 | 1 << 63), tag(high: 4 | 1 << 63), tag(low: 5 | 1 << 63),
    ]
    for other in others {
      let isFound = cache.find(other) != nil
      #expect(!isFound)
    }
    let isFound = cache.find(tag()) != nil
    #expect(isFound)
  }

  @Test func anEmptyCacheHasNoKeyForTheEmptyTag() throws {
    let cache = try cache(keys: 64)
    let isFound = cache.find(tag(0, serial: 1)) != nil
    #expect(!isFound)
    #expect(cache.count == 0)
  }

  @Test func whatDoesNotAuthenticateChangesNothing() throws {
    var cache = try cache(keys: 64)
    for id in 0..<32 as Range<UInt64> { open(tag(id), in: &cache) }
    let held = (0..<32 as Range<UInt64>).filter { cache.find(tag($0)) != nil }
    #expect(cache.count == held.count)
    for id in 1000..<200_000 as Range<UInt64> { open(tag(id), in: &cache, authenticates: false) }
    #expect(cache.count == held.count)
    for id in held { #expect(open(tag(id), in: &cache)) }
  }

  /// Whoever replays packets of ever new IDs that do authenticate fills the cache, but not the place of a busy key.
  @Test func aBusyKeySurvivesAFloodOfRareOnes() throws {
    var cache = try cache(keys: 256)
    let busy = tag(7)
    open(busy, in: &cache)
    for _ in 0..<4 { open(busy, in: &cache) }
    var misses = 0
    for id in 1_000..<1_001_000 as Range<UInt64> {
      open(tag(id), in: &cache)
      // 64 sets: one entry into its set for every use of the busy key.
      if id % 64 == 0, !open(busy, in: &cache) { misses += 1 }
    }
    #expect(misses == 0)
    #expect(cache.count == 256)
  }

  @Test func aNewBusyKeyFindsAPlaceAmongStaleOnes() throws {
    var cache = try cache(keys: 4)
    for id in 0..<4 as Range<UInt64> {
      for _ in 0..<100 { open(tag(id), in: &cache) }
    }
    // The four are never used again: after three agings, of eight entries each, the new ones take their places.
    for _ in 0..<13 {
      for id in 10..<12 as Range<UInt64> { open(tag(id), in: &cache) }
    }
    let found = (10..<12 as Range<UInt64>).count { open(tag($0), in: &cache) }
    #expect(found == 2)
  }

  @Test func erasesWithTheMasterKey() throws {
    var cache = try cache(keys: 64)
    for id in 0..<16 as Range<UInt64> {
      open(tag(id, serial: 5), in: &cache)
      open(tag(id, serial: 6), in: &cache)
    }
    let before = cache.count
    let kept = (0..<16 as Range<UInt64>).count { cache.find(tag($0, serial: 6)) != nil }
    slots.erased = 0
    let gone = cache.erase(serialsNotIn: 6..<9)
    #expect(gone == before - kept)
    #expect(slots.erased == gone + 1, "the scratch slot may hold a key of the table that goes")
    #expect(cache.count == kept)
    for id in 0..<16 as Range<UInt64> {
      let isFound = cache.find(tag(id, serial: 5)) != nil
      #expect(!isFound)
    }
    let scratch = cache.scratch.load(as: UInt64.self)
    #expect(scratch == 0)
    cache.erase { $0.request.epoch == 0 }
    #expect(cache.count == 0)
  }

  @Test func erasedPlacesAreFilledFirst() throws {
    var cache = try cache(keys: 4)
    for id in 0..<4 as Range<UInt64> { open(tag(id), in: &cache) }
    cache.erase { $0.request.id == 2 }
    open(tag(9), in: &cache)
    for id in [0, 1, 3, 9] as [UInt64] {
      let isFound = cache.find(tag(id)) != nil
      #expect(isFound)
    }
  }

  @Test func keepingATagTwiceHoldsItOnce() throws {
    var cache = try cache(keys: 4)
    for _ in 0..<3 {
      cache.scratch.storeBytes(of: 1, as: UInt64.self)
      cache.keepScratch(as: tag(1))
    }
    #expect(cache.count == 1)
  }

  @Test func erasesAndReleasesEverySlotAtItsEnd() throws {
    do {
      var cache = try cache(keys: 16)
      for id in 1...40 as ClosedRange<UInt64> { open(tag(id), in: &cache) }
    }
    #expect(slots.prepared.count == 17)
    #expect(slots.released == 17)
    #expect(slots.leftovers == 0)
  }
}
