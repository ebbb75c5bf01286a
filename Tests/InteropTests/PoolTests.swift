import Foundation
import Support
import Testing

/// A pool of members behind routers that spread packets over them, an outside client, and what memory holds of a connection.
@Suite(.serialized) struct PoolTests {
  private func run(_ script: String, _ arguments: String...) throws {
    try Program.withTemporaryDirectory { directory in
      let path = Program.repository.appending(path: "Tests/Interop/\(script).py").path
      let result = try Program.run(
        Program.python, ["-B", path, Program.keyweave, directory.path] + arguments, timeout: .seconds(300))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      print(result.output)
    }
  }

  /// Epochs' ends, a rotation, a dead member, removal, and no key of what is over. Without skipped time: `--real-time`.
  @Test func anOutsideClient() throws { try run("client") }

  /// A member killed every ten seconds; ten minutes of it: `pool.py KEYWEAVE DIRECTORY --minutes 10`.
  @Test func membersAreKilled() throws { try run("pool", "--seconds", "40") }

  /// One that is stopped tells the routers first, and nothing is lost.
  @Test func membersAreStopped() throws { try run("pool", "--stop", "--seconds", "21", "--every", "7") }

  /// 200,000 connections through one member; ten million: `ids.py KEYWEAVE DIRECTORY --ids 10000000`.
  @Test func memoryDoesNotDependOnConnections() throws { try run("ids") }
}
