/// How far one member has come with one root key, as its controller knows it.
package struct MemberProgress: Equatable, Sendable {
  package var member: String
  /// Its lease lives, or ended less than the settling time ago, and it has been answered under it (`isConnected`).
  package var isConnected: Bool
  /// The newest generations whose STAGE and PROMOTE it acknowledged; 0: none.
  package var staged: UInt64
  package var promoted: UInt64
  /// When it last acknowledged something new, in milliseconds since 1970, by the clock of the node that judges: a node
  /// that starts or takes over counts from then, since it neither knows how long ago it was nor shares the other's clock.
  package var acknowledgedAt: Int64

  package init(member: String, isConnected: Bool, staged: UInt64 = 0, promoted: UInt64 = 0, acknowledgedAt: Int64 = 0) {
    self.member = member
    self.isConnected = isConnected
    self.staged = staged
    self.promoted = promoted
    self.acknowledgedAt = acknowledgedAt
  }

  /// Whether a promotion waits for a member. What it sealed until its lease ended is still on its way for the settling
  /// time. A new lease within that time keeps `wasAnswered`, and a controller that starts takes every lease that lives as
  /// answered: it does not remember whom it answered, and who was answered may seal with any generation.
  package static func isConnected(leaseEnds: Int64, wasAnswered: Bool, at time: Int64) -> Bool {
    wasAnswered && time < leaseEnds + RotationState.settling
  }

  /// Takes what a poll says over, also when it is less than before: a state was set back, or polls came out of order, and
  /// what is not certain is waited for.
  package mutating func acknowledge(staged: UInt64, promoted: UInt64, at time: Int64) {
    guard staged != self.staged || promoted != self.promoted else { return }
    self.staged = staged
    self.promoted = promoted
    acknowledgedAt = time
  }
}

/// Why a staged generation may not become current yet.
package enum RotationObstacle: Equatable, Sendable {
  case nothingStaged
  /// Connected members that have not acknowledged a phase of a generation.
  case waitingFor(members: [String], phase: RotationPhase, generation: UInt64)
  /// Fewer of all members than configured have it.
  case share(acknowledged: Int, members: Int, needed: Int, missing: [String])
  /// Packets sealed under the old generation may still be on their way, or clients have not had their epoch; until
  /// then, in milliseconds since 1970.
  case notBefore(Int64)

  /// A person who forces a promotion may pass over it.
  package var canBeForced: Bool { self != .nothingStaged }
}

extension RotationState {
  /// What a member acknowledges that has come to the end of what there is.
  package var acknowledgement: (staged: UInt64, promoted: UInt64) { (generations.last ?? 0, current ?? 0) }

  /// From the last acknowledgement to the promotion, in milliseconds: longer than any packet is under way.
  package static let settling: Int64 = 1000

  /// Everything that forbids promoting now; empty when it may be done.
  ///
  /// - Parameters:
  ///   - members: all that are authorized for this key.
  ///   - share: percent of all members, that must hold the staged generation; 0 to 100.
  ///   - stagedFor: milliseconds that a generation stays staged at least (one epoch period where clients exist).
  package func obstacles(
    at time: Int64, members: [MemberProgress], share: Int, stagedFor: Int64
  ) -> [RotationObstacle] {
    guard let next else { return [.nothingStaged] }
    var obstacles: [RotationObstacle] = []
    let connected = members.filter(\.isConnected)
    let unstaged = connected.filter { $0.staged < next }.map(\.member)
    if !unstaged.isEmpty { obstacles.append(.waitingFor(members: unstaged, phase: .stage, generation: next)) }
    if let current {
      let unpromoted = connected.filter { $0.promoted < current }.map(\.member)
      if !unpromoted.isEmpty {
        obstacles.append(.waitingFor(members: unpromoted, phase: .promote, generation: current))
      }
    }
    let missing = members.filter { $0.staged < next }.map(\.member)
    let needed = (share * members.count + 99) / 100
    if members.count - missing.count < needed {
      obstacles.append(
        .share(
          acknowledged: members.count - missing.count, members: members.count, needed: needed, missing: missing))
    }
    let settled = (connected.map(\.acknowledgedAt).max() ?? 0) + Self.settling
    let earliest = max(settled, (stagedAt ?? 0) + stagedFor)
    if time < earliest { obstacles.append(.notBefore(earliest)) }
    return obstacles
  }
}
