import DataPlane
import Foundation
import Wire

/// `keyweave-perf [--quick]`: core cycles per packet and multiples of raw AES-256-GCM, as a table. Compare the multiples: they
/// survive a change of machine.
let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "--loop" {
  let words = Array(arguments.dropFirst())
  do {
    guard words.count == 4, let length = Int(words[1]), let windows = Int(words[3]) else { exit(64) }
    try LoopBenchmark.run(words[0], length: length, folder: words[2], windows: windows)
    exit(0)
  } catch {
    FileHandle.standardError.write(Data("keyweave-perf: \(error)\n".utf8))
    exit(1)
  }
}
guard arguments.allSatisfy({ $0 == "--quick" }) else {
  print("usage: keyweave-perf [--quick]")
  exit(64)
}
let samples = arguments.isEmpty ? 401 : 41

do {
  let report = Report(lengths: [64, 512, 1420, 8192])
  try report.print(samples: samples)
} catch {
  FileHandle.standardError.write(Data("keyweave-perf: \(error)\n".utf8))
  exit(1)
}
