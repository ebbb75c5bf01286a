import Control
import Foundation
import Keys
import Testing

/// A keys file's digits leave no trace in the process that has read it: the same scan finds them when they are there.
@Suite struct KeysInMemoryTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  @Test func noDigitsOfAKeyStayInMemory() throws {
    try workspace.writeKeys(generations: 3)
    let keys = try KeysFile.load(workspace.path("keys.yaml"), at: nil)
    let needle = try #require(keys.groups.first).rootKeys[0].current.key.withOctets { Needle(hexOf: $0) }
    #expect(try needle.count() == 0)
    let trace = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
    defer { trace.deallocate() }
    needle.write(to: trace)
    #expect(try needle.count() == 1)
    trace.initializeMemory(as: UInt8.self, repeating: 0)
    #expect(try needle.count() == 0)
  }
}

/// The first 24 hex digits of a key, kept in a form in which the scan does not find itself.
private struct Needle {
  private let masked: [UInt8]
  private static let mask: UInt8 = 0xA5

  init(hexOf key: UnsafeRawBufferPointer) {
    masked = (0..<24).map { index in
      let nibble = index % 2 == 0 ? key[index / 2] >> 4 : key[index / 2] & 15
      return (nibble < 10 ? 48 + nibble : 87 + nibble) ^ Self.mask
    }
  }

  func write(to target: UnsafeMutableRawBufferPointer) {
    for (index, octet) in masked.enumerated() { target[index] = octet ^ Self.mask }
  }

  /// How often the digits stand in this process' writable memory.
  func count() throws -> Int {
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    let memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
    try #require(memory >= 0)
    defer { close(memory) }
    let size = 1 << 20
    let window = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
    defer { window.deallocate() }
    let own = UInt(bitPattern: window.baseAddress)..<UInt(bitPattern: window.baseAddress) + UInt(size)
    var found = 0
    for line in maps.split(separator: "\n") {
      let fields = line.split(separator: " ")
      let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      // The sanitizers reserve terabytes for their own notes.
      guard fields[1].hasPrefix("rw"), ends.count == 2, ends[1] - ends[0] <= 1 << 30 else { continue }
      var start = ends[0]
      while start < ends[1] {
        let end = min(start + UInt(size), ends[1])
        // A window that overlapped itself would change while it is read.
        let got =
          start < own.upperBound && own.lowerBound < end
          ? 0 : pread(memory, window.baseAddress, Int(end - start), off_t(start))
        if got > 0 { found += occurrences(in: UnsafeRawBufferPointer(rebasing: window[..<got])) }
        window.initializeMemory(as: UInt8.self, repeating: 0)
        // Neighbouring windows overlap, so that digits across their border are found.
        start = end == ends[1] ? end : end - UInt(masked.count - 1)
      }
    }
    return found
  }

  private func occurrences(in octets: UnsafeRawBufferPointer) -> Int {
    var found = 0
    let first = Int32(masked[0] ^ Self.mask)
    var start = 0
    while start + masked.count <= octets.count {
      guard let base = octets.baseAddress, let hit = memchr(base + start, first, octets.count - start) else { break }
      start = hit - UnsafeMutableRawPointer(mutating: base)
      guard start + masked.count <= octets.count else { break }
      if masked.indices.allSatisfy({ octets[start + $0] ^ Self.mask == masked[$0] }) { found += 1 }
      start += 1
    }
    return found
  }
}
