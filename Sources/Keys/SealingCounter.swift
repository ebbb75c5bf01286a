/// One lcore's counter: member (6 bits) | lcore (5) | sequence (37) (wire format, section 4).
///
/// A burst goes: `begin`, then for every packet the epoch from the board, then `next`. One count serves all trust groups; a
/// node may have another member number in each.
@usableFromInline package struct SealingCounter: @unchecked Sendable {
  package static let members = 0...63
  package static let lcores = 0...31
  @inlinable package static var sequenceBits: UInt64 { 37 }
  @inlinable package static var memberShift: UInt64 { 42 }
  @inlinable static var sequenceMask: UInt64 { 1 << sequenceBits - 1 }

  @usableFromInline let board: SealingBoard
  @usableFromInline let prefix: UInt64
  @usableFromInline let lcore: Int
  @usableFromInline var count: UInt64 = 0
  @usableFromInline var limit: UInt64 = 0

  /// - Parameter lcore: the node's number for a sealing lcore, not DPDK's; no two lcores of a node have the same.
  /// - Throws: for an lcore that its bits cannot hold: refused, never truncated.
  package init(lcore: Int, board: SealingBoard) throws(SealingNumberError) {
    guard Self.lcores.contains(lcore) else { throw .lcore(lcore) }
    self.board = board
    self.lcore = lcore
    prefix = UInt64(lcore) << Self.sequenceBits
  }

  /// - Throws: for a member number that its bits cannot hold.
  package static func check(member: Int) throws(SealingNumberError) {
    guard members.contains(member) else { throw .member(member) }
  }

  /// Takes the limit for a burst, and tells the control thread how far this lcore is.
  @inlinable package mutating func begin() {
    board.publish(count: count, lcore: lcore)
    limit = board.limit
  }

  /// The next packet's Counter field in the low 48 bits; nil is `counter-exhausted`. Lcore and sequence are never twice the
  /// same within one epoch, whatever the member.
  ///
  /// - Parameter member: checked before.
  @inlinable package mutating func next(member: UInt8) -> UInt64? {
    let floor = board.floor
    if count < floor { count = floor }
    guard count < limit else { return nil }
    let sequence = count & Self.sequenceMask
    count &+= 1
    return UInt64(member) << Self.memberShift | prefix | sequence
  }
}

/// A number that its field in the counter cannot hold.
package enum SealingNumberError: Error, Equatable, CustomStringConvertible {
  case member(Int)
  case lcore(Int)

  package var description: String {
    switch self {
    case .member(let found): "found member \(found), expected 0 to 63: give this gateway a number of its own"
    case .lcore(let found): "found sealing lcore \(found), expected 0 to 31: use at most 32 lcores"
    }
  }
}
