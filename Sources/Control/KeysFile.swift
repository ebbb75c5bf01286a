internal import Foundation
package import Keys

/// A file of root keys: complete and accepted as a whole, or it does not exist.
package struct KeysFile: Sendable {
  package let path: String
  package let groups: [TrustGroup]
  package let warnings: [Warning]
  /// When each generation's use ends at the latest, in Unix seconds.
  let expiries: [Expiry]

  /// A generation lives less than 2^15 epoch periods from its creation to its erasure everywhere, or its epochs would
  /// come round again (wire format, section 4). The file says when that ends; a file that does not is counted from its
  /// own last change, which no generation in it can be younger than.
  struct Expiry: Sendable {
    var group: String
    var level: RootKeyLevel
    var index: UInt64
    var time: UInt64
    var path: String
  }

  static let lifetimeInPeriods: UInt64 = 1 << 15

  package enum Field: String, SectionField {
    case trustGroups = "trust_groups"
  }

  package enum GroupField: String, SectionField {
    case name
    case isDefault = "default"
    case epochPeriod = "epoch_period"
    case maxCOffset = "max_coffset"
    case maxIOffset = "max_ioffset"
    case rootKeys = "root_keys"
  }

  package enum RootKeyField: String, SectionField {
    case level, id, previous, current, next
  }

  package enum GenerationField: String, SectionField {
    case index, key, expires
  }

  /// The groups as they may be used at a time: without the generations that have expired, without the groups whose
  /// current generation has.
  package func groups(at time: UInt64) -> [TrustGroup] {
    let expired = expiries.filter { $0.time <= time }
    guard !expired.isEmpty else { return groups }
    return groups.compactMap { group in
      var group = group
      let gone = expired.filter { $0.group == group.name }
      for index in group.rootKeys.indices {
        let key = group.rootKeys[index]
        let numbers = gone.filter { $0.level == key.level }.map(\.index)
        if numbers.contains(key.current.index) { return nil }
        if let previous = key.previous, numbers.contains(previous.index) { group.rootKeys[index].previous = nil }
        if let next = key.next, numbers.contains(next.index) { group.rootKeys[index].next = nil }
      }
      return group
    }
  }

  /// The first time after `time`, in Unix seconds, at which `groups(at:)` changes.
  package func nextExpiry(after time: UInt64) -> UInt64? { expiries.map(\.time).filter { $0 > time }.min() }

  package var firstExpiry: UInt64? { nextExpiry(after: 0) }

  /// What forbids putting these keys in the place of `old` while the gateway runs.
  package func mistakes(replacing old: KeysFile) -> [Mistake] {
    groups.enumerated().flatMap { index, group in
      old.groups.flatMap { group.problems(replacing: $0, at: "trust_groups[\(index)]") }
    }.map { problem in
      let parts = Self.parts(of: problem)
      return Mistake(
        file: path, path: problem.path, line: 0, column: 0, found: parts.found, expected: parts.expected,
        fix: "add a new generation with the change, or restore the old value")
    }
  }

  /// A problem's sentence, "found X, expected Y", in its two halves.
  static func parts(of problem: KeyProblem) -> (found: String, expected: String) {
    let message = problem.message.hasPrefix("found ") ? String(problem.message.dropFirst(6)) : problem.message
    guard let comma = message.range(of: ", expected ") else {
      return (message, "keys as in the wire format, section 2")
    }
    return (String(message[..<comma.lowerBound]), String(message[comma.upperBound...]))
  }
}
