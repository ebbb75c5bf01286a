import Foundation

/// `perf/Thresholds`: how many instructions a packet may take. Each line is a name, a tab and a number.
struct Thresholds {
  static let path = "perf/Thresholds"
  /// Counts repeat to a few in a million: this is for what nobody minds, and for what libraries choose by the CPU.
  private static let tolerance = 0.02
  private static let renewal = "`make perf-thresholds`"
  private static let heading =
    "# Instructions per packet, by callgrind: within 2 % of these, up or down. Written by \(renewal)."

  /// They are IPsec-MB's: with another engine they mean nothing.
  static var apply: Bool {
    #if IPSEC_MB
      true
    #else
      false
    #endif
  }

  private var limits: [String: Double] = [:]

  init() throws {
    guard let text = try? String(contentsOfFile: Self.path, encoding: .utf8) else {
      throw PerfError("there is no \(Self.path) in this folder: run `make perf` where the Makefile is")
    }
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let fields = line.split(separator: "\t")
      guard fields.count == 2, let limit = Double(fields[1]), limit > 0 else {
        throw PerfError(
          "\(Self.path) has the line \"\(line)\", expected a name, a tab and a number: write it with \(Self.renewal)")
      }
      limits[String(fields[0])] = limit
    }
  }

  subscript(_ name: String) -> Double? { limits[name] }

  /// Sentences about what is not within two per cent, or not compared at all.
  func faults(_ table: Table) -> [String] {
    let faults = table.rows.compactMap { row in row.cells[0].flatMap { fault(row.name, $0.value) } }
    let uncounted = Set(limits.keys).subtracting(table.rows.map(\.name))
    return faults
      + uncounted.sorted().filter { Cipher.hasFloor || !$0.hasSuffix("no cipher") }.map {
        "\(Self.path) has a line for \($0), which nothing counts: take it out with \(Self.renewal)"
      }
  }

  private func fault(_ name: String, _ count: Double) -> String? {
    let found = String(format: "%@ takes %.0f instructions per packet", name, count)
    guard let limit = limits[name] else {
      return "\(found) and has no line in \(Self.path): add it with \(Self.renewal)"
    }
    let change = count / limit - 1
    guard abs(change) > Self.tolerance else { return nil }
    let difference = String(format: "%.1f %% %@ than the %.0f", abs(change) * 100, change > 0 ? "more" : "fewer", limit)
    return "\(found), \(difference) in \(Self.path), where 2 % are allowed: "
      + (change > 0
        ? "look what came in, and if it is worth that, raise the threshold with \(Self.renewal)"
        : "lower the threshold with \(Self.renewal), or what was gained can be lost again unseen")
  }

  /// What was counted becomes the threshold.
  static func write(_ table: Table) throws {
    guard apply, Cipher.hasFloor else {
      throw PerfError("this build lacks what \(path) has: with IPsec-MB installed, \(renewal) makes the right one")
    }
    let lines = table.rows.map { String(format: "%@\t%.0f", $0.name, $0.cells[0]?.value ?? 0) }
    try ([heading] + lines + [""]).joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
  }
}
