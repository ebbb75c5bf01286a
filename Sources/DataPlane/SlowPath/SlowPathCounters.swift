/// What the slow path did, counted since it started. Packets it refuses are also in the drop reasons.
package struct SlowPathCounters: Hashable, Sendable {
  /// ARP and neighbour discovery frames handed over, of any kind.
  package var neighbourFrames: UInt64 = 0
  /// Of these: broken, or against the rules of RFC 826 and RFC 4861.
  package var neighbourFramesInvalid: UInt64 = 0
  /// Of these: right, but about nothing that concerns this gateway.
  package var neighbourFramesIgnored: UInt64 = 0
  /// Requests for an own address that were answered.
  package var solicitationsAnswered: UInt64 = 0
  /// Own requests, broadcast, multicast or unicast.
  package var solicitationsSent: UInt64 = 0
  /// Gratuitous ARP and unsolicited neighbour advertisements sent.
  package var announcementsSent: UInt64 = 0
  /// Another station claims one of the own addresses.
  package var addressConflicts: UInt64 = 0
  /// Neighbours that entered the table, from whatever evidence.
  package var neighboursLearned: UInt64 = 0
  /// Neighbours that were known and stopped answering.
  package var neighboursLost: UInt64 = 0
  /// Neighbours not taken in because their share of the table was full.
  package var neighboursRefused: UInt64 = 0
  /// Packets that waited for a neighbour, and what became of them.
  package var packetsHeld: UInt64 = 0
  package var packetsReleased: UInt64 = 0
  package var packetsUnresolved: UInt64 = 0
  package var echoAnswered: UInt64 = 0
  package var echoRateLimited: UInt64 = 0
  /// Time Exceeded messages sent, of both families.
  package var timeExceededSent: UInt64 = 0
  /// Fragmentation Needed and Packet Too Big messages sent.
  package var tooBigSent: UInt64 = 0
  /// ICMP errors not sent because RFC 1812, section 4.3.2.7, or RFC 4443, section 2.4, forbids them.
  package var errorsForbidden: UInt64 = 0
  package var errorsRateLimited: UInt64 = 0

  package init() {}
}
