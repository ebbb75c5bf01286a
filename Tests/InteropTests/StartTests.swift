import Foundation
import Support
import Testing

/// A gateway that starts under traffic.
@Suite struct StartTests {
  @Test func framesCountWhereTheyCameIn() throws {
    try Program.withTemporaryDirectory { directory in
      let script = Program.repository.appending(path: "Tests/Interop/start.py").path
      let result = try Program.run(
        Program.python, ["-B", script, Program.keyweave, directory.path], timeout: .seconds(120))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
    }
  }
}
