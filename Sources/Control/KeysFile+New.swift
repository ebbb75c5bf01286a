internal import Foundation
package import Keys

extension KeysFile {
  /// What `keyweave keys new` makes: for every group its own root keys, all random.
  package struct Template: Sendable {
    package var groups: [String]
    package var levels: [RootKeyLevel]
    /// Seconds, 60 to 1800.
    package var epochPeriod: UInt64
    /// 1: current; 2: current and next; 3: previous, current and next.
    package var generations: Int

    package init(groups: [String], levels: [RootKeyLevel], epochPeriod: UInt64, generations: Int) {
      self.groups = groups
      self.levels = levels
      self.epochPeriod = epochPeriod
      self.generations = generations
    }

    /// Reads a period as the keys file writes it: `600s`, `10m`; nil when it is none or out of range.
    package static func period(_ text: String) -> UInt64? { try? Kind.seconds(60...1800).read(text) }

    /// What is wrong with the template, in one sentence; nil when nothing is.
    package var mistake: String? {
      if groups.isEmpty { return "found no group, expected at least one" }
      if let name = groups.first(where: { !Kind<String>.isName($0) }) {
        return "found the group \"\(name)\", expected \(Kind<String>.name.expected)"
      }
      if Set(groups).count != groups.count { return "found a group twice, expected different names" }
      if levels.isEmpty || Set(levels).count != levels.count {
        return "found \(levels.count) levels, expected one to three different ones"
      }
      if !(60...1800).contains(epochPeriod) {
        return "found \(epochPeriod) s, expected an epoch period of 60 to 1800 s"
      }
      if !(1...3).contains(generations) { return "found \(generations) generations, expected 1 to 3" }
      return nil
    }
  }

  /// Makes a keys file that only its owner can read, on stable storage when this returns. Never replaces a file.
  ///
  /// - Parameter time: Unix seconds, from which the keys may be used for 2^15 epoch periods.
  package static func create(_ path: String, _ template: Template, at time: UInt64) throws(Mistake) {
    if let mistake = template.mistake {
      throw refusal(path, found: mistake, expected: "a keys file that can be used", fix: "correct the options")
    }
    let text = SecretBuffer(capacity: 512 + template.groups.count * (160 + template.levels.count * 640))
    do {
      try write(template, at: time, to: text)
    } catch {
      throw refusal(
        path, found: error.description, expected: "locked memory for the new keys", fix: "raise the limit: ulimit -l")
    }
    // O_EXCL: another gateway's keys under that name would be gone for good.
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      let reason = errno
      throw refusal(
        path, found: reason == EEXIST ? "a file that exists already" : String(cString: strerror(reason)),
        expected: "a new file",
        fix: reason == EEXIST ? "choose another name: keys are never overwritten" : "choose another path")
    }
    let isWritten = text.write(to: descriptor) && fsync(descriptor) == 0
    let reason = errno
    close(descriptor)
    guard isWritten, syncDirectory(of: path) else {
      unlink(path)
      throw refusal(
        path, found: "a file that could not be written (\(String(cString: strerror(reason))))",
        expected: "a keys file on stable storage", fix: "look at the disk; nothing was left behind")
    }
  }

  private static func refusal(_ path: String, found: String, expected: String, fix: String) -> Mistake {
    Mistake(file: path, path: "", line: 0, column: 0, found: found, expected: expected, fix: fix)
  }

  private static func write(_ template: Template, at time: UInt64, to text: SecretBuffer) throws(SecretKeyError) {
    let expires = Kind.timeText(time + lifetimeInPeriods * template.epochPeriod)
    text.append("# Root keys, made by `keyweave keys new`. Whoever has them can read and forge the groups' traffic.\n")
    text.append("# Every gateway of a group needs the same; copy the file over a safe way, mode 600.\n")
    text.append("trust_groups:\n")
    for (index, group) in template.groups.enumerated() {
      text.append("  - name: \(group)\n")
      text.append("    default: \(index == 0)\n")
      text.append("    epoch_period: \(template.epochPeriod)s\n")
      text.append("    max_coffset: 16\n    max_ioffset: 0\n    root_keys:\n")
      for level in template.levels.sorted() {
        var generator = SystemRandomNumberGenerator()
        text.append("      - level: \(level)\n        id: ")
        text.append(hex: (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
        text.append("\n")
        let names = template.generations == 3 ? ["previous", "current", "next"] : ["current", "next"]
        for (offset, name) in names.prefix(template.generations).enumerated() {
          text.append("        \(name): { index: \(offset + 1), expires: \"\(expires)\", key: ")
          try SecretKey.random().withOctets { text.append(hex: $0) }
          text.append(" }\n")
        }
      }
    }
  }

  /// A new file's name is as durable as its directory.
  private static func syncDirectory(of path: String) -> Bool {
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return fsync(descriptor) == 0
  }
}
