internal import Glibc
internal import Synchronization

/// This process's own memory as the kernel shows it in /proc/self: everything, not only what a test has pointers to.
package enum ProcessMemory {
  struct Unreadable: Error { let path: String }

  /// One search at a time: what one reads, another would find.
  private static let searching = Mutex(())

  /// Where a key's octets stand in writable memory, other than the given place itself.
  package static func occurrences(of needle: UnsafeRawBufferPointer) throws -> [MemoryOccurrence] {
    try searching.withLock { _ in try search(for: needle) }
  }

  private static func search(for needle: UnsafeRawBufferPointer) throws -> [MemoryOccurrence] {
    let memory = open("/proc/self/mem", O_RDONLY)
    guard memory >= 0 else { throw Unreadable(path: "/proc/self/mem") }
    defer { close(memory) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer {
      chunk.initializeMemory(as: UInt8.self, repeating: 0)
      chunk.deallocate()
    }
    let own = [UnsafeRawBufferPointer(chunk), needle].map { bytes in
      UInt(bitPattern: bytes.baseAddress)..<(UInt(bitPattern: bytes.baseAddress) + UInt(bytes.count))
    }
    var found: Set<UInt> = []
    let map = try MemoryMap()
    // The sanitizers reserve terabytes for their own notes.
    for mapping in map.mappings where mapping.permissions.hasPrefix("rw") && mapping.range.count <= 1 << 30 {
      var start = mapping.range.lowerBound
      while start < mapping.range.upperBound {
        let wanted = min(chunk.count, Int(mapping.range.upperBound - start))
        let got = pread(memory, chunk.baseAddress, wanted, off_t(start))
        // Unmapped meanwhile by another thread, or not readable at all.
        if got <= 0 { break }
        for offset in offsets(of: needle, in: UnsafeRawBufferPointer(rebasing: chunk[..<got])) {
          let address = start + UInt(offset)
          if !own.contains(where: { $0.contains(address) }) { found.insert(address) }
        }
        if got < chunk.count { break }
        // Overlapping, so that nothing hides on the border of two chunks.
        start += UInt(got - needle.count)
      }
    }
    return found.sorted().map { address in
      // Into the chunk, which is passed over and zeroed: the words around a key may be another key.
      let around = MemoryOccurrence.around
      let got = pread(memory, chunk.baseAddress, needle.count + 2 * around, off_t(address) - off_t(around))
      let read = UnsafeRawBufferPointer(rebasing: chunk[..<max(got, 0)])
      return map.occurrence(at: address, count: needle.count, in: read)
    }
  }

  /// The VmFlags of the mapping that holds an address, as in proc(5): lo = locked, dd = not in core dumps.
  package static func flags(at address: UInt) throws -> [Substring] {
    var inside = false
    for line in try lines(of: "/proc/self/smaps") {
      if let mapping = MemoryMapping(line) { inside = mapping.range.contains(address) }
      if inside, line.hasPrefix("VmFlags:") { return line.split(separator: " ").dropFirst().map { $0 } }
    }
    return []
  }

  /// The same, of octets xor 0x5a, so that what is looked for does not find itself.
  package static func occurrences(masked: [UInt8]) throws -> [MemoryOccurrence] {
    let needle = UnsafeMutableRawBufferPointer.allocate(byteCount: masked.count, alignment: 16)
    defer {
      needle.initializeMemory(as: UInt8.self, repeating: 0)
      needle.deallocate()
    }
    for (index, octet) in masked.enumerated() { needle[index] = octet ^ 0x5a }
    return try occurrences(of: UnsafeRawBufferPointer(needle))
  }

  /// A number of kilobytes out of /proc/self/status.
  package static func status(_ field: String) -> Int? {
    let line = try? lines(of: "/proc/self/status").first { $0.hasPrefix(field + ":") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
  }

  /// A file of /proc, line by line.
  package static func lines(of file: String) throws -> [Substring] {
    let descriptor = open(file, O_RDONLY)
    guard descriptor >= 0 else { throw Unreadable(path: file) }
    defer { close(descriptor) }
    // The kernel gives such a file piece by piece, and Foundation takes the first piece for the whole.
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while case let got = read(descriptor, &piece, piece.count), got > 0 { text += piece[..<got] }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
  }

  private static func offsets(of needle: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> [Int] {
    guard let base = bytes.baseAddress, let wanted = needle.baseAddress, let first = needle.first else { return [] }
    let last = bytes.count - needle.count
    var result: [Int] = []
    var start = 0
    while start <= last, let hit = memchr(base + start, Int32(first), last - start + 1) {
      if memcmp(hit, wanted, needle.count) == 0 { result.append(UnsafeRawPointer(hit) - base) }
      start = UnsafeRawPointer(hit) - base + 1
    }
    return result
  }
}
