import Foundation

/// Names of functions and variables, from the symbol tables of the files that a process maps.
final class Symbols {
  private struct Symbol {
    let span: Range<UInt64>
    let name: String
  }

  private var tables: [String: [Symbol]] = [:]
  private var readable: [String: String] = [:]

  /// "name" or "name in file", or what else is known of the place.
  func name(at address: UInt64, in memory: MemoryMap) -> String {
    guard let (path, offset) = memory.file(at: address),
      let symbol = table(path).last(where: { $0.span.contains(offset) })
    else { return memory.region(of: address) }
    let file = URL(filePath: path).lastPathComponent
    return file.contains(".so") ? "\(symbol.name) in \(file)" : demangled(symbol.name)
  }

  private func table(_ path: String) -> [Symbol] {
    if let known = tables[path] { return known }
    let options = path.contains(".so") ? ["-D"] : []
    let text = Self.output(["nm", "--defined-only", "--print-size", "--numeric-sort"] + options + [path])
    let symbols = text.split(separator: "\n").compactMap { line -> Symbol? in
      let words = line.split(separator: " ", maxSplits: 3)
      guard words.count == 4, let from = UInt64(words[0], radix: 16), let size = UInt64(words[1], radix: 16) else {
        return nil
      }
      return Symbol(span: from..<from + max(size, 1), name: String(words[3]))
    }
    tables[path] = symbols
    return symbols
  }

  private func demangled(_ name: String) -> String {
    guard name.hasPrefix("$s") else { return name }
    if let known = readable[name] { return known }
    let text = Self.output(["swift", "demangle", "--compact", "--simplified", name])
    let plain = text.split(separator: "\n").first.map(String.init) ?? name
    readable[name] = plain
    return plain
  }

  private static func output(_ words: [String]) -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = words
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "" }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }
}
