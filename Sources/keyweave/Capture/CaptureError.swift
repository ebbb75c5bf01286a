/// Why a capture could not be opened, as a sentence for the operator.
enum CaptureError: Error, Equatable, CustomStringConvertible {
  case unreadable(path: String, why: String)
  case notACapture(path: String, why: String)
  case linkType(path: String, name: String)

  var description: String {
    switch self {
    case .unreadable(let path, let why):
      "\(path): \(why). Give the path of a capture file that you may read, or - for standard input."
    case .notACapture(let path, let why):
      "\(path): not a capture that can be read (\(why)); expected pcap or pcapng. If it is compressed, unpack it first."
    case .linkType(let path, let name):
      "\(path): packets of link type \(name); expected Ethernet (1) or RAW (101). Capture on one interface, not on \"any\"."
    }
  }
}
