internal import Keys

/// What a configuration needs to know of a trust group, wherever its keys come from.
struct GroupShape: Equatable, Sendable {
  var name: String
  var isDefault: Bool
  var epochPeriod: Int
  var maxCOffset: Int
  var maxIOffset: Int
  /// Octets of each root key's ID, which options carry.
  var idLengths: [Int]
  /// For people.
  var rootKeys: [String]
}

extension GroupShape {
  init(_ group: TrustGroup) {
    self.init(
      name: group.name, isDefault: group.isDefault, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset,
      maxIOffset: group.maxIOffset, idLengths: group.rootKeys.map(\.id.count),
      rootKeys: group.orderedKeys.map { key in
        let numbers = key.generations.map { "\($0.index)" }.joined(separator: ", ")
        return "\(key.level) (generations \(numbers), current \(key.current.index))"
      })
  }

  /// Keyweave's controllers make IDs of 16 octets.
  init(_ group: Configuration.KeyAgent.Group) {
    self.init(
      name: group.name, isDefault: group.isDefault, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset,
      maxIOffset: group.maxIOffset, idLengths: group.rootKeys.map { _ in 16 },
      rootKeys: group.rootKeys.map(\.description))
  }
}
