/// One packet of a capture file.
struct CaptureRecord {
  /// Capture time, whole seconds since 1970.
  var seconds: UInt64
  /// The rest of the capture time.
  var nanoseconds: UInt32
  var linkType: LinkType
  /// The packet's length on the wire, which may be more than was captured.
  var originalLength: Int
  /// The octets that the capture holds, from the link layer on.
  var octets: [UInt8]
}

/// What a captured packet begins with; the numbers are those of the files (www.tcpdump.org/linktypes.html).
enum LinkType: Hashable {
  case ethernet
  /// An IPv4 or IPv6 packet, told by its first four bits.
  case raw
  case other(UInt32)

  init(number: UInt32) {
    switch number {
    case 1: self = .ethernet
    // RAW; RAW as some programs wrote it before it had a number of its own; IPv4; IPv6.
    case 101, 12, 228, 229: self = .raw
    default: self = .other(number)
    }
  }
}
