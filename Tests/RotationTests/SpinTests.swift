import Foundation
import Support
import Testing

/// Tests/Interop/rotation.pml, the same protocol in another hand's checker.
@Suite(.serialized) struct SpinTests {
  /// The checker's report; the model is checked in a folder of its own, since SPIN leaves files.
  private func check(fault: Int) throws -> String {
    let model = Program.repository.appending(path: "Tests/Interop/rotation.pml").path
    let script = """
      set -e
      folder=$(mktemp -d)
      trap 'rm -rf "$folder"' EXIT
      cd "$folder"
      spin -a -DFAULT=\(fault) '\(model)' >spin.log 2>&1 || { cat spin.log; exit 1; }
      gcc -O2 -DSAFETY -DNOREDUCE -DMEMLIM=4000 -w -o pan pan.c
      ./pan -m1000000 -w24
      """
    let result = try Program.run("/bin/bash", ["-c", script], timeout: .seconds(180))
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(!result.output.contains("max search depth too small"))
    return result.output
  }

  @Test func noSenderIsAheadOfAReceiver() throws {
    let report = try check(fault: 0)
    #expect(report.contains("errors: 0"), "\(report)")
    #expect(report.contains("stored"))
  }

  @Test(arguments: 1...4)
  func faultsAreFound(fault: Int) throws {
    let report = try check(fault: fault)
    #expect(report.contains("errors: 1"), "\(report)")
    #expect(report.contains("assertion violated"))
  }
}
