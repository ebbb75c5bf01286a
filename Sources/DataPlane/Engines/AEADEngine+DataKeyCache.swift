package import Keys

extension AEADEngine {
  /// A cache of this engine's expanded data keys in at most so many octets of locked memory, the library's included.
  ///
  /// The engine must not be shut down before the cache is gone.
  package func makeDataKeyCache(octets: Int) throws -> DataKeyCache {
    var failure: EngineError?
    let slots = DataKeySlots(
      size: slotSize,
      prepare: { slot in
        do throws(EngineError) {
          // After a failure the others stay zero: slots that never get a key, and are never used.
          if failure == nil { try prepareSlot(slot) }
        } catch {
          failure = error
        }
      }, erase: eraseSlot, release: releaseSlot)
    let keys = min(octets / lockedSize, mostCached)
    let cache = try DataKeyCache(octets: keys * slotSize, slots: slots)
    if let failure { throw failure }
    return cache
  }
}
