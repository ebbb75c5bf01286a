import DataPlane
import Keys

/// Memory for one expanded key, as lcores have it.
final class LockedSlot {
  private let memory: LockedMemory
  var base: UnsafeMutableRawPointer { memory.base }

  init(_ engine: some AEADEngine) throws {
    memory = try LockedMemory(octets: engine.slotSize)
    try engine.prepareSlot(memory.base)
  }

  func release(_ engine: some AEADEngine) { engine.releaseSlot(base) }
}
