internal import Foundation

/// A place in writable memory at which a key's octets stand. Its description says what kind of memory that is and what lies
/// around it, so that a stray copy tells who made it; it never holds the octets.
package struct MemoryOccurrence: Equatable, CustomStringConvertible {
  package let address: UInt
  package let description: String

  /// How many octets before and after it are looked at.
  static let around = 64
}

/// A line of /proc/self/maps.
struct MemoryMapping {
  let range: Range<UInt>
  let permissions: Substring
  /// The file's name, or what anonymous memory is used for where that can be seen.
  let kind: String

  /// From "7f00-7f10 rw-p 00000000 00:00 0 [stack]".
  init?(_ line: Substring) {
    let fields = line.split(separator: " ", maxSplits: 5)
    guard fields.count >= 2, case let ends = fields[0].split(separator: "-"), ends.count == 2,
      let start = UInt(ends[0], radix: 16), let end = UInt(ends[1], radix: 16), start <= end
    else { return nil }
    range = start..<end
    permissions = fields[1]
    if fields.count > 5, let name = fields[5].split(whereSeparator: { $0 == "/" || $0 == " " }).last {
      kind = String(name)
    } else {
      // glibc aligns the heaps of its arenas to 64 MiB, which is rare otherwise.
      kind = start.isMultiple(of: 64 << 20) ? "malloc arena" : "anonymous"
    }
  }
}

/// The process's mappings and stacks at one time, to name places by.
struct MemoryMap {
  let mappings: [MemoryMapping]
  /// Each thread's name and stack pointer; the kernel knows no pointer of one that runs at this moment.
  private let stacks: [(thread: String, pointer: UInt)]

  init() throws {
    mappings = try ProcessMemory.lines(of: "/proc/self/maps").compactMap(MemoryMapping.init)
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    let places = [("this thread", "/proc/thread-self")] + threads.map { ("thread \($0)", "/proc/self/task/\($0)") }
    stacks = places.compactMap { thread, place in
      // The system call's number, its arguments, the stack pointer and the program counter; or "running".
      guard let call = try? ProcessMemory.lines(of: place + "/syscall").first?.split(separator: " "), call.count >= 3,
        let pointer = UInt(call[call.count - 2].dropFirst(2), radix: 16)
      else { return nil }
      return (thread, pointer)
    }
  }

  private func mapping(of address: UInt) -> MemoryMapping? { mappings.first { $0.range.contains(address) } }

  /// The place of `count` octets of a key, of which `memory` holds a copy and what lies around it.
  func occurrence(at address: UInt, count: Int, in memory: UnsafeRawBufferPointer) -> MemoryOccurrence {
    var text = String(address, radix: 16)
    if let mapping = mapping(of: address) {
      text += " in \(mapping.kind) of \(mapping.range.count) octets at \(address - mapping.range.lowerBound)"
      if let stack = stacks.first(where: { mapping.range.contains($0.pointer) }) {
        let distance = Int(address) - Int(stack.pointer)
        text += ", stack of \(stack.thread), \(abs(distance)) \(distance < 0 ? "below" : "above") its pointer"
        // The loader saves registers when it binds a function at its first call.
        if getenv("LD_BIND_NOW") == nil { text += ", functions bound lazily" }
      }
    }
    let around = MemoryOccurrence.around
    let words = [0..<around, around + count..<2 * around + count].map { range in
      stride(from: range.lowerBound, through: min(range.upperBound, memory.count) - 8, by: 8)
        .map { word(memory.loadUnaligned(fromByteOffset: $0, as: UInt.self)) }.joined(separator: " ")
    }
    return MemoryOccurrence(address: address, description: "\(text): \(words[0]) KEY(\(count)) \(words[1])")
  }

  /// A small number, where a pointer points to, or "?": other words may be the rest of the key.
  private func word(_ value: UInt) -> String {
    if value < 1 << 16 { return String(value) }
    return mapping(of: value).map { "->\($0.kind)" } ?? "?"
  }
}
