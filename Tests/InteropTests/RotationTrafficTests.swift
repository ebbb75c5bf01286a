import Foundation
import Support
import Testing

/// Three controllers and two gateways with key agents in namespaces: rotations under traffic, kills, and what memory holds.
@Suite(.serialized) struct RotationTrafficTests {
  /// A level a second, taken over late. Ten minutes of it: `rotation.py KEYWEAVE DIRECTORY steady --minutes 10`.
  @Test(arguments: ["steady", "killed", "offline", "revoked"])
  func traffic(name: String) throws { try playScript("rotation", [name, "--seconds", "30"]) }

  @Test func nothingErasedIsInMemory() throws { try playScript("memory") }
}
