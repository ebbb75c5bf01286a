/// Explicit congestion notification, the two lowest bits of the traffic class (RFC 3168), through a tunnel (RFC 6040).
@usableFromInline
package enum ECN: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  case notCapable = 0
  case capable1 = 1
  case capable0 = 2
  case congested = 3

  @inlinable package init(trafficClass: UInt8) {
    switch trafficClass & 3 {
    case 0: self = .notCapable
    case 1: self = .capable1
    case 2: self = .capable0
    default: self = .congested
    }
  }

  /// The inner field after the tunnel, RFC 6040, figure 4; nothing when the packet must be dropped: congestion marked on a
  /// packet whose ends do not take marks. On the way into the tunnel the outer field is a copy of the inner one.
  @inlinable package static func leavingTunnel(inner: ECN, outer: ECN) -> ECN? {
    switch (inner, outer) {
    case (.notCapable, .congested): nil
    case (.capable0, .capable1): .capable1
    case (.capable0, .congested), (.capable1, .congested): .congested
    default: inner
    }
  }
}
