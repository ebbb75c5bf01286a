import Rotation
import Testing

/// In every run within the limits a sender in contact uses no generation that an authorized receiver in contact cannot
/// open, no number has two keys, and from wherever a run ends everybody comes together.
///
/// What the search showed besides: the gate would be as safe without the PROMOTE acknowledgements, since a member takes
/// whole states over, and who acknowledges STAGE g+1 has taken PROMOTE g. It asks for both, as the rules do.
@Suite(.serialized) struct RotationModelTests {
  typealias Limits = RotationModel.Limits

  /// All states of two members and three generations: the fewest in which one is erased that was sealed with.
  @Test func everyState() {
    let outcome = RotationModel(Limits()).search()
    check("every state", outcome)
    #expect(outcome.isComplete)
    #expect(outcome.highest == 3)
    #expect(outcome.states > 1_000_000)
  }

  static let others: [(name: String, limits: Limits)] = [
    ("messages out of order", Limits(messages: 2)),
    ("an old sealed file, or none", Limits(rollbacks: 1)),
    ("a member enrolled, one removed", Limits(removals: 1, enrolled: 1)),
    ("a revocation", Limits(generations: 4, revocations: 1)),
    ("keys made and not committed, acknowledgements lost", Limits(attempts: 1, losesAcknowledgements: true)),
    ("three members", Limits(members: 3, enrolled: 3)),
  ]

  /// The states that come first, in the order of their distance from the start.
  @Test(arguments: others.indices)
  func nearStates(number: Int) {
    var (name, limits) = Self.others[number]
    limits.states = 800_000
    check(name, RotationModel(limits).search())
  }

  /// And random runs through everything at once.
  @Test func farStates() {
    let limits = Limits(
      members: 3, generations: 7, messages: 2, revocations: 2, rollbacks: 2, removals: 1, enrolled: 2, attempts: 1,
      losesAcknowledgements: true)
    let outcome = RotationModel(limits).walk(seed: 1, runs: 1500, length: 1000)
    check("random runs", outcome)
    #expect(outcome.highest >= 5)
  }

  private func check(_ name: String, _ outcome: RotationModel.Outcome) {
    if let (what, trace) = outcome.violation { Issue.record("\(name): \(what):\n\(trace.joined(separator: "\n"))") }
    #expect(outcome.stuck.isEmpty, "\(name): \(outcome.stuck.prefix(3).joined(separator: "\n"))")
    #expect(outcome.endings > 10)
    print("\(name): \(outcome.states) states, \(outcome.transitions) transitions, \(outcome.endings) endings")
  }

  /// The search sees each of these faults: else what it does not see would prove nothing.
  @Test(arguments: RotationModel.Mutation.allCases)
  func faultsAreFound(mutation: RotationModel.Mutation) {
    let outcome = RotationModel(Limits(), mutation: mutation).search()
    #expect(outcome.violation != nil, "\(mutation)")
  }
}
