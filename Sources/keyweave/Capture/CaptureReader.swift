/// Reads a capture packet by packet: pcap or pcapng, in either byte order.
///
/// Not through libpcap, which gives up on a pcapng file whose interfaces differ, and on any with two of link type RAW.
struct CaptureReader {
  private let file: CaptureFile
  private var format: Format

  private enum Format {
    case pcap(Pcap)
    case pcapng(Pcapng)
    /// The file ends within its first header, but could have become a capture.
    case cut(CaptureDamage)
  }

  /// - Parameter path: a file, or "-" for standard input.
  init(path: String) throws(CaptureError) {
    file = try CaptureFile(path: path)
    format = try Self.format(of: file, path)
  }

  /// What the file's first octets say that it is.
  private static func format(of file: CaptureFile, _ path: String) throws(CaptureError) -> Format {
    let found: Format?
    do { found = try format(of: file) } catch { found = .cut(error) }
    guard let found else { throw .notACapture(path: path) }
    return found
  }

  private static func format(of file: CaptureFile) throws(CaptureDamage) -> Format? {
    let magic = try file.read(4)
    if magic.count < 4 {
      guard (Pcap.magics + [Pcapng.magic]).contains(where: { $0.starts(with: magic) }) else { return nil }
      throw CaptureDamage(description: "the file ends after \(magic.count) octets")
    }
    if magic == Pcapng.magic { return .pcapng(try Pcapng(file)) }
    return try Pcap(magic, file).map { .pcap($0) }
  }

  /// The next packet; nothing at the end of the file.
  mutating func next() throws(CaptureDamage) -> CaptureRecord? {
    switch format {
    case .pcap(let pcap):
      return try pcap.next(file)
    case .pcapng(var pcapng):
      defer { format = .pcapng(pcapng) }
      return try pcapng.next(file)
    case .cut(let damage):
      throw damage
    }
  }
}
