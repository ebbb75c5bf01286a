import CLibFuzzer
import Foundation

/// What is fuzzed: any octets go in, and neither a trap nor a broken property may come out.
struct Target: Sendable {
  let name: String
  /// Valid inputs, so that the fuzzer does not have to discover the formats first.
  let seeds: @Sendable (Seeds) -> [[UInt8]]
  let run: @Sendable (RawSpan) -> Void

  static let all = [
    frame, securityHeader, payload, text, open, capture, configuration, keysFile, controlRequest,
  ]
}

/// Ends the run with the input that broke a property.
func require(_ condition: Bool, _ property: @autoclosure () -> String, line: Int = #line) {
  guard !condition else { return }
  FileHandle.standardError.write(Data("broken property, line \(line): \(property())\n".utf8))
  abort()
}

/// libFuzzer hands its callback no context.
private nonisolated(unsafe) var running: Target?

/// Runs libFuzzer until it has had enough; returns its exit code.
func drive(_ target: Target, arguments: [String]) -> Int32 {
  running = target
  var count = Int32(arguments.count)
  var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  return words.withUnsafeMutableBufferPointer { words in
    var start = words.baseAddress
    return LLVMFuzzerRunDriver(&count, &start) { data, size in
      running?.run(UnsafeRawBufferPointer(start: data, count: size).bytes)
      return 0
    }
  }
}

extension RawSpan {
  var octets: [UInt8] { withUnsafeBytes { Array($0) } }
}
