import Foundation
import Glibc

/// A whole file, searched octet by octet for patterns, however large it is: the kernel pages it in and out.
final class ClearTextSearch {
  private let base: UnsafeMutableRawPointer?
  let count: Int

  /// Maps the file; nil when it is not there.
  init?(path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { return nil }
    count = Int(facts.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    let mapped = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard mapped != MAP_FAILED else { return nil }
    base = mapped
  }

  deinit {
    if let base { munmap(base, count) }
  }

  /// How often the pattern occurs: Horspool's search, which looks at every n-th octet for a pattern of n.
  func occurrences(of pattern: [UInt8]) -> Int {
    guard let base, let last = pattern.last, pattern.count <= count else { return 0 }
    var skip = [Int](repeating: pattern.count, count: 256)
    for (index, octet) in pattern.dropLast().enumerated() { skip[Int(octet)] = pattern.count - 1 - index }
    let octets = UnsafeRawBufferPointer(start: base, count: count)
    var found = 0
    var end = pattern.count - 1
    while end < count {
      let octet = octets[end]
      if octet == last, memcmp(base + (end + 1 - pattern.count), pattern, pattern.count) == 0 {
        found += 1
        end += pattern.count
      } else {
        end += skip[Int(octet)]
      }
    }
    return found
  }
}
