import Foundation
import Support
import Testing

/// A pool of members behind routers that spread packets over them, an outside client, and what memory holds of a connection.
@Suite(.serialized) struct PoolTests {
  private func run(_ script: String, _ arguments: String...) throws {
    try playScript(script, arguments, timeout: .seconds(300))
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
