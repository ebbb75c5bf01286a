/// The generations of one root key at its controller, and the rules by which they change. No key octets: numbers only.
///
/// Steady: previous g-1, current g, next empty or g+1. `stage` makes g+1, `promote` makes it current and ends g-1,
/// `revoke` makes it current and ends g as well. Numbers count in 64 bits and are never used again; the packet carries
/// the low 8 (wire format, section 1).
package struct RotationState: Codable, Equatable, Sendable {
  package private(set) var previous: UInt64?
  /// Nothing after a revocation with nothing staged: members stop sending.
  package private(set) var current: UInt64?
  package private(set) var next: UInt64?
  /// The highest number ever made.
  package private(set) var newest: UInt64
  /// The lowest number that a member may still hold.
  package private(set) var floor: UInt64
  /// Milliseconds since 1970.
  package private(set) var stagedAt: Int64?
  package private(set) var promotedAt: Int64?

  /// A new root key: generation 1 is current.
  package init(createdAt time: Int64) {
    current = 1
    newest = 1
    floor = 1
    promotedAt = time
  }

  /// The generations that there are, oldest first.
  package var generations: [UInt64] { [previous, current, next].compactMap(\.self) }

  package func role(of generation: UInt64) -> GenerationRole? {
    switch generation {
    case previous: .previous
    case current: .current
    case next: .next
    default: nil
    }
  }

  /// The number of the next generation, whose key the caller makes; nil when one is staged already, or the numbers have
  /// come to their end.
  package mutating func stage(at time: Int64) -> UInt64? {
    guard next == nil, newest < UInt64.max else { return nil }
    newest += 1
    next = newest
    stagedAt = time
    return newest
  }

  /// Makes the staged generation current and keeps the one before; nothing when none is staged. Whether it may be done
  /// now is `obstacles`' to say.
  package mutating func promote(at time: Int64) -> Bool {
    guard let next else { return false }
    previous = current
    current = next
    self.next = nil
    floor = previous ?? next
    promotedAt = time
    return true
  }

  /// Ends the current generation and the one before at once; the staged one takes over, where there is one.
  package mutating func revoke(at time: Int64) {
    previous = nil
    current = next
    next = nil
    floor = current ?? newest + 1
    promotedAt = time
  }
}

extension RotationState {
  /// Lets go of the previous generation, whose life is over.
  package mutating func endPrevious() {
    guard previous != nil else { return }
    previous = nil
    floor = current ?? newest + 1
  }
}

package enum GenerationRole: String, Codable, Sendable, CaseIterable { case previous, current, next }

/// The two halves of a rotation that a member acknowledges.
package enum RotationPhase: String, Codable, Sendable, CaseIterable { case stage, promote }
