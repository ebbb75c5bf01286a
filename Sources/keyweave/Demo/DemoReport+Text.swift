import DataPlane

extension DemoReport {
  /// The report for people, at most 100 columns wide.
  func lines(_ paint: Paint) -> [String] {
    var lines: [String] = []
    for run in runs {
      lines += ["", paint.strong(run.title), ""] + run.checkLines(paint)
      if !run.gateways.isEmpty { lines += [""] + run.gatewayLines(paint) }
      if !run.searches.isEmpty { lines += [""] + run.searchLines(paint) }
    }
    if !packet.isEmpty {
      lines += ["", paint.strong("One packet of the fabric, field by field"), ""] + packet
    }
    for run in runs {
      let failures = run.checks.filter { !$0.passed }
      for failure in failures {
        lines += ["", paint.bad("FAIL ") + paint.strong("\(failure.name) (\(run.title))")]
        lines += (failure.account ?? "").split(separator: "\n").map { "  \($0)" }
      }
      if !failures.isEmpty { lines += [""] + run.logs.split(separator: "\n").map(String.init) }
    }
    let checks = runs.flatMap(\.verdicts)
    let right = checks.count { $0 }
    let sum = "\(right) of \(checks.count) checks passed in \(Figures.fixed(seconds, 1)) s"
    lines += ["", "\(passed ? paint.good("PASS") : paint.bad("FAIL"))  \(sum)"]
    return lines
  }
}

extension DemoRun {
  fileprivate func checkLines(_ paint: Paint) -> [String] {
    var table = TextTable(["check", "sent", "arrived", "rate", ""], right: [3])
    for check in checks {
      table.add([
        check.name, check.sent, check.arrived, check.rate, check.passed ? paint.good("ok") : paint.bad("FAIL"),
      ])
    }
    return table.lines
  }

  fileprivate func gatewayLines(_ paint: Paint) -> [String] {
    let isPair = gateways.allSatisfy { $0.lost != nil }
    var table = TextTable(
      ["gateway", "engine", "in", "out", "dropped", "sealed", "opened"] + (isPair ? ["lost under way", ""] : [""]),
      right: isPair ? [2, 3, 4, 5, 6, 7] : [2, 3, 4, 5, 6])
    for counts in gateways {
      let totals = counts.totals
      let verdict = counts.passed ? paint.good("ok") : paint.bad("FAIL")
      table.add(
        [
          counts.gateway + (counts.wasKilled ? ", killed" : ""), counts.engine, Figures.count(totals.in),
          Figures.count(totals.out), Figures.count(totals.drops), Figures.count(totals.sealed),
          Figures.count(totals.opened),
        ] + (isPair ? [counts.lost.map { Figures.count($0) } ?? ""] : []) + [verdict])
    }
    var lines = table.lines + notes.map { "  \($0)" }
    for counts in gateways {
      let reasons = counts.drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }
      guard !reasons.isEmpty else { continue }
      let text = reasons.map { "\(Figures.count($0.value)) \($0.key)" }.joined(separator: ", ")
      lines += TextTable.wrapped("\(counts.gateway) dropped: \(text)", to: 96).map { "  \($0)" }
    }
    return lines
  }

  fileprivate func searchLines(_ paint: Paint) -> [String] {
    var table = TextTable(["clear text searched for", clearSide, fabric, ""], right: [1, 2])
    for search in searches {
      table.add([
        search.what, Figures.count(search.inClear), Figures.count(search.inFabric),
        search.passed ? paint.good("ok") : paint.bad("FAIL"),
      ])
    }
    let sizes = "in captures of \(Figures.size(clearCaptureOctets)) and \(Figures.size(fabricCaptureOctets))"
    return table.lines + ["  \(sizes), made by the gateways themselves"]
  }
}
