import Foundation
import Keys
import Support
import Testing

@Suite struct LockedMemoryTests {
  /// The flags that the kernel shows for the mapping at `base`.
  private func flags(of base: UnsafeMutableRawPointer) throws -> Set<Substring> {
    let lines = try ProcessMemory.lines(of: "/proc/self/smaps")
    // The kernel joins neighbours that are alike into one mapping.
    let first = try #require(
      lines.firstIndex { line in
        let ends = line.split(separator: " ")[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 && (ends[0]..<ends[1]).contains(UInt(bitPattern: base))
      })
    let line = try #require(lines[first...].first { $0.hasPrefix("VmFlags:") })
    return Set(line.split(separator: " "))
  }

  @Test func isLockedAndKeptOutOfDumpsAndChildren() throws {
    let memory = try LockedMemory(octets: 3 * LockedMemory.pageSize)
    let flags = try flags(of: memory.base)
    #expect(flags.isSuperset(of: ["lo", "dd", "wf"]))
  }

  @Test func roundsUpToPagesAndBeginsWithZeros() throws {
    let memory = try LockedMemory(octets: 1)
    #expect(memory.count == LockedMemory.pageSize)
    #expect(UInt(bitPattern: memory.base) % UInt(LockedMemory.pageSize) == 0)
    #expect(UnsafeRawBufferPointer(start: memory.base, count: memory.count).allSatisfy { $0 == 0 })
  }

  @Test(arguments: [1 << 60, Int.max, 0, -1])
  func saysWhatItCouldNotLock(octets: Int) throws {
    let error = try #require(throws: LockedMemoryError.self) { _ = try LockedMemory(octets: octets) }
    #expect(error.octets >= octets)
    #expect(error.description.contains("RLIMIT_MEMLOCK is"))
    #expect(error.description.contains("LimitMEMLOCK="))
  }

  @Test func erases() {
    var octets: [UInt8] = [1, 2, 3, 4]
    octets.withUnsafeMutableBytes { buffer in
      if let base = buffer.baseAddress { eraseOctets(base + 1, count: 2) }
    }
    #expect(octets == [1, 0, 0, 4])
  }
}
