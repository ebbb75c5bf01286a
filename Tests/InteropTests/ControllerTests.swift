import Foundation
import Support
import Testing

/// A running controller and foreign programs.
@Suite struct ControllerTests {
  private func script(_ name: String, _ environment: [String: String], timeout: Duration) throws {
    try Program.withTemporaryDirectory { directory in
      let script = Program.repository.appending(path: "Tests/Interop/\(name)").path
      let result = try Program.run(
        Program.python, ["-B", script, Program.keyweave, directory.path], environment: environment, timeout: timeout)
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      print(result.output)
    }
  }

  /// Its contract, who is refused, abuse, kills, and three that hold a level each; KILLS sets how often it is killed.
  @Test func servesMembersAndNobodyElse() throws {
    let kills = ProcessInfo.processInfo.environment["KILLS"].flatMap { Int($0) } ?? 50
    try script("controller.py", ["KILLS": "\(kills)"], timeout: .seconds(300 + 4 * kills))
  }

  /// MEMBERS in the environment makes it larger; the descriptors must suffice.
  @Test func aRotationReachesAThousandMembersWithinASecond() throws {
    let members = ProcessInfo.processInfo.environment["MEMBERS"] ?? "1000"
    try script("controller_scale.py", ["MEMBERS": members], timeout: .seconds(600))
  }
}
