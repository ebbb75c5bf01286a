internal import CPcap
internal import Glibc

/// Reads a pcap or pcapng file of either byte order, record by record.
struct CaptureReader: ~Copyable {
  /// What comes next in a file.
  enum Next {
    case packet(CaptureRecord)
    case end
    /// The file breaks off or is damaged here; the reason in libpcap's words.
    case cut(String)
  }

  let linkType: LinkType
  /// Nil when the file is cut within its own header: no packet can be read, but it is a capture.
  private let handle: OpaquePointer?
  private let cutHeader: String

  /// - Parameter path: a file, or "-" for standard input.
  init(path: String) throws(CaptureError) {
    (handle, linkType, cutHeader) = try Self.open(path)
  }

  private static func open(_ path: String) throws(CaptureError) -> (OpaquePointer?, LinkType, String) {
    guard let file = path == "-" ? fdopen(STDIN_FILENO, "r") : fopen(path, "r") else {
      throw .unreadable(path: path, why: String(cString: strerror(errno)))
    }
    var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    guard let handle = pcap_fopen_offline_with_tstamp_precision(file, UInt32(PCAP_TSTAMP_PRECISION_NANO), &message)
    else {
      fclose(file)
      let why = text(message)
      guard isCut(why) else { throw .notACapture(path: path, why: why) }
      return (nil, .ethernet, why)
    }
    let link = pcap_datalink(handle)
    switch link {
    case DLT_EN10MB: return (handle, .ethernet, "")
    case DLT_RAW, DLT_IPV4, DLT_IPV6: return (handle, .raw, "")
    default:
      pcap_close(handle)
      throw .linkType(path: path, name: pcap_datalink_val_to_name(link).map { String(cString: $0) } ?? String(link))
    }
  }

  deinit {
    if let handle { pcap_close(handle) }
  }

  mutating func next() -> Next {
    guard let handle else { return .cut(cutHeader) }
    var header: UnsafeMutablePointer<pcap_pkthdr>?
    var octets: UnsafePointer<UInt8>?
    switch pcap_next_ex(handle, &header, &octets) {
    case 1: break
    case PCAP_ERROR_BREAK: return .end
    default: return .cut(String(cString: pcap_geterr(handle)))
    }
    guard let header = header?.pointee, let octets else { return .end }
    return .packet(
      CaptureRecord(
        seconds: Self.seconds(header.ts.tv_sec),
        nanoseconds: UInt32(truncatingIfNeeded: header.ts.tv_usec),
        octets: Array(UnsafeBufferPointer(start: octets, count: Int(header.caplen))),
        originalLength: Int(header.len)))
  }

  /// libpcap reads the 32-bit time of a pcap file as signed; in the format it is not, and so lasts until 2106.
  private static func seconds(_ time: Int) -> UInt64 {
    time < 0 ? UInt64(UInt32(truncatingIfNeeded: time)) : UInt64(time)
  }

  /// libpcap tells a file that ends early only by its message; one without an interface yet ends before its first packet.
  private static func isCut(_ message: String) -> Bool {
    message.contains("truncated") || message.contains("no Interface Description Blocks")
  }

  private static func text(_ message: [CChar]) -> String {
    String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
