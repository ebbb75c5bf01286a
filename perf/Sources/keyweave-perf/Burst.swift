import Wire

/// Packets as one burst has them: each in a buffer of its own, with room for a security header and an ICV.
struct Burst {
  static let count = 32
  static let headerLength = SecurityHeader.minimumLength
  /// Buffers are apart as mbufs are, not back to back, which would favour the prefetcher.
  private static let gap = 448

  let length: Int
  private let memory: UnsafeMutableRawPointer
  private let stride: Int

  /// `length` octets of text each.
  init(length: Int) {
    self.length = length
    stride = (Self.headerLength + length + SecurityHeader.icvLength + Self.gap + 63) & ~63
    memory = .allocate(byteCount: stride * Self.count, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0x5A, count: stride * Self.count)
  }

  func header(_ packet: Int) -> UnsafeMutableRawPointer { memory + packet &* stride }
  func text(_ packet: Int) -> UnsafeMutableRawPointer { header(packet) + Self.headerLength }
  func tag(_ packet: Int) -> UnsafeMutableRawPointer { text(packet) + length }

  func free() { memory.deallocate() }
}
