import Foundation
import Support
import Testing

/// End to end, in network namespaces: the built `keyweave`, real hosts, real programs. One lab at a time, since each measures.
@Suite(.serialized) struct LabTests {
  private struct Report: Decodable {
    struct Check: Decodable {
      var name: String
      var sent: String
      var arrived: String
      var passed: Bool
      var account: String?
    }
    struct Gateway: Decodable {
      struct Totals: Decodable {
        var `in`: UInt64
        var out: UInt64
        var drops: UInt64
      }
      var gateway: String
      var totals: Totals
      var wasKilled: Bool
    }
    struct Search: Decodable {
      var what: String
      var inFabric: Int
      var inClear: Int
    }
    struct Run: Decodable {
      var checks: [Check]
      var gateways: [Gateway]
      var searches: [Search]
    }
    var scenario: String
    var verdict: String
    var seconds: Double
    var packet: [String]
    var runs: [Run]
  }

  /// Plays a scenario, which must pass, and gives its report.
  private func play(_ scenario: String, checks: Int) throws -> Report {
    let arguments = ["demo", "--json"] + (scenario == "basic" ? [] : ["--scenario", scenario])
    let result = try Program.run(Program.keyweave, arguments, timeout: .seconds(180))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let report = try decoder.decode(Report.self, from: Data(result.output.utf8))
    for check in report.runs.flatMap(\.checks) where !check.passed {
      Issue.record("\(check.name): \(check.sent), \(check.arrived); \(check.account ?? "")")
    }
    #expect(result.status == 0)
    #expect(report.scenario == scenario)
    #expect(report.verdict == "PASS")
    #expect(report.runs.flatMap(\.checks).count >= checks)
    for gateway in report.runs.flatMap(\.gateways) where !gateway.wasKilled {
      #expect(gateway.totals.in == gateway.totals.out + gateway.totals.drops)
    }
    #expect(report.runs.flatMap(\.searches).count >= 8)
    for search in report.runs.flatMap(\.searches) {
      #expect(search.inFabric == 0, "\(search.what)")
      #expect(search.inClear > 0, "\(search.what)")
    }
    return report
  }

  /// The main job, all runs; under a minute.
  @Test func demo() throws {
    let report = try play("basic", checks: 20)
    #expect(report.seconds < 60)
    #expect(report.runs.count == 3)
    let rotations = report.runs[2].checks.filter { $0.name.hasPrefix("rotate ") }
    #expect(rotations.count == 3, "every level rotates")
    #expect(report.packet.contains { $0.contains("verdict: open") })
  }

  /// One member dies under way, and every packet that is missing went to it.
  @Test(arguments: ["pool", "client"])
  func poolThatLosesAMember(scenario: String) throws {
    let report = try play(scenario, checks: 10)
    #expect(report.runs.count == 2)
    let gateways = report.runs.flatMap(\.gateways)
    #expect(gateways.count { $0.wasKilled } == 1)
    #expect(gateways.count { $0.gateway.hasPrefix("member-") } == (scenario == "pool" ? 4 : 3))
  }

  /// Three domains, each of which rotates by itself.
  @Test func proxies() throws {
    let report = try play("proxy", checks: 12)
    #expect(report.runs.flatMap(\.checks).count { $0.name.hasPrefix("rotate ") } == 3)
    #expect(report.runs.flatMap(\.gateways).count == 5)
  }

  /// Tests/Interop/NAME.py, each with two gateways of its own.
  @Test(arguments: ["reload", "peer", "port", "flood", "losses", "damage", "replay"])
  func script(name: String) throws {
    let script = Program.repository.appending(path: "Tests/Interop/\(name).py").path
    let result = try Program.run(Program.keyweave, ["lab", Program.python, script], timeout: .seconds(120))
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  /// `status` tells everything but keys; `doctor` finds the lab's ports in order.
  @Test func statusAndDoctor() throws {
    let script = """
      set -e
      $KEYWEAVE status --json --config $KEYWEAVE_LAB/gateway-a.yaml >$KEYWEAVE_LAB/status
      $KEYWEAVE status --socket $KEYWEAVE_LAB/gateway-a.sock >>$KEYWEAVE_LAB/status
      for key in $(sed -n 's/.*key: *"*\\([0-9a-f]\\{64\\}\\).*/\\1/p' $KEYWEAVE_LAB/keys.yaml); do
        ! grep -qi $key $KEYWEAVE_LAB/status || { echo "a key in the status"; exit 2; }
        echo looked-for-a-key
      done
      ip netns exec gateway-a $KEYWEAVE doctor --config $KEYWEAVE_LAB/gateway-a.yaml --json >$KEYWEAVE_LAB/doctor
      cat $KEYWEAVE_LAB/status
      """
    let result = try Program.run(Program.keyweave, ["lab", "bash", "-c", script])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.lines.count { $0 == "looked-for-a-key" } == 2)
    let json = try #require(result.lines.first { $0.hasPrefix("{") })
    let status = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(status["name"] as? String == "gateway-a")
    #expect((status["ports"] as? [Any])?.count == 2)
    let tables = result.lines.drop { !$0.contains("gateway-a  keyweave") }
    #expect(tables.count > 20)
    #expect(tables.allSatisfy { $0.count <= 100 }, "a line is wider than 100 columns")
  }

  /// Whoever ends the lab, nothing of it stays: Ctrl-C, and a kill that leaves no time to clean up.
  @Test(arguments: [SIGINT, SIGKILL])
  func nothingStays(signal: Int32) throws {
    let mark = UUID().uuidString
    let process = Process()
    process.executableURL = URL(filePath: Program.keyweave)
    process.arguments = ["lab", "sleep", "60"]
    process.environment = ProcessInfo.processInfo.environment.merging(["KEYWEAVE_TEST_MARK": mark]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    // The program of the lab runs when both gateways are up.
    try wait { Self.processes(marked: mark).contains { $0.hasPrefix("sleep") } }
    #expect(Self.processes(marked: mark).count >= 5)
    kill(process.processIdentifier, signal)
    try wait { Self.processes(marked: mark).isEmpty }
  }

  private func wait(until isSo: () -> Bool) throws {
    for _ in 0..<300 {
      if isSo() { return }
      Thread.sleep(forTimeInterval: 0.1)
    }
    Issue.record("not so within 30 s")
  }

  /// The command lines of all processes that have inherited the mark.
  private static func processes(marked mark: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.filter { Int32($0) != nil }.compactMap { pid in
      guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ"),
        environment.range(of: Data(mark.utf8)) != nil,
        let words = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"), !words.isEmpty
      else { return nil }
      return String(decoding: words, as: UTF8.self).replacing("\0", with: " ")
    }
  }
}
