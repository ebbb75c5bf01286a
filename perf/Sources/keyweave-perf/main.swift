import Foundation

/// Core cycles per packet, in tables. See docs/perf.md.
do {
  try Command(CommandLine.arguments.dropFirst()).run()
} catch {
  FileHandle.standardError.write(Data("keyweave-perf: \(error)\n".utf8))
  exit(1)
}
