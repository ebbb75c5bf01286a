import Foundation
import Support
import Testing

/// No nonce twice, whatever happens to the process, its record, its clock and its machine (wire format, section 4).
@Suite struct CrashTests {
  /// KILLS in the environment makes it longer: 1000 take about 15 minutes.
  @Test func noNonceIsUsedTwice() throws {
    let kills = ProcessInfo.processInfo.environment["KILLS"].flatMap { Int($0) } ?? 110
    try playScript("crash_counter", environment: ["KILLS": "\(kills)"], timeout: .seconds(300 + 4 * kills))
  }
}
