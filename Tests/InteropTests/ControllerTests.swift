import Foundation
import Support
import Testing

/// A running controller and foreign programs.
@Suite struct ControllerTests {
  /// Its contract, who is refused, abuse, kills, and three that hold a level each; KILLS sets how often it is killed.
  @Test func servesMembersAndNobodyElse() throws {
    let kills = ProcessInfo.processInfo.environment["KILLS"].flatMap { Int($0) } ?? 50
    try playScript("controller", environment: ["KILLS": "\(kills)"], timeout: .seconds(300 + 4 * kills))
  }
}
