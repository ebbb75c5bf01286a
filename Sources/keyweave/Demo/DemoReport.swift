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

/// One gateway's own counts at the end of a run.
struct DemoGatewayCounts: Codable {
  var gateway: String
  var totals: GatewayStatus.Totals
  var drops: [String: UInt64]
  var engine: String
  /// What it sealed and the other did not open: lost in a full ring on the way.
  var lost: UInt64 = 0
  var passed = false

  /// Each packet counted once, some opened, none refused, and no more opened than the other sealed.
  mutating func judge(other: DemoGatewayCounts) {
    lost = totals.sealed >= other.totals.opened ? totals.sealed - other.totals.opened : 0
    passed =
      totals.balances && totals.opened > 0 && totals.opened <= other.totals.sealed && drops["authentication"] == nil
      && drops["malformed"] == nil
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

/// One run of the demo: one MTU.
struct DemoRun: Codable {
  var title: String
  var hostMTU: Int
  var fabricMTU: Int
  var checks: [DemoCheck] = []
  var gateways: [DemoGatewayCounts] = []
  var searches: [DemoSearch] = []
  /// The gateways' last lines, for a failure's report.
  var logs = ""
  var fabricCaptureOctets = 0
  var clearCaptureOctets = 0

  enum CodingKeys: String, CodingKey {
    case title, checks, gateways, searches, logs
    case hostMTU = "host_mtu"
    case fabricMTU = "fabric_mtu"
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
  var runs: [DemoRun] = []
  /// One captured packet, explained field by field.
  var packet: [String] = []
  var seconds = 0.0
  var verdict = "FAIL"

  var passed: Bool {
    !runs.isEmpty
      && runs.allSatisfy { run in
        run.gateways.count == 2 && run.verdicts.allSatisfy { $0 }
      }
  }
}
