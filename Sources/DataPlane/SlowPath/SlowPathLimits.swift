/// How much the slow path takes on.
package struct SlowPathLimits: Sendable {
  package var neighbours = NeighbourLimits()
  /// ICMP errors sent, in a second and at once (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4 (f)).
  package var errorRate: UInt32 = 100
  package var errorBurst: UInt32 = 50
  /// Echo replies sent, in a second and at once.
  package var echoRate: UInt32 = 1000
  package var echoBurst: UInt32 = 200

  package init() {}
}
