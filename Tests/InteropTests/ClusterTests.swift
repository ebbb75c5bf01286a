import Foundation
import Support
import Testing

/// Controllers as processes, with members that are a foreign implementation (Tests/Interop).
@Suite(.serialized) struct ClusterTests {
  /// SECONDS in the environment makes it longer, SEED another one.
  @Test func nodesAreKilledDuringRotations() throws {
    let environment = ProcessInfo.processInfo.environment
    let seconds = environment["SECONDS"].flatMap { Int($0) } ?? 40
    try playScript(
      "cluster", environment: ["SECONDS": "\(seconds)", "SEED": environment["SEED"] ?? "1"],
      timeout: .seconds(240 + 2 * seconds))
  }

  /// MEMBERS in the environment: 10000 needs 11,000 descriptors and a few minutes.
  @Test func aThousandMembers() throws {
    let members = ProcessInfo.processInfo.environment["MEMBERS"].flatMap { Int($0) } ?? 1000
    try playScript("scale", ["\(members)"], timeout: .seconds(300 + members / 10))
  }
}
