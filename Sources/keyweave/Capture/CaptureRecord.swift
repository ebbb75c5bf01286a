/// One packet of a capture file.
struct CaptureRecord {
  /// Capture time, whole seconds since 1970.
  var seconds: UInt64
  /// The rest of the capture time.
  var nanoseconds: UInt32
  /// The octets that the capture holds, from the link layer on.
  var octets: [UInt8]
  /// The packet's length on the wire, which may be more than was captured.
  var originalLength: Int
}

/// What a captured packet begins with.
enum LinkType: Equatable {
  case ethernet
  /// An IPv4 or IPv6 packet, told by its first four bits.
  case raw
}
