import Testing
import Wire

@Suite struct DropReasonTests {
  @Test func normativeNames() {
    let names = [
      "keepalive", "malformed", "version", "variant", "unknown-key", "epoch", "policy-offset", "replay-late",
      "replay-duplicate", "authentication", "malformed-inner", "dummy", "policy-inner", "counter-exhausted",
    ]
    #expect(DropReason.allCases.prefix(names.count).map(\.name) == names)
  }

  @Test func indexesCounters() {
    #expect(DropReason.allCases.map { Int($0.rawValue) } == Array(0..<DropReason.count))
  }

  @Test func texts() {
    #expect(Set(DropReason.allCases.map(\.name)).count == DropReason.count)
    for reason in DropReason.allCases {
      #expect(reason.name.allSatisfy { $0.isLowercase || $0 == "-" })
      #expect(reason.explanation.hasSuffix(".") && reason.explanation.first?.isUppercase == true)
    }
    #expect(DropReason.allCases.filter { !$0.isError } == [.keepalive, .dummy, .handled, .reassembled])
  }
}
