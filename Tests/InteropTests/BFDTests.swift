import Foundation
import Support
import Testing

/// Members of a pool and the routers that watch them: BIRD, FRR, a Linux neighbour's caches. `Tests/Interop/bfd.py`.
@Suite(.serialized) struct BFDTests {
  /// KILLS in the environment makes it longer. The bound is wider than what is promised (500 ms), so that a busy machine does
  /// not decide; the figures are printed.
  @Test(arguments: ["router", "reload", "shared", "frr"])
  func watched(name: String) throws {
    let kills = ProcessInfo.processInfo.environment["KILLS"].flatMap { Int($0) } ?? 4
    try playScript(
      "bfd", [name, "--kills", "\(kills)", "--most", "3000"], timeout: .seconds(180 + 10 * kills))
  }
}
