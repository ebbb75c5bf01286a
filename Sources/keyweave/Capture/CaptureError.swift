/// Why a capture could not be opened, as a sentence for the operator.
enum CaptureError: Error, Equatable, CustomStringConvertible {
  case unreadable(path: String, why: String)
  case notACapture(path: String)

  var description: String {
    switch self {
    case .unreadable(let path, let why):
      "\(path): \(why). Give the path of a capture file that you may read, or - for standard input."
    case .notACapture(let path):
      "\(path): not a capture; expected a pcap or pcapng file. If it is compressed, unpack it first."
    }
  }
}

/// Where a capture breaks off or is damaged, so that nothing after it can be read.
struct CaptureDamage: Error, Equatable, CustomStringConvertible {
  /// What was found there.
  var description: String
}
