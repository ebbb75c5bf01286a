import Glibc

/// The file that host A downloads: lines that a search finds, between random octets that nothing compresses.
enum DemoFile {
  static let size = 100_000_000
  static let name = "clear-text.bin"
  static let served = "\(Lab.directory)/www/\(name)"
  static let line = "This line of the file is clear text; on the fabric nobody may read it.\n"
  private static let blockSize = 4096

  /// Writes it; blocks of 4 KiB that each begin with the line.
  static func write(to path: String) throws(LabError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard descriptor >= 0 else { throw .failed("cannot write \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var state = UInt64.random(in: 0...UInt64.max)
    let line = Array(line.utf8)
    var chunk = [UInt64](repeating: 0, count: 256 * blockSize / 8)
    var left = size
    while left > 0 {
      for index in chunk.indices {
        // SplitMix64: quick, and random enough that no compression hides it.
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        chunk[index] = mixed ^ (mixed >> 31)
      }
      let count = chunk.withUnsafeMutableBytes { octets in
        for block in stride(from: 0, to: octets.count, by: blockSize) {
          UnsafeMutableRawBufferPointer(rebasing: octets[block..<(block + line.count)]).copyBytes(from: line)
        }
        return Glibc.write(descriptor, octets.baseAddress, min(left, octets.count))
      }
      guard count > 0 else { throw .failed("cannot write \(path): \(String(cString: strerror(errno)))") }
      left -= count
    }
  }
}
