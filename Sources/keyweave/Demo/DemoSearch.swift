extension DemoBench {
  /// Searches the captures of the fabric for everything that was said in clear, and those of the clear side for the same, so
  /// that it is known that the search finds what is there.
  func search(
    _ run: inout DemoRun, fabric: [String], clear: [String], from client: String, to server: String
  ) throws(LabError) {
    narrator.say("searching the captures for clear text")
    let fabric = try Self.captures(fabric)
    let clear = try Self.captures(clear)
    run.fabricCaptureOctets = fabric.reduce(0) { $0 + $1.count }
    run.clearCaptureOctets = clear.reduce(0) { $0 + $1.count }
    let addresses = (client + "." + server).split(separator: ".").compactMap { UInt8($0) }
    let patterns: [(String, [UInt8])] = [
      ("a line of the file", Array(DemoFile.line.utf8)),
      ("the request, GET /\(DemoFile.name)", Array("GET /\(DemoFile.name) HTTP/1.1".utf8)),
      ("a header of the request", Array(DemoBench.header.utf8)),
      ("the server's answer, HTTP/1.1 200 OK", Array("HTTP/1.1 200 OK".utf8)),
      ("the filling of the pings", Array(DemoBench.pingPattern.utf8)),
      ("a name in the DNS questions", Array(DemoBench.nameLabel.utf8)),
      ("the text in the DNS answers", Array(DemoNames.text.utf8)),
      ("addresses \(client) and \(server)", addresses),
    ]
    for (what, pattern) in patterns {
      func occurrences(_ captures: [ClearTextSearch]) -> Int {
        captures.reduce(0) { $0 + $1.occurrences(of: pattern) }
      }
      run.searches.append(DemoSearch(what: what, inFabric: occurrences(fabric), inClear: occurrences(clear)))
    }
  }

  private static func captures(_ files: [String]) throws(LabError) -> [ClearTextSearch] {
    var captures: [ClearTextSearch] = []
    for file in files {
      guard let capture = ClearTextSearch(path: file) else {
        throw .failed("a gateway wrote no capture: \(file) is missing")
      }
      captures.append(capture)
    }
    return captures
  }
}
