import Foundation

/// What is where in a process: DPDK's named memory zones, and the files that are mapped.
struct MemoryMap {
  private struct Region {
    let span: Range<UInt64>
    let offset: UInt64
    let name: String
  }

  private var zones: [Region] = []
  private var maps: [Region] = []

  /// "FROM TO NAME"
  mutating func add(zone text: String) {
    let words = text.split(separator: " ")
    guard words.count == 3, let from = UInt64(words[0], radix: 16), let to = UInt64(words[1], radix: 16), from <= to
    else {
      return
    }
    zones.append(Region(span: from..<to, offset: 0, name: String(words[2])))
  }

  /// "FROM-TO RIGHTS OFFSET DEVICE INODE PATH"
  mutating func add(map text: String) {
    let words = text.split(separator: " ")
    let ends = words.first?.split(separator: "-").compactMap { UInt64($0, radix: 16) } ?? []
    guard words.count >= 5, ends.count == 2, ends[0] <= ends[1], let offset = UInt64(words[2], radix: 16) else {
      return
    }
    maps.append(Region(span: ends[0]..<ends[1], offset: offset, name: words.count > 5 ? String(words[5]) : ""))
  }

  func span(ofFile name: String) -> Range<UInt64>? {
    let parts = maps.filter { $0.name.hasSuffix(name) }.map(\.span)
    guard let first = parts.map(\.lowerBound).min(), let last = parts.map(\.upperBound).max() else { return nil }
    return first..<last
  }

  /// The zone's or file's name, or what else is known of the memory.
  func region(of address: UInt64) -> String {
    if let zone = zones.first(where: { $0.span.contains(address) }) { return "DPDK's zone \(zone.name)" }
    guard let map = maps.first(where: { $0.span.contains(address) }) else { return "memory that is not mapped" }
    if map.name.isEmpty {
      return zones.contains { map.span.overlaps($0.span) } ? "DPDK's heap" : "the heap"
    }
    return map.name.hasPrefix("/") ? URL(filePath: map.name).lastPathComponent : map.name
  }

  /// The file that is mapped there, or right before, as what its zeroed data go on in has no name; and how far that is from
  /// the file's beginning.
  func file(at address: UInt64) -> (path: String, offset: UInt64)? {
    guard let index = maps.firstIndex(where: { $0.span.contains(address) }) else { return nil }
    var name = maps[index].name
    if name.isEmpty, index > 0, maps[index - 1].span.upperBound == maps[index].span.lowerBound {
      name = maps[index - 1].name
    }
    guard name.hasPrefix("/"), let first = maps.first(where: { $0.name == name }) else { return nil }
    return (name, address - (first.span.lowerBound - first.offset))
  }
}
