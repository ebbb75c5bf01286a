package import Foundation

/// What a program that has ended left behind.
package struct ProgramResult: Sendable {
  package let status: Int32
  package let output: String
  package let errors: String

  package var lines: [Substring] { output.split(separator: "\n") }
}

/// A program could not be started, or did not end in time.
package enum ProgramError: Error {
  case timedOut(path: String, after: Duration, output: String, errors: String)
}

package enum Program {
  /// The repository's root, from where this file is.
  package static let repository = URL(filePath: #filePath).appending(path: "../../..").standardizedFileURL

  /// Where `swift build` put the products: the directory of the test program that runs now.
  package static let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

  /// The built `keyweave`.
  package static let keyweave = products.appending(path: "keyweave").path(percentEncoded: false)

  /// Debian's Python, for which the scripts' packages are installed; another one may come first in PATH.
  package static let python = "/usr/bin/python3"

  /// Runs a program to its end and collects what it printed.
  ///
  /// - Parameters:
  ///   - path: a path, or a name that is looked for in PATH.
  ///   - input: a file that becomes its standard input; none by default.
  ///   - timeout: after which it is killed and `ProgramError.timedOut` is thrown.
  @discardableResult
  package static func run(
    _ path: String, _ arguments: [String], input: URL? = nil, environment: [String: String] = [:],
    directory: URL? = nil, timeout: Duration = .seconds(60)
  ) throws -> ProgramResult {
    try withTemporaryDirectory { scratch in
      // Files, not pipes: a program that prints more than a pipe holds must not wait for us.
      let (output, errors) = (scratch.appending(path: "output"), scratch.appending(path: "errors"))
      try Data().write(to: output)
      try Data().write(to: errors)
      let process = Process()
      process.executableURL = URL(filePath: path.contains("/") ? path : "/usr/bin/env")
      process.arguments = path.contains("/") ? arguments : [path] + arguments
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      if let directory { process.currentDirectoryURL = directory }
      process.standardInput = try input.map { try FileHandle(forReadingFrom: $0) } ?? FileHandle.nullDevice
      process.standardOutput = try FileHandle(forWritingTo: output)
      process.standardError = try FileHandle(forWritingTo: errors)
      let ended = DispatchSemaphore(value: 0)
      process.terminationHandler = { _ in ended.signal() }
      try process.run()
      let seconds = Double(timeout.components.seconds) + Double(timeout.components.attoseconds) * 1e-18
      let inTime = ended.wait(timeout: .now() + seconds) == .success
      if !inTime {
        kill(process.processIdentifier, SIGKILL)
        ended.wait()
      }
      let printed = (try String(contentsOf: output, encoding: .utf8), try String(contentsOf: errors, encoding: .utf8))
      guard inTime else {
        throw ProgramError.timedOut(path: path, after: timeout, output: printed.0, errors: printed.1)
      }
      return ProgramResult(status: process.terminationStatus, output: printed.0, errors: printed.1)
    }
  }

  /// A directory of its own for the duration of `body`.
  package static func withTemporaryDirectory<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory)
  }
}
