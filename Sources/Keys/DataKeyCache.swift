public import Wire  // public: what uses it is inlined into the lcore loop

/// What the cache needs of the AEAD engine whose expanded keys it keeps.
package struct DataKeySlots {
  /// Octets of one expanded key, a multiple of 64.
  package let size: Int
  /// Once per slot, when its memory is made.
  package let prepare: (UnsafeMutableRawPointer) -> Void
  /// Zeroes key material; the slot stays usable.
  package let erase: (UnsafeMutableRawPointer) -> Void
  /// Once per slot, before its memory goes.
  package let release: (UnsafeMutableRawPointer) -> Void

  package init(
    size: Int, prepare: @escaping (UnsafeMutableRawPointer) -> Void,
    erase: @escaping (UnsafeMutableRawPointer) -> Void, release: @escaping (UnsafeMutableRawPointer) -> Void
  ) {
    self.size = size
    self.prepare = prepare
    self.erase = erase
    self.release = release
  }
}

/// One lcore's expanded data keys, bounded, in locked memory.
///
/// The way of a key: `find` fails; the caller expands it into `scratch` and opens the packet with it; only if the
/// packet authenticates does `keepScratch` enter it. So who sends random IDs changes nothing here. (Keys to seal with
/// are kept at once.)
///
/// A set has four ways. A hit counts up its way to at most 7; a key enters with 0 in place of the least used one, and
/// every eighth entry into a set halves its counts. So a key that is hit twice while eight others enter its set stays,
/// however many replayed or rare authenticated IDs pass through; one no longer used goes after at most 24 entries. The
/// hash is keyed at random: nobody can choose IDs that meet in one set.
@usableFromInline package struct DataKeyCache: ~Copyable {
  @inlinable static var ways: Int { 4 }
  @inlinable static var mostUses: UInt8 { 7 }
  @inlinable static var entriesPerAging: UInt8 { 8 }

  @usableFromInline struct Way {
    @usableFromInline var tag = DataKeyTag.none
    @usableFromInline var slot: UInt32 = 0
    @usableFromInline var uses: UInt8 = 0
    /// In a set's first way: keys entered since the last aging.
    @usableFromInline var entered: UInt8 = 0

    @usableFromInline init() {}
  }

  @usableFromInline let slots: LockedMemory
  @usableFromInline let table: UnsafeMutablePointer<Way>
  @usableFromInline let setCount: UInt64
  @usableFromInline let slotSize: Int
  @usableFromInline let seed: (UInt64, UInt64)
  @usableFromInline var scratchSlot: UInt32
  /// Changes whenever a key comes or goes, and is never 0: what `find` gave stands as long as it is the same. Nobody may keep
  /// that beyond an epoch, the longest of which (1800 s) is too short for 2^32 changes, one a burst.
  @usableFromInline package private(set) var version: UInt32 = 1
  private let operations: DataKeySlots

  /// The number of keys that fit.
  @inlinable package var capacity: Int { Int(setCount) &* Self.ways }

  /// A cache whose slots take at most `octets` of locked memory, but at least four keys and the scratch slot.
  package init(octets: Int, slots operations: DataKeySlots) throws(LockedMemoryError) {
    slotSize = max(operations.size, 64)
    let keys = max(octets, 0) / slotSize - 1
    let sets = max(keys / Self.ways, 1)
    setCount = UInt64(sets)
    slots = try LockedMemory(octets: (sets * Self.ways + 1) * slotSize)
    table = .allocate(capacity: sets * Self.ways)
    table.initialize(repeating: Way(), count: sets * Self.ways)
    self.operations = operations
    var random = SystemRandomNumberGenerator()
    seed = (random.next(), random.next() | 1)
    for slot in 0...sets * Self.ways {
      operations.prepare(slots.base + slot * slotSize)
      if slot < sets * Self.ways { table[slot].slot = UInt32(slot) }
    }
    scratchSlot = UInt32(sets * Self.ways)
  }

  deinit {
    for slot in 0...capacity {
      operations.erase(slots.base + slot * slotSize)
      operations.release(slots.base + slot * slotSize)
    }
    table.deallocate()
  }

  /// Where to expand the next key; its contents last until `keepScratch` or the next expansion.
  @inlinable package var scratch: UnsafeMutableRawPointer { slots.base + Int(scratchSlot) &* slotSize }

  /// The expanded key with this tag, until the next `keepScratch` or `erase`; nil is a miss.
  @inlinable package borrowing func find(_ tag: borrowing DataKeyTag) -> UnsafeMutableRawPointer? {
    let first = table + set(of: tag)
    for way in 0..<Self.ways where (first + way).pointee.tag == tag {
      let uses = (first + way).pointee.uses
      if uses < Self.mostUses { (first + way).pointee.uses = uses &+ 1 }
      return slots.base + Int((first + way).pointee.slot) &* slotSize
    }
    return nil
  }

  /// Enters the key in `scratch`, only after a packet has authenticated under it; the least used key's slot becomes
  /// `scratch`.
  ///
  /// - Returns: where the key lies now, which is where it lay.
  @discardableResult
  @inlinable package mutating func keepScratch(as tag: borrowing DataKeyTag) -> UnsafeMutableRawPointer {
    let first = table + set(of: tag)
    // Among equals the turn goes round, so that two new keys do not push each other out for ever.
    let turn = Int(first.pointee.entered)
    var chosen = turn & (Self.ways &- 1)
    for step in 0..<Self.ways {
      let way = (turn &+ step) & (Self.ways &- 1)
      if (first + way).pointee.tag == tag {
        chosen = way
        break
      }
      if (first + way).pointee.uses < (first + chosen).pointee.uses
        || (first + way).pointee.tag.serial == 0 && (first + chosen).pointee.tag.serial != 0
      {
        chosen = way
      }
    }
    let kept = scratchSlot
    scratchSlot = (first + chosen).pointee.slot
    (first + chosen).pointee.slot = kept
    (first + chosen).pointee.tag = copy tag
    (first + chosen).pointee.uses = 0
    age(first)
    change()
    return slots.base + Int(kept) &* slotSize
  }

  @usableFromInline mutating func change() { version = max(version &+ 1, 1) }

  @inlinable func age(_ first: UnsafeMutablePointer<Way>) {
    first.pointee.entered &+= 1
    guard first.pointee.entered >= Self.entriesPerAging else { return }
    first.pointee.entered = 0
    for way in 0..<Self.ways { (first + way).pointee.uses &>>= 1 }
  }

  /// Erases the keys that `isDoomed` picks, and `scratch`; for a key table that was dropped and for epochs gone by.
  ///
  /// - Returns: how many keys went.
  @discardableResult
  package mutating func erase(where isDoomed: (DataKeyTag) -> Bool) -> Int {
    var erased = 0
    for position in 0..<capacity where table[position].tag.serial != 0 && isDoomed(table[position].tag) {
      operations.erase(slots.base + Int(table[position].slot) * slotSize)
      table[position].tag = .none
      table[position].uses = 0
      erased += 1
    }
    operations.erase(scratch)
    change()
    return erased
  }

  /// Erases all keys of master keys outside `serials`, which are the current key table's.
  @discardableResult
  package mutating func erase(serialsNotIn serials: Range<UInt64>) -> Int {
    erase { !serials.contains($0.serial) }
  }

  /// The keys held.
  package var count: Int { (0..<capacity).count { table[$0].tag.serial != 0 } }

  /// The first way of the tag's set.
  @inlinable borrowing func set(of tag: borrowing DataKeyTag) -> Int {
    let small = UInt64(tag.request.epoch) &<< 8 | UInt64(tag.request.variant.rawValue)
    let a = Self.mix(tag.serial ^ seed.0, tag.request.id ^ seed.1)
    let b = Self.mix(tag.request.source.high ^ a, tag.request.source.low ^ seed.1)
    let hash = Self.mix(b ^ small, a ^ seed.1)
    return Int(truncatingIfNeeded: hash.multipliedFullWidth(by: setCount).high) &* Self.ways
  }

  /// Both halves of the product, folded: every input bit reaches every output bit.
  @inlinable static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}
