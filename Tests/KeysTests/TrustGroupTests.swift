import Keys
import Testing

@Suite struct TrustGroupTests {
  private func group(_ roots: [RootKey], name: String = "train") -> TrustGroup {
    TrustGroup(name: name, rootKeys: roots)
  }

  private func paths(_ groups: TrustGroup...) -> [String] { TrustGroup.problems(in: groups).map(\.path) }

  @Test func acceptsOneToThreeLevels() throws {
    let roots = [
      try rootKey(.trustRegion, 1, first: 10), try rootKey(.userGroup, 2, first: 20, idLength: 32),
      try rootKey(.taskGroup, 3, first: 36, idLength: 28),
    ]
    #expect(paths(group([roots[0]], name: "a"), group(Array(roots[0...1]), name: "b"), group(roots, name: "c")) == [])
  }

  @Test func refusesLimitsOutOfRange() throws {
    var one = group([try rootKey(.trustRegion, 1, first: 10)], name: "")
    one.epochPeriod = 59
    one.maxCOffset = 256
    one.maxIOffset = 16
    #expect(
      paths(one) == [
        "trust_groups[0].name", "trust_groups[0].epoch_period", "trust_groups[0].max_coffset",
        "trust_groups[0].max_ioffset",
      ])
    one.name = "x"
    one.epochPeriod = 1801
    one.maxCOffset = -1
    one.maxIOffset = -1
    #expect(paths(one).count == 3)
    one.epochPeriod = 1800
    one.maxCOffset = 255
    one.maxIOffset = 15
    #expect(paths(one) == [])
    #expect(paths(group([])) == ["trust_groups[0].root_keys"])
  }

  @Test func refusesTwoOfALevelAndOddIDs() throws {
    var root = try rootKey(.trustRegion, 1, first: 10)
    root.id = Array(repeating: 1, count: 18)
    #expect(paths(group([root])) == ["trust_groups[0].root_keys[0].id"])
    let twins = group([try rootKey(.userGroup, 1, first: 10), try rootKey(.userGroup, 2, first: 20)])
    #expect(paths(twins) == ["trust_groups[0].root_keys[1].level"])
  }

  @Test(arguments: [(6, 7, 9), (5, 7, 8), (7, 7, 8), (8, 7, 6), (6, 7, 7), (255, 0, 1), (6, 7, UInt64.max)])
  func refusesNumbersThatDoNotFollow(previous: UInt64, current: UInt64, next: UInt64) throws {
    let root = RootKey(
      level: .trustRegion, id: Array(repeating: 1, count: 16), previous: try generation(previous, 1),
      current: try generation(current, 2), next: try generation(next, 4))
    #expect(paths(group([root])).contains { $0.hasSuffix(".index") })
  }

  @Test func acceptsTheEndsOfTheNumbers() throws {
    var root = RootKey(
      level: .trustRegion, id: Array(repeating: 1, count: 16), previous: try generation(.max - 2, 1),
      current: try generation(.max - 1, 2), next: try generation(.max, 4))
    #expect(paths(group([root])) == [])
    #expect(root.rotated(newNext: try key(9)) == nil)
    root.previous = nil
    root.current.index = .max
    root.next?.index = 0
    #expect(paths(group([root])) == ["trust_groups[0].root_keys[0].next.index"])
    root.current.index = 0
    root.next = nil
    root.previous = try generation(.max, 1)
    #expect(paths(group([root])) == ["trust_groups[0].root_keys[0].previous.index"])
  }

  @Test func refusesEqualKeysOfWhateverLevelAndGeneration() throws {
    var root = try rootKey(.trustRegion, 1, first: 10)
    root.previous?.key = try key(12)
    #expect(paths(group([root])) == ["trust_groups[0].root_keys[0].next.key"])
    // 12 is the first level's next and the second level's previous: equal, and their XOR is zero.
    let two = group([try rootKey(.trustRegion, 1, first: 10), try rootKey(.userGroup, 2, first: 12)])
    #expect(paths(two) == ["trust_groups[0].root_keys[1].previous.key", "trust_groups[0].root_keys"])
  }

  @Test func refusesAnXOROfZero() throws {
    #expect(paths(group([try rootKey(.trustRegion, 1, first: 0)])) == ["trust_groups[0].root_keys"])
    // 1 ^ 2 ^ 3 with no two equal.
    let three = group([
      RootKey(level: .taskGroup, id: Array(repeating: 3, count: 16), current: try generation(1, 3)),
      RootKey(level: .trustRegion, id: Array(repeating: 1, count: 16), current: try generation(1, 1)),
      RootKey(level: .userGroup, id: Array(repeating: 2, count: 16), current: try generation(1, 2)),
    ])
    let problem = try #require(TrustGroup.problems(in: [three]).first)
    #expect(problem.path == "trust_groups[0].root_keys")
    #expect(problem.message.contains("trust-region 1, user-group 1, task-group 1"))
  }

  @Test func refusesGroupsThatCannotBeToldApart() throws {
    var one = group([try rootKey(.trustRegion, 1, first: 10), try rootKey(.userGroup, 2, first: 20)], name: "one")
    var two = group([try rootKey(.userGroup, 2, first: 33), try rootKey(.trustRegion, 1, first: 43)], name: "two")
    #expect(paths(one, two) == ["trust_groups[1].root_keys"])
    two.rootKeys[0].id[15] = 9
    #expect(paths(one, two) == [])
    one.isDefault = true
    two.isDefault = true
    two.name = "one"
    #expect(paths(one, two) == ["trust_groups[1].name", "trust_groups[1].default"])
  }

  @Test func reportsEverythingAtOnce() throws {
    var bad = group([], name: "")
    bad.epochPeriod = 0
    #expect(paths(bad, bad).count == 7)
  }

  @Test func rotates() throws {
    let root = try rootKey(.trustRegion, 1, first: 10)
    let rotated = try #require(root.rotated(newNext: try key(77)))
    #expect(rotated.generations.map(\.index) == [7, 8, 9])
    #expect(rotated.generations.map(\.key.copy[0]) == [11, 12, 77])
    #expect(paths(group([rotated])) == [])
    var withoutNext = root
    withoutNext.next = nil
    #expect(withoutNext.rotated(newNext: try key(77)) == nil)
  }

  @Test func aPeriodChangesOnlyWithANewGeneration() throws {
    let old = group([try rootKey(.trustRegion, 1, first: 10), try rootKey(.userGroup, 2, first: 20)])
    var new = old
    #expect(new.problems(replacing: old, at: "g").isEmpty)
    new.epochPeriod = 60
    #expect(new.problems(replacing: old, at: "g").map(\.path) == ["g.epoch_period"])
    new.rootKeys[1] = try #require(new.rootKeys[1].rotated(newNext: try key(77)))
    #expect(new.problems(replacing: old, at: "g").isEmpty)
  }
}
