import Foundation
import Support
import Testing

/// Plays Tests/Interop/NAME.py, which is given the program, a directory of its own and then the arguments, and must succeed.
/// What it printed is shown.
func playScript(
  _ name: String, _ arguments: [String] = [], environment: [String: String] = [:], timeout: Duration = .seconds(180),
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  try Program.withTemporaryDirectory { directory in
    let script = Program.repository.appending(path: "Tests/Interop/\(name).py").path
    let result = try Program.run(
      Program.python, ["-B", script, Program.keyweave, directory.path] + arguments, environment: environment,
      timeout: timeout)
    #expect(result.status == 0, "\(result.output)\(result.errors)", sourceLocation: sourceLocation)
    print(result.output)
  }
}
