import CDPDK
import Foundation

/// DPDK's own programs on the same machine: the crypto device alone, and the ports alone.
struct PeersSection {
  let effort: Section.Effort
  private var sizes: [Int] { effort.isQuick ? [64, 1420] : [64, 512, 1420, 8192] }

  func tables() throws -> [Table] {
    var table = Table(
      id: "peers", title: "DPDK's own programs", unit: "core cycles per packet", axis: "octets",
      columns: sizes.map { "\($0)" })
    for device in ["crypto_aesni_gcm", "crypto_aesni_mb"] {
      if let cells = crypto(device) {
        table.rows.append(Table.Row(name: "dpdk-test-crypto-perf, \(device), AES-256-GCM", cells: cells))
      } else {
        table.notes.append("dpdk-test-crypto-perf (\(device)) did not run: is Debian's package dpdk-dev installed?")
      }
    }
    for mode in ["io", "macswap"] {
      let cells = sizes.map { forward(mode, size: $0) }
      if cells.contains(where: { $0 != nil }) {
        table.rows.append(Table.Row(name: "dpdk-testpmd, \(mode), null ports", cells: cells))
      } else {
        table.notes.append("dpdk-testpmd (\(mode)) did not run: is Debian's package dpdk-dev installed?")
      }
    }
    table.notes.append("They count ticks of the time-stamp counter: made core cycles by the clock of this moment.")
    return [table]
  }

  private var common: [String] {
    [
      "-l", "0,\(Environment.core)", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry",
      "--file-prefix=keyweave-perf-\(getpid())",
    ]
  }

  private func crypto(_ device: String) -> [Cell?]? {
    let operations = effort.isQuick ? "300000" : "2000000"
    let lengths = sizes.map { "\($0)" }.joined(separator: ",")
    let options = """
      --vdev \(device) -- --ptest throughput --devtype \(device) --optype aead --aead-algo aes-gcm --aead-op encrypt \
      --aead-key-sz 32 --aead-iv-sz 12 --aead-aad-sz 16 --digest-sz 16 --total-ops \(operations) --burst-sz 32 \
      --buffer-sz \(lengths) --silent --csv-friendly
      """
    let text = output("dpdk-test-crypto-perf", common + options.split(separator: " ").map(String.init), seconds: 60)
    let cycles = cyclesPerTick
    var cells: [Cell?] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: ",")
      if fields.count == 10, let ticks = Double(String(fields[9])) { cells.append(Cell(ticks * cycles)) }
    }
    return cells.count == sizes.count ? cells : nil
  }

  private func forward(_ mode: String, size: Int) -> Cell? {
    let options = """
      --vdev net_null0,size=\(size) --vdev net_null1,size=\(size) -- --forward-mode=\(mode) --auto-start --stats-period 1 \
      --total-num-mbufs=16384 --mbuf-size=9216
      """
    let text = output("dpdk-testpmd", common + options.split(separator: " ").map(String.init), seconds: 4)
    let cycles = cyclesPerTick
    var best = 0.0
    for line in text.split(separator: "\n") where line.contains("Rx-pps:") {
      let rate = line.split(separator: " ").compactMap { Double(String($0)) }.first
      best = max(best, rate ?? 0)
    }
    // Both ports are polled by one lcore.
    guard best > 0 else { return nil }
    return Cell(Double(dpdk_get_tsc_hz()) / (2 * best) * cycles)
  }

  private var cyclesPerTick: Double {
    let chains = (0..<101).map { _ in CoreClock.chain() }.sorted()
    return CoreClock.cyclesPerTick(chains[50], chains[50])
  }

  /// What a program printed before it ended, or was ended.
  private func output(_ program: String, _ arguments: [String], seconds: Int) -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["timeout", "--signal=INT", "\(seconds)", program] + arguments
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "" }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }
}
