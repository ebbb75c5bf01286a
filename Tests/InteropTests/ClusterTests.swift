import Foundation
import Support
import Testing

/// Controllers as processes, with members that are a foreign implementation (Tests/Interop).
@Suite(.serialized) struct ClusterTests {
  /// SECONDS in the environment makes it longer, SEED another one.
  @Test func nodesAreKilledDuringRotations() throws {
    let environment = ProcessInfo.processInfo.environment
    let seconds = environment["SECONDS"].flatMap { Int($0) } ?? 40
    try run(
      "cluster.py", [], ["SECONDS": "\(seconds)", "SEED": environment["SEED"] ?? "1"], seconds: 240 + 2 * seconds)
  }

  /// MEMBERS in the environment: 10000 needs 11,000 descriptors and a few minutes.
  @Test func aThousandMembers() throws {
    let members = ProcessInfo.processInfo.environment["MEMBERS"].flatMap { Int($0) } ?? 1000
    let output = try run("scale.py", ["\(members)"], [:], seconds: 300 + members / 10)
    print(output)
  }

  @discardableResult
  private func run(
    _ script: String, _ arguments: [String], _ environment: [String: String], seconds: Int
  ) throws -> String {
    try Program.withTemporaryDirectory { directory in
      let path = Program.repository.appending(path: "Tests/Interop/\(script)").path
      let result = try Program.run(
        Program.python, ["-B", path, Program.keyweave, directory.path] + arguments, environment: environment,
        timeout: .seconds(seconds))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      return result.output
    }
  }
}
