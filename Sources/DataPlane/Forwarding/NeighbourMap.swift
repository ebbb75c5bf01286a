internal import CDPDK
internal import Wire

/// Address to MAC, as lcores see it: one writer (the slow path), lock-free readers.
struct NeighbourMap: @unchecked Sendable {
  static let capacity: UInt32 = 8192
  private let hash: UnsafeMutableRawPointer
  /// Counts the changes, in a cache line pair of its own: lcores read it in every round.
  private let changes: UnsafeMutablePointer<UInt64>

  init?(name: String) {
    guard let hash = dpdk_hash_create(name, Self.capacity) else { return nil }
    self.hash = hash
    changes = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
      .initializeMemory(as: UInt64.self, repeating: 0, count: 16)
  }
  func free() {
    dpdk_hash_free(hash)
    changes.deallocate()
  }

  /// Who reads it before he looks something up knows that what he found stands as long as it is the same.
  @inline(__always) var version: UInt64 { dpdk_load_acquire(changes) }

  @inline(__always)
  func mac(of address: IPAddress, port: Int) -> MACAddress? {
    var key = (UInt64(truncatingIfNeeded: port), address.high, address.low)
    var value: UInt64 = 0
    let found = withUnsafePointer(to: &key) {
      $0.withMemoryRebound(to: UInt64.self, capacity: 3) { dpdk_hash_lookup_data(hash, $0, &value) }
    }
    return found ? MACAddress(rawValue: value) : nil
  }

  /// The writer's. False when the map is full.
  func publish(_ address: IPAddress, port: Int, mac: MACAddress) -> Bool {
    defer { count() }
    return dpdk_hash_add_key_data(hash, Self.key(address, port), mac.rawValue) == 0
  }

  /// The writer's: the slot that is free once every reader has passed, or nothing.
  func withdraw(_ address: IPAddress, port: Int) -> Int32? {
    defer { count() }
    let position = dpdk_hash_del_key(hash, Self.key(address, port))
    return position >= 0 ? position : nil
  }

  func reuse(_ position: Int32) { dpdk_hash_free_key_with_position(hash, position) }

  private func count() { dpdk_store_release(changes, dpdk_load_relaxed(changes) &+ 1) }

  private static func key(_ address: IPAddress, _ port: Int) -> [UInt64] { [UInt64(port), address.high, address.low] }
}
