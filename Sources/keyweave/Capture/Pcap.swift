/// The pcap file format (draft-ietf-opsawg-pcap).
struct Pcap {
  private let order: FileOrder
  private let linkType: LinkType
  private let fraction: UInt32
  /// Octets of record header.
  private let headerLength: Int

  private static let microseconds: [UInt8] = [0xA1, 0xB2, 0xC3, 0xD4]
  private static let nanoseconds: [UInt8] = [0xA1, 0xB2, 0x3C, 0x4D]
  /// An old patch of libpcap, whose record headers are 8 octets longer.
  private static let modified: [UInt8] = [0xA1, 0xB2, 0xCD, 0x34]

  /// In big-endian and little-endian files.
  static let magics = [microseconds, nanoseconds, modified].flatMap { [$0, $0.reversed()] }

  /// Reads the file header after its magic; nothing when the magic is another.
  init?(_ magic: [UInt8], _ file: CaptureFile) throws(CaptureDamage) {
    guard Self.magics.contains(magic) else { return nil }
    order = FileOrder(isBig: magic[0] == Self.microseconds[0])
    let written = order.isBig ? magic : magic.reversed()
    fraction = written == Self.nanoseconds ? 1 : 1000
    headerLength = written == Self.modified ? 24 : 16
    let header = try file.readAll(20)
    // The upper bits tell of frame check sequences, which lie behind the packet and do no harm.
    linkType = LinkType(number: order.uint32(header, at: 16) & 0xFFFF)
  }

  /// The next record; nothing at the end of the file.
  func next(_ file: CaptureFile) throws(CaptureDamage) -> CaptureRecord? {
    guard let header = try file.readAllOrNone(headerLength) else { return nil }
    return CaptureRecord(
      seconds: UInt64(order.uint32(header, at: 0)),
      nanoseconds: order.uint32(header, at: 4).multipliedReportingOverflow(by: fraction).partialValue,
      linkType: linkType,
      originalLength: Int(order.uint32(header, at: 12)),
      octets: try file.readAll(Int(order.uint32(header, at: 8))))
  }
}
