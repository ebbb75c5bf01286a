internal import Synchronization

/// Locked memory shared by all `SecretKey`s, a page at a time: thousands of keys must not take a locked page each.
enum SecretArena {
  static let slotSize = 32
  private static let state = Mutex(Slabs())

  static func take() throws(LockedMemoryError) -> UnsafeMutableRawPointer {
    try state.withLock { slabs throws(LockedMemoryError) in Slot(base: try slabs.take()) }.base
  }

  /// Zeroes the slot first; gives a page without keys back to the system.
  static func release(_ slot: UnsafeMutableRawPointer) {
    eraseOctets(slot, count: slotSize)
    let slot = Slot(base: slot)
    state.withLock { $0.release(slot.base) }
  }

  /// A slot has one owner, so that it may cross the lock.
  private struct Slot: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
  }

  private final class Slab {
    let memory: LockedMemory
    var free: [Int]

    init() throws(LockedMemoryError) {
      memory = try LockedMemory(octets: LockedMemory.pageSize)
      free = Array(0..<memory.count / slotSize)
    }

    var isUnused: Bool { free.count == memory.count / slotSize }

    func offset(of slot: UnsafeMutableRawPointer) -> Int? {
      let offset = slot - memory.base
      return (0..<memory.count).contains(offset) ? offset : nil
    }
  }

  private struct Slabs {
    private var slabs: [Slab] = []

    mutating func take() throws(LockedMemoryError) -> UnsafeMutableRawPointer {
      let slab: Slab
      if let roomy = slabs.last(where: { !$0.free.isEmpty }) {
        slab = roomy
      } else {
        slab = try Slab()
        slabs.append(slab)
      }
      return slab.memory.base + slab.free.removeLast() * slotSize
    }

    mutating func release(_ slot: UnsafeMutableRawPointer) {
      for (position, slab) in slabs.enumerated() {
        guard let offset = slab.offset(of: slot) else { continue }
        slab.free.append(offset / slotSize)
        if slab.isUnused { slabs.remove(at: position) }
        return
      }
    }
  }
}
