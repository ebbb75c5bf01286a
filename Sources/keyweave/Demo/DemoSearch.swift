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
