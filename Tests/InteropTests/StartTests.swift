import Foundation
import Support
import Testing

/// How gateways and controllers start.
@Suite struct StartTests {
  /// A function that is bound later, at its first call, has registers saved on the stack, with what they hold of a key.
  @Test(arguments: ["run", "controller"])
  func everyFunctionIsBoundBeforeKeysAreRead(_ command: String) throws {
    try Program.withTemporaryDirectory { directory in
      // No configuration: it is read as early as that.
      let arguments = [command, "--config", directory.appending(path: "none.yaml").path]
      let environment = ["LD_BIND_NOW": "", "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": directory.path + "/loader"]
      #expect(try Program.run(Program.keyweave, arguments, environment: environment).status == 1)
      let log = try #require(FileManager.default.contentsOfDirectory(atPath: directory.path).first)
      let starts = try String(contentsOf: directory.appending(path: log), encoding: .utf8)
        .components(separatedBy: "transferring control").map { $0.contains("binding file") }
      // Lazily, so that this can fail; then once more with all of them before `main`, and none after it.
      #expect(starts == [true, true, false])
    }
  }

  @Test func framesCountWhereTheyCameIn() throws { try playScript("start", timeout: .seconds(120)) }
}
