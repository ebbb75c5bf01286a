import Foundation

/// This process as the kernel shows it.
enum ProcessMemory {
  /// A file of /proc as text. (Foundation's own reads stop after 4096 octets, as such files tell no size.)
  static func text(_ path: String) throws -> String {
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
  }

  /// A number of kilobytes out of /proc/self/status.
  static func status(_ field: String) -> Int? {
    guard let text = try? text("/proc/self/status") else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
  }

  /// Whether the octets lie anywhere in writable memory. `masked` is the needle xor 0x5a, so that it does not find
  /// itself; the window that is read never becomes a hit because only its own buffer holds what it read, and that is
  /// skipped.
  static func contains(masked: [UInt8]) throws -> Bool {
    let memory = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/mem"))
    defer { try? memory.close() }
    let window = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer {
      window.initializeMemory(as: UInt8.self, repeating: 0)
      window.deallocate()
    }
    let own = UInt(bitPattern: window.baseAddress)..<UInt(bitPattern: window.baseAddress) + UInt(window.count)
    for line in try text("/proc/self/maps").split(separator: "\n") {
      let fields = line.split(separator: " ")
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard ends.count == 2, fields[1].hasPrefix("rw") else { continue }
      var at = ends[0]
      while at < ends[1] {
        let size = min(Int(ends[1] - at), window.count)
        let read = pread(memory.fileDescriptor, window.baseAddress, size, off_t(at))
        guard read > 0 else { break }
        if find(masked, in: UnsafeRawBufferPointer(rebasing: window[0..<read]), from: at, skipping: own) { return true }
        // Windows overlap by a needle.
        at += UInt(read == size && size == window.count ? size - masked.count : read)
      }
    }
    return false
  }

  private static func find(
    _ masked: [UInt8], in window: UnsafeRawBufferPointer, from start: UInt, skipping own: Range<UInt>
  ) -> Bool {
    guard let first = masked.first, window.count >= masked.count else { return false }
    for offset in 0...window.count - masked.count where window[offset] ^ 0x5a == first {
      if own.contains(start + UInt(offset)) { continue }
      if masked.indices.allSatisfy({ window[offset + $0] ^ 0x5a == masked[$0] }) { return true }
    }
    return false
  }
}
