import Foundation

/// One thing the doctor looked at.
struct DoctorFinding: Codable {
  enum State: String, Codable {
    case ok
    /// It runs, but slower or more fragile than it need be.
    case warn
    /// A gateway with this configuration cannot run, or would not work.
    case fail
  }

  var subject: String
  var state: State
  /// What was found, in one sentence.
  var found: String
  /// The exact command or change that mends it.
  var fix: String?

  static func ok(_ subject: String, _ found: String) -> Self {
    Self(subject: subject, state: .ok, found: found, fix: nil)
  }
  static func warn(_ subject: String, _ found: String, fix: String) -> Self {
    Self(subject: subject, state: .warn, found: found, fix: fix)
  }
  static func fail(_ subject: String, _ found: String, fix: String) -> Self {
    Self(subject: subject, state: .fail, found: found, fix: fix)
  }
}

/// Facts from /proc and /sys.
enum Kernel {
  /// A small file's text without the white space around it; nil when it is not there.
  static func text(_ path: String) -> String? {
    FileManager.default.contents(atPath: path)
      .map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
  }

  static func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

  static func names(in directory: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
  }

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// The value of `key:` in a file of such lines (/proc/cpuinfo, /proc/self/status); the first one.
  static func field(_ key: String, of path: String) -> String? {
    for line in (text(path) ?? "").split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == key {
        return parts[1].trimmingCharacters(in: .whitespaces)
      }
    }
    return nil
  }
}
