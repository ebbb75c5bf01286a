internal import Wire

/// What opening a protected packet came to.
enum Verdict {
  case drop(DropReason)
  /// The packet is now in clear, in place.
  case open(SecurityHeader)
}

/// What `inspect` found out about one captured packet.
enum Finding {
  /// Not a packet that a gateway would take for a protected one.
  case other
  case protected(ProtectedPacket, Verdict)
}
