internal import Wire

/// The seam.
struct InspectOpener {
  init(keysFile: String) throws {}
  mutating func open(_ packet: UnsafeMutableRawBufferPointer, _ found: ProtectedPacket, time: UInt64?) -> Verdict {
    switch SecurityHeader.decode(
      UnsafeRawBufferPointer(packet).bytes, overUDP: found.overUDP, sourceIsMapped: found.sourceIsMapped)
    {
    case .drop(let reason): .drop(reason)
    case .header(let header): .open(header)
    }
  }
}
