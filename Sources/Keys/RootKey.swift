internal import Wire

/// The level of a root key: the type number of its master key option (wire format, section 1).
package enum RootKeyLevel: UInt8, CaseIterable, Comparable, Sendable, CustomStringConvertible {
  case trustRegion = 1
  case userGroup = 2
  case taskGroup = 3

  package var description: String {
    switch self {
    case .trustRegion: "trust-region"
    case .userGroup: "user-group"
    case .taskGroup: "task-group"
    }
  }

  package init?(_ text: some StringProtocol) {
    guard let level = Self.allCases.first(where: { $0.description == text }) else { return nil }
    self = level
  }

  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// One generation of a root key; the control plane counts them in 64 bits, packets carry the number mod 256 or mod 4.
package struct Generation: Sendable, Equatable {
  package var index: UInt64
  package var key: SecretKey

  package init(index: UInt64, key: SecretKey) {
    self.index = index
    self.key = key
  }
}

/// A root key with up to three generations: a sender uses `current`, a receiver accepts all (wire format, section 2).
package struct RootKey: Sendable {
  package var level: RootKeyLevel
  /// 16, 20, 24, 28 or 32 random octets.
  package var id: [UInt8]
  package var previous: Generation?
  package var current: Generation
  package var next: Generation?

  package init(
    level: RootKeyLevel, id: [UInt8], previous: Generation? = nil, current: Generation, next: Generation? = nil
  ) {
    self.level = level
    self.id = id
    self.previous = previous
    self.current = current
    self.next = next
  }

  package static let idLengths: [Int] = [16, 20, 24, 28, 32]

  /// The generations that are there, oldest first.
  package var generations: [Generation] { [previous, current, next].compactMap(\.self) }

  /// The key after one rotation: next becomes current, current previous, and the old previous goes.
  ///
  /// - Returns: nil when there is no next generation to use, or no number left for the new one.
  package func rotated(newNext key: SecretKey) -> RootKey? {
    guard let next, next.index < UInt64.max else { return nil }
    return RootKey(
      level: level, id: id, previous: current, current: next, next: Generation(index: next.index + 1, key: key))
  }

  static let longestOption = MasterKeyOption.prefixLength + 32

  /// Writes the master key option that names a generation of this key, at most `longestOption` octets.
  ///
  /// - Returns: the octets written.
  func writeOption(index: UInt64, to place: UnsafeMutableRawPointer) -> Int {
    var octets = MutableRawSpan(_unsafeStart: place, byteCount: Self.longestOption)
    let index = UInt8(truncatingIfNeeded: index)
    return MasterKeyOption.write(level: level.rawValue, index: index, id: id.span.bytes, into: &octets, at: 0) ?? 0
  }
}
