internal import Glibc

/// An open capture file, read once from its first octet to its last.
final class CaptureFile {
  /// Nothing in a capture is longer; a damaged length must not cost memory. Wireshark has the same limit.
  static let longest = 1 << 24

  private let stream: UnsafeMutablePointer<FILE>

  /// - Parameter path: a file, or "-" for standard input.
  init(path: String) throws(CaptureError) {
    stream = try Self.open(path)
  }

  private static func open(_ path: String) throws(CaptureError) -> UnsafeMutablePointer<FILE> {
    guard let stream = path == "-" ? fdopen(STDIN_FILENO, "r") : fopen(path, "r") else {
      throw .unreadable(path: path, why: String(cString: strerror(errno)))
    }
    // A directory opens well and fails when it is read.
    let first = getc(stream)
    guard first != EOF || ferror(stream) == 0 else {
      let why = String(cString: strerror(errno))
      fclose(stream)
      throw .unreadable(path: path, why: why)
    }
    if first != EOF { ungetc(first, stream) }
    return stream
  }

  deinit { fclose(stream) }

  /// The next `count` octets, fewer only at the end of the file.
  func read(_ count: Int) throws(CaptureDamage) -> [UInt8] {
    guard count <= Self.longest else {
      throw CaptureDamage(description: "a length of \(count) octets, more than any packet has")
    }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, read in
      read = fread(buffer.baseAddress, 1, count, stream)
    }
  }

  /// The next `count` octets.
  func readAll(_ count: Int) throws(CaptureDamage) -> [UInt8] {
    let octets = try read(count)
    guard octets.count == count else {
      throw CaptureDamage(description: "the file ends after \(octets.count) of \(count) octets")
    }
    return octets
  }

  /// The next `count` octets; nothing when the file ends before them.
  func readAllOrNone(_ count: Int) throws(CaptureDamage) -> [UInt8]? {
    let octets = try read(count)
    if octets.isEmpty { return nil }
    return octets + (try readAll(count - octets.count))
  }
}

/// Numbers in a file's byte order. The caller has checked the length.
struct FileOrder {
  var isBig: Bool

  func uint16(_ octets: some RandomAccessCollection<UInt8>, at offset: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: number(octets, at: offset, count: 2))
  }

  func uint32(_ octets: some RandomAccessCollection<UInt8>, at offset: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: number(octets, at: offset, count: 4))
  }

  func uint64(_ octets: some RandomAccessCollection<UInt8>, at offset: Int) -> UInt64 {
    number(octets, at: offset, count: 8)
  }

  private func number(_ octets: some RandomAccessCollection<UInt8>, at offset: Int, count: Int) -> UInt64 {
    let part = octets.dropFirst(offset).prefix(count)
    var number: UInt64 = 0
    if isBig {
      for octet in part { number = number << 8 | UInt64(octet) }
    } else {
      for octet in part.reversed() { number = number << 8 | UInt64(octet) }
    }
    return number
  }
}
