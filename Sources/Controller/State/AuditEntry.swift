internal import Foundation
internal import Glibc

/// One line of the audit log: what was done, by whom, to what. Never a key.
struct AuditEntry: Codable, Sendable {
  /// Milliseconds since 1970.
  var time: Int64
  /// The SPIFFE ID that asked for it, or `schedule`, `start`.
  var by: String
  var action: String
  var subject: String
  var details: [String: String]?

  init(_ time: Int64, by: String, _ action: String, _ subject: String, _ details: [String: String]? = nil) {
    self.time = time
    self.by = by
    self.action = action
    self.subject = subject
    self.details = details
  }

  var json: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { Array($0) } ?? []
  }

  /// For the log that people read.
  var line: String {
    let details = (details ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    return "\(action) \(subject) by \(by)\(details)"
  }
}

/// The second copy of the audit log.
final class AuditFile: Sendable {
  private let descriptor: Int32

  init(path: String) throws(StoreError) {
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .unavailable("the audit file \(path): \(String(cString: strerror(errno)))") }
  }

  deinit { close(descriptor) }

  /// - Returns: false when the line is not on the disk.
  func append(_ entries: [AuditEntry]) -> Bool {
    let octets = entries.flatMap { $0.json + [UInt8(ascii: "\n")] }
    return write(descriptor, octets, octets.count) == octets.count && fdatasync(descriptor) == 0
  }
}
