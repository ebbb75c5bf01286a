import Foundation
import Support
import Testing

/// Three controllers and two gateways with key agents in namespaces: rotations under traffic, kills, and what memory holds.
@Suite(.serialized) struct RotationTrafficTests {
  private func run(_ script: String, _ arguments: String...) throws {
    try Program.withTemporaryDirectory { directory in
      let path = Program.repository.appending(path: "Tests/Interop/\(script).py").path
      let result = try Program.run(
        Program.python, ["-B", path, Program.keyweave, directory.path] + arguments, timeout: .seconds(180))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      print(result.output)
    }
  }

  /// A level a second, taken over late. Ten minutes of it: `rotation.py KEYWEAVE DIRECTORY steady --minutes 10`.
  @Test(arguments: ["steady", "killed", "offline", "revoked"])
  func traffic(name: String) throws { try run("rotation", name, "--seconds", "30") }

  @Test func nothingErasedIsInMemory() throws { try run("memory") }
}
