extension TrustGroup {
  /// All reasons to refuse these groups together (wire format, section 2: "refused at installation, as a whole").
  package static func problems(in groups: [TrustGroup]) -> [KeyProblem] {
    var problems: [KeyProblem] = []
    for (index, group) in groups.enumerated() {
      let path = "trust_groups[\(index)]"
      problems += group.limitProblems(at: path) + group.rootKeyProblems(at: path) + group.secretProblems(at: path)
      for earlier in groups[..<index].indices {
        if groups[earlier].name == group.name {
          problems.append(
            .init(path: "\(path).name", message: "found \(group.name) again, expected a name of its own"))
        }
        if groups[earlier].isDefault, group.isDefault {
          problems.append(
            .init(path: "\(path).default", message: "found a second one after \(groups[earlier].name), expected one"))
        }
        if !group.rootKeys.isEmpty, groups[earlier].pairs == group.pairs {
          problems.append(
            .init(
              path: "\(path).root_keys",
              message: "found the same levels and IDs as in \(groups[earlier].name), expected a set of its own"))
        }
      }
    }
    return problems
  }

  /// What forbids replacing `old` by this group of the same pairs while the process runs (wire format, section 4).
  ///
  /// Two epoch numberings under one sealing key could meet in the same number.
  package func problems(replacing old: TrustGroup, at path: String) -> [KeyProblem] {
    guard epochPeriod != old.epochPeriod, pairs == old.pairs,
      zip(orderedKeys, old.orderedKeys).allSatisfy({ new, old in new.current.index <= old.current.index })
    else { return [] }
    return [
      .init(
        path: "\(path).epoch_period",
        message: "found \(epochPeriod) s instead of \(old.epochPeriod) s under the same current generations, "
          + "expected the change together with a new generation")
    ]
  }

  private struct Pair: Equatable {
    let level: RootKeyLevel
    let id: [UInt8]
  }

  private var pairs: [Pair] { orderedKeys.map { Pair(level: $0.level, id: $0.id) } }

  private func limitProblems(at path: String) -> [KeyProblem] {
    var problems: [KeyProblem] = []
    if name.isEmpty { problems.append(.init(path: "\(path).name", message: "found none, expected a name")) }
    func check(_ value: Int, _ field: String, _ range: ClosedRange<Int>, _ unit: String) {
      guard !range.contains(value) else { return }
      problems.append(
        .init(
          path: "\(path).\(field)",
          message: "found \(value), expected \(range.lowerBound) to \(range.upperBound) \(unit)"))
    }
    check(epochPeriod, "epoch_period", Self.epochPeriods, "seconds")
    check(maxCOffset, "max_coffset", Self.cOffsets, "units of 4 octets")
    check(maxIOffset, "max_ioffset", Self.iOffsets, "units of 4 octets")
    check(rootKeys.count, "root_keys", Self.rootKeyCounts, "root keys")
    return problems
  }

  private func rootKeyProblems(at path: String) -> [KeyProblem] {
    var problems: [KeyProblem] = []
    for (index, root) in rootKeys.enumerated() {
      let path = "\(path).root_keys[\(index)]"
      if rootKeys[..<index].contains(where: { $0.level == root.level }) {
        problems.append(.init(path: "\(path).level", message: "found \(root.level) again, expected one per level"))
      }
      if !RootKey.idLengths.contains(root.id.count) {
        problems.append(
          .init(
            path: "\(path).id", message: "found \(root.id.count) octets, expected 16, 20, 24, 28 or 32 random octets"))
      }
      // Subtracting on the side of the larger number cannot overflow, also at the ends of the 64 bits.
      if let previous = root.previous, root.current.index == 0 || previous.index != root.current.index - 1 {
        problems.append(
          .init(
            path: "\(path).previous.index",
            message: "found \(previous.index), expected the number before current's \(root.current.index)"))
      }
      if let next = root.next, next.index == 0 || next.index - 1 != root.current.index {
        problems.append(
          .init(
            path: "\(path).next.index",
            message: "found \(next.index), expected the number after current's \(root.current.index)"))
      }
    }
    return problems
  }

  /// Equal root keys, of whatever level and generation, and combinations whose XOR is zero.
  private func secretProblems(at path: String) -> [KeyProblem] {
    var problems: [KeyProblem] = []
    guard grant == nil else { return [] }
    var seen: [(path: String, key: SecretKey)] = []
    for (index, root) in rootKeys.enumerated() {
      let named = [("previous", root.previous), ("current", root.current), ("next", root.next)]
      for (name, generation) in named {
        guard let generation else { continue }
        let here = "\(path).root_keys[\(index)].\(name).key"
        if let twin = seen.first(where: { $0.key == generation.key }) {
          problems.append(.init(path: here, message: "found the key of \(twin.path) again, expected different keys"))
        }
        seen.append((here, generation.key))
      }
    }
    guard Self.rootKeyCounts.contains(rootKeys.count) else { return problems }
    for combination in combinations where Self.isZeroSum(combination) {
      let names = zip(orderedKeys, combination).map { "\($0.level) \($1.index)" }.joined(separator: ", ")
      problems.append(
        .init(path: "\(path).root_keys", message: "the XOR of \(names) is zero, expected independent random keys"))
    }
    return problems
  }

  /// Every accepted choice of one generation per root key, in the order of the master keys in a `KeyTable`: last level
  /// fastest.
  var combinations: [[Generation]] {
    orderedKeys.reduce([[]]) { partial, root in
      partial.flatMap { chosen in root.generations.map { chosen + [$0] } }
    }
  }

  private static func isZeroSum(_ generations: [Generation]) -> Bool {
    var sum: UInt8 = 0
    for position in 0..<SecretKey.size {
      sum |= generations.reduce(0) { octet, generation in octet ^ generation.key.withOctets { $0[position] } }
    }
    return sum == 0
  }
}
