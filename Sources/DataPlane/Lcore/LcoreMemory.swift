extension UnsafeMutablePointer where Pointee: ~Copyable {
  /// Memory that one lcore writes: whole pairs of cache lines, as CPUs fetch pairs. Where arrays of two lcores share a line, each
  /// write of one takes the line from the other.
  static func allocateLines(capacity: Int) -> Self {
    UnsafeMutableRawPointer.allocateLines(byteCount: capacity * MemoryLayout<Pointee>.stride)
      .bindMemory(to: Pointee.self, capacity: capacity)
  }
}

extension UnsafeMutableRawPointer {
  /// The same for octets.
  static func allocateLines(byteCount: Int) -> Self { .allocate(byteCount: (byteCount + 127) & ~127, alignment: 128) }
}
