import DataPlane
import Foundation
import Wire

/// The table.
struct Report {
  let lengths: [Int]

  private struct Row {
    let name: String
    let measure: (Int) throws -> Measurement
  }

  func print(samples: Int) throws {
    let method = "core cycles per packet, median ± spread (times raw); one core, bursts of \(Burst.count), in place"
    FileHandle.standardOutput.write(Data("\(machine)\n\(method)\n".utf8))
    line("", lengths.map { "\($0) octets" })
    var raw: [Int: Double] = [:]
    for row in rows(samples: samples) {
      var cells: [String] = []
      for length in lengths {
        let measurement = try row.measure(length)
        let multiple = measurement.median / (raw[length] ?? measurement.median)
        raw[length] = raw[length] ?? measurement.median
        cells.append(String(format: "%.0f ±%.0f (%.2f)", measurement.median, measurement.spread, multiple))
      }
      line(row.name, cells)
    }
  }

  private func rows(samples: Int) -> [Row] {
    var rows = [Row(name: RawBenchmark.name) { try RawBenchmark.measure(length: $0, samples: samples) }]
    #if IPSEC_MB
      rows += engine(IPsecMBEngine.self, samples: samples)
    #endif
    rows += engine(OpenSSLEngine.self, samples: samples)
    return rows
      + LoopBenchmark.Direction.allCases.map { direction in
        Row(name: "gateway: \(direction.rawValue), pcap in, null out") {
          try LoopBenchmark.measure(direction, length: $0, windows: samples / 10)
        }
      }
  }

  private func engine<Engine: AEADEngine>(_: Engine.Type, samples: Int) -> [Row] {
    let benchmark = EngineBenchmark<Engine>(samples: samples)
    return [
      Row(name: "\(Engine.name): seal, cached key") { try benchmark.seal(length: $0, suite: .aes256) },
      Row(name: "\(Engine.name): open, cached key") { try benchmark.open(length: $0, suite: .aes256) },
      Row(name: "\(Engine.name): seal, AES-128") { try benchmark.seal(length: $0, suite: .aes128) },
      Row(name: "\(Engine.name): derive, expand, seal") { try benchmark.deriveAndSeal(length: $0, suite: .aes256) },
    ]
  }

  private func line(_ name: String, _ cells: [String]) {
    let columns = cells.map { cell in String(repeating: " ", count: max(20 - cell.count, 1)) + cell }
    let row = name + String(repeating: " ", count: max(32 - name.count, 1)) + columns.joined() + "\n"
    FileHandle.standardOutput.write(Data(row.utf8))
  }

  private var machine: String {
    let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
    let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? "unknown CPU"
    return model.trimmingCharacters(in: .whitespaces)
  }
}
