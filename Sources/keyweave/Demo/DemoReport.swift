import DataPlane
import Foundation

/// One thing the demo tried: what was sent, what arrived, and whether that is right.
struct DemoCheck: Codable {
  var name: String
  var sent: String
  var arrived: String
  /// Throughput or round-trip time.
  var rate = ""
  var passed: Bool
  /// What a person needs when it failed: the command and its last lines.
  var account: String?
}

extension DemoCheck {
  /// What a program's run has shown.
  init(_ name: String, sent: String, arrived: String, rate: String = "", passed: Bool, _ finished: Finished) {
    self.init(
      name: name, sent: sent, arrived: arrived, rate: rate, passed: passed, account: passed ? nil : finished.account)
  }
}

/// One gateway's own counts at the end of a run.
struct DemoGatewayCounts: Codable {
  var gateway: String
  var totals: GatewayStatus.Totals
  var drops: [String: UInt64]
  var engine: String
  /// What it sealed and the other did not open, where there is one other: lost in a full ring on the way.
  var lost: UInt64?
  /// Killed under way: these are the counts it last told.
  var wasKilled = false
  var passed = false

  init(_ gateway: String, _ status: GatewayStatus) {
    self.gateway = gateway
    totals = status.totals
    drops = status.drops
    engine = status.engine
  }

  /// Each packet counted once, some opened, none refused.
  mutating func judge() {
    passed =
      (totals.balances || wasKilled) && totals.opened > 0 && drops["authentication"] == nil && drops["malformed"] == nil
  }

  /// The same, and no more opened than the other sealed.
  mutating func judge(other: DemoGatewayCounts) {
    lost = totals.sealed >= other.totals.opened ? totals.sealed - other.totals.opened : 0
    judge()
    passed = passed && totals.opened <= other.totals.sealed
  }

  enum CodingKeys: String, CodingKey {
    case gateway, totals, drops, engine, lost, passed
    case wasKilled = "was_killed"
  }
}

/// What a search of the captures for clear text found.
struct DemoSearch: Codable {
  var what: String
  var inFabric: Int
  var inClear: Int
  /// Nothing on the fabric; and something on the clear side, or the search itself would prove nothing.
  var passed: Bool { inFabric == 0 && inClear > 0 }

  enum CodingKeys: String, CodingKey {
    case what
    case inFabric = "in_fabric"
    case inClear = "in_clear"
  }
}

/// One run of a scenario.
struct DemoRun: Codable {
  var title: String
  var hostMTU: Int
  var fabricMTU: Int
  var checks: [DemoCheck] = []
  var gateways: [DemoGatewayCounts] = []
  /// What the counts mean.
  var notes: [String] = []
  var searches: [DemoSearch] = []
  /// The gateways' last lines, for a failure's report.
  var logs = ""
  /// Where the search must find what it looks for.
  var clearSide = "clear side"
  var fabric = "fabric"
  var fabricCaptureOctets = 0
  var clearCaptureOctets = 0

  init(title: String, sizes: LabSizes) {
    self.title = title
    hostMTU = sizes.host
    fabricMTU = sizes.fabric
  }

  enum CodingKeys: String, CodingKey {
    case title, checks, gateways, notes, searches, logs, fabric
    case hostMTU = "host_mtu"
    case fabricMTU = "fabric_mtu"
    case clearSide = "clear_side"
    case fabricCaptureOctets = "fabric_capture_octets"
    case clearCaptureOctets = "clear_capture_octets"
  }
}

extension DemoRun {
  /// Of everything that can fail.
  var verdicts: [Bool] { checks.map(\.passed) + gateways.map(\.passed) + searches.map(\.passed) }
}

/// Everything the demo found out.
struct DemoReport: Codable {
  let scenario: String
  var runs: [DemoRun] = []
  /// One captured packet, explained field by field.
  var packet: [String] = []
  var seconds = 0.0
  var verdict = "FAIL"

  init(scenario: String) { self.scenario = scenario }

  var passed: Bool {
    runs.contains { !$0.gateways.isEmpty } && runs.allSatisfy { run in run.verdicts.allSatisfy { $0 } }
  }
}
