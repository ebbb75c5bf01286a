internal import Control
internal import DataPlane
internal import Wire

/// Opens captured packets with a keys file: no identity, both directions of connections, no `policy-inner`.
struct InspectOpener {
  private let opener: PacketOpener

  /// - Throws: everything that is wrong with the file, as sentences.
  init(keysFile path: String) throws {
    // Without a time: expired keys are what old captures need.
    opener = try PacketOpener(groups: try KeysFile.load(path, at: nil).groups)
  }

  /// - Parameters:
  ///   - packet: the octets of `found` in its frame; opened in place.
  ///   - time: the clock in Unix seconds; nil accepts every epoch.
  func open(_ packet: UnsafeMutableRawBufferPointer, _ found: ProtectedPacket, time: UInt64?) -> Verdict {
    switch opener.open(
      packet, overUDP: found.overUDP, source: found.source, sourceIsMapped: found.sourceIsMapped, time: time)
    {
    case .drop(let reason): .drop(reason)
    case .open(let header): .open(header)
    }
  }
}
