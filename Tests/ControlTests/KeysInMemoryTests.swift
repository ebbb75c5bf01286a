import Control
import Foundation
import Keys
import Support
import Testing

/// A keys file's digits leave no trace in the process that has read it: the same scan finds them when they are there.
@Suite struct KeysInMemoryTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  @Test func noDigitsOfAKeyStayInMemory() throws {
    try workspace.writeKeys(generations: 3)
    let keys = try KeysFile.load(workspace.path("keys.yaml"), at: nil)
    let needle = UnsafeMutableRawBufferPointer.allocate(byteCount: 24, alignment: 1)
    defer { needle.deallocate() }
    // The first 24 hex digits of a key; the scan passes over the place where they stand for it.
    try #require(keys.groups.first).rootKeys[0].current.key.withOctets { key in
      for index in 0..<24 {
        let nibble = index % 2 == 0 ? key[index / 2] >> 4 : key[index / 2] & 15
        needle[index] = nibble < 10 ? 48 + nibble : 87 + nibble
      }
    }
    let digits = UnsafeRawBufferPointer(needle)
    let before = try ProcessMemory.occurrences(of: digits)
    #expect(before == [])
    let trace = UnsafeMutableRawBufferPointer.allocate(byteCount: 24, alignment: 1)
    defer { trace.deallocate() }
    trace.copyMemory(from: digits)
    let live = try ProcessMemory.occurrences(of: digits)
    #expect(live.map(\.address) == [UInt(bitPattern: trace.baseAddress)], "\(live)")
    trace.initializeMemory(as: UInt8.self, repeating: 0)
    let after = try ProcessMemory.occurrences(of: digits)
    #expect(after == [])
  }
}
