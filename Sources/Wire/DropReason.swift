/// Why a packet was not passed on. One list gives the reason, its counter and the operator's sentence.
///
/// The names of the first group are normative (wire format, sections 1 to 6); the others are the gateway's own. One octet
/// wide, so that a verdict costs nothing to return, and dense from 0, so that it indexes the counters.
@usableFromInline
package enum DropReason: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  // Wire format, in the order of section 6.
  case keepalive
  case malformed
  case version
  case variant
  case unknownKey
  case epoch
  case policyOffset
  case replayLate
  case replayDuplicate
  case authentication
  case malformedInner
  case dummy
  case policyInner
  case counterExhausted

  // The gateway's own: taken in, not lost.
  case handled
  case reassembled

  // Frames and clear headers.
  case malformedFrame
  case checksum
  case vlan
  case etherType
  case notForUs

  // Forwarding.
  case noRoute
  /// What is `policy-inner` elsewhere, on the way from one trust group into another.
  case policyDomain
  case unprotected
  case hopLimit
  case tooBig
  case outerFragment
  case outerICMP
  case bfd
  case ownAddress
  case congestion
  case neighbourUnresolved

  // Resources and ports.
  case slowPathFull
  case transmitFull
  case portDown
  case noBuffer
  case stopping

  /// Indexes of counters run from 0 to this.
  @inlinable package static var count: Int { Int(DropReason.stopping.rawValue) + 1 }

  /// The name in counters, in `inspect` and in the documentation.
  package var name: String { text.name }

  /// What it means and what to do, in one sentence.
  package var explanation: String { text.explanation }

  /// False where nothing was lost that anyone wanted delivered: no cause for an alarm.
  package var isError: Bool {
    switch self {
    case .keepalive, .dummy, .handled, .reassembled: false
    default: true
    }
  }

  private var text: (name: String, explanation: String) {
    switch self {
    case .keepalive:
      ("keepalive", "A peer's one-octet NAT keep-alive; nothing to do.")
    case .malformed:
      (
        "malformed",
        "The security header contradicts itself or its packet is cut; look for a path that truncates, or another program on this UDP port."
      )
    case .version:
      (
        "version",
        "Not stateless EESP, version 15; find out who else sends to this UDP port or IP protocol, such as IKE or ESP."
      )
    case .variant:
      ("variant", "A variant that no version of the format has; the sender is newer, broken or an attacker.")
    case .unknownKey:
      (
        "unknown-key",
        "The packet names root keys, a generation or a direction that this gateway does not serve; compare the groups and generations of both sides with `keyweave status`."
      )
    case .epoch:
      (
        "epoch",
        "The sender's epoch is not this gateway's, the one before or the one after; compare both clocks and epoch periods, or someone replays old packets."
      )
    case .policyOffset:
      (
        "policy-offset",
        "The packet leaves more octets unencrypted or unprotected than its group accepts; lower the sender's offsets or raise the group's max_coffset or max_ioffset."
      )
    case .replayLate:
      (
        "replay-late",
        "Older than the replay window; widen the window if the path reorders, else someone replays packets."
      )
    case .replayDuplicate:
      ("replay-duplicate", "Seen before; the path duplicates packets or someone replays them.")
    case .authentication:
      (
        "authentication",
        "The tag does not verify: the packet was altered, or a root key of the same ID and generation has other octets on the other side."
      )
    case .malformedInner:
      ("malformed-inner", "The packet authenticated but holds no whole inner packet; the sender is broken.")
    case .dummy:
      ("dummy", "A peer's dummy packet, sent to hide the volume of traffic; nothing to do.")
    case .policyInner:
      (
        "policy-inner",
        "The opened packet's form, source or destination is not what its group may send here; check may_speak and forms, else a member of the group oversteps."
      )
    case .counterExhausted:
      (
        "counter-exhausted",
        "Sealing has stopped, as no unused counter is left in this epoch or the record cannot be made durable; check the disk and rights of the identity's record."
      )
    case .handled:
      ("handled", "Answered or used by the gateway itself: ARP, neighbour discovery, echo or BFD; nothing to do.")
    case .reassembled:
      ("reassembled", "A fragment that became part of a datagram, which is counted on its own; nothing to do.")
    case .malformedFrame:
      (
        "malformed-frame",
        "An Ethernet, IP or UDP header is cut or contradicts its packet; look at the link, its MTU and the sender."
      )
    case .checksum:
      (
        "checksum",
        "An IPv4 header checksum is wrong; look at the link or at checksum offload on the sending interface."
      )
    case .vlan:
      (
        "vlan",
        "A VLAN tag that the port is not configured for, or none where it is; check the port's vlan and the switch."
      )
    case .etherType:
      (
        "ether-type",
        "Neither IP nor ARP on a port that routes; use a port in ethernet mode if such frames are to be protected."
      )
    case .notForUs:
      (
        "not-for-us",
        "A frame for another MAC address, or a packet on a protected port for an address not ours; usual on a flooding switch, else check the peers' addresses."
      )
    case .noRoute:
      (
        "no-route",
        "No route matches the destination and unmatched traffic is dropped; add a route or correct the sender."
      )
    case .policyDomain:
      (
        "policy-domain",
        "An opened packet that leads back to the protected side, where no policy of `proxies` lets its group and its addresses pass; add one if it should, else look for the route that brings it here."
      )
    case .unprotected:
      (
        "unprotected",
        "Clear traffic came in at a protected port, where only an explicit bypass lets it pass; protect it at its origin or configure a bypass."
      )
    case .hopLimit:
      ("hop-limit", "The TTL or hop limit ran out; traceroute does this, else look for a routing loop.")
    case .tooBig:
      (
        "too-big",
        "The packet and its overhead do not fit the MTU; the source was told within the ICMP rate: if it does not react, ICMP is filtered or the MTU of the protected port should be raised."
      )
    case .outerFragment:
      (
        "outer-fragment",
        "A fragment of a protected packet that could not be reassembled: others were lost, overlapped or came too late, or the table is full; raise the MTU between the gateways."
      )
    case .outerICMP:
      (
        "outer-icmp",
        "An ICMP error about a protected packet, which anyone can forge and is therefore only counted; if it grows, check the path and the MTU between the gateways."
      )
    case .bfd:
      (
        "bfd",
        "A BFD packet of no configured session, or one that breaks the protocol's rules, as a TTL below 255 or a wrong checksum does; compare `bfd` here with the sender's configuration."
      )
    case .ownAddress:
      (
        "own-address",
        "A packet for one of the gateway's own addresses that is not an echo request; the gateway offers nothing there."
      )
    case .congestion:
      (
        "congestion",
        "Marked congested on the way although its inner packet does not take marks, so it is dropped as RFC 6040 says; relieve the path between the gateways."
      )
    case .neighbourUnresolved:
      (
        "neighbour-unresolved",
        "The next hop does not answer ARP or neighbour solicitations; check that it is up, its address and the VLAN."
      )
    case .slowPathFull:
      ("slow-path-full", "More packets for the gateway itself than it handles; look for an ARP or echo flood.")
    case .transmitFull:
      (
        "transmit-full",
        "The port took no more packets; it is slower than what comes in, so spread or limit the traffic."
      )
    case .portDown:
      ("port-down", "The port to send from has no link; check the cable, the switch or the interface's state.")
    case .noBuffer:
      ("no-buffer", "No packet buffer was free, or a packet had no room for its headers; give the gateway more memory.")
    case .stopping:
      ("stopping", "The gateway was told to stop and no longer forwards; nothing to do.")
    }
  }
}
