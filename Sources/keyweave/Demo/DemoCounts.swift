import DataPlane

/// What the gateways' own counts must say of each other.
enum DemoCounts {
  /// Each packet counted once, and nothing opened that the other side had not sealed.
  static func checks(_ gateways: [DemoGatewayCounts]) -> [DemoCheck] {
    var checks = gateways.map { counts in
      DemoCheck(
        name: "\(counts.gateway): in = out + dropped", sent: "\(Figures.count(counts.totals.in)) in",
        arrived: "\(Figures.count(counts.totals.out)) out, \(Figures.count(counts.totals.drops)) dropped",
        passed: counts.totals.balances,
        account: "the gateway's counts do not add up: \(counts.totals)")
    }
    guard gateways.count == 2 else { return checks }
    for (from, to) in [(gateways[0], gateways[1]), (gateways[1], gateways[0])] {
      let sealed = from.totals.sealed
      let opened = to.totals.opened
      let forged = to.drops["authentication"] ?? 0
      checks.append(
        DemoCheck(
          name: "\(from.gateway) to \(to.gateway)", sent: "\(Figures.count(sealed)) sealed",
          arrived:
            "\(Figures.count(opened)) opened, \(Figures.count(sealed > opened ? sealed - opened : 0)) lost under way",
          passed: opened > 0 && opened <= sealed && forged == 0,
          account: "\(to.gateway) opened \(opened) of \(sealed) packets; it dropped \(to.drops)"))
    }
    return checks
  }
}

extension DemoSearch {
  /// Searches the fabric's capture for everything that was said in clear, and the clear side's for the same, so that it is
  /// known that the search finds what is there.
  static func search(_ run: inout DemoRun, fabric: String, clear: String) throws(LabError) {
    guard let fabric = ClearTextSearch(path: fabric), let clear = ClearTextSearch(path: clear) else {
      throw .failed("a gateway wrote no capture: \(fabric) or \(clear) is missing")
    }
    run.fabricCaptureOctets = fabric.count
    run.clearCaptureOctets = clear.count
    let inner: [UInt8] = [10, 1, 0, 2, 10, 2, 0, 2]
    let patterns: [(String, [UInt8])] = [
      ("a line of the file", Array(DemoFile.line.utf8)),
      ("the request, GET /\(DemoFile.name)", Array("GET /\(DemoFile.name) HTTP/1.1".utf8)),
      ("a header of the request", Array(DemoScript.header.utf8)),
      ("the server's answer, HTTP/1.1 200 OK", Array("HTTP/1.1 200 OK".utf8)),
      ("the filling of the pings", Array(DemoScript.pingPattern.utf8)),
      ("a name in the DNS questions", Array(DemoScript.nameLabel.utf8)),
      ("the text in the DNS answers", Array(DemoNames.text.utf8)),
      ("addresses 10.1.0.2 and 10.2.0.2", inner),
    ]
    for (what, pattern) in patterns {
      run.searches.append(
        DemoSearch(
          what: what, inFabric: fabric.occurrences(of: pattern), inClear: clear.occurrences(of: pattern)))
    }
  }
}
