internal import Foundation
internal import Keys

extension KeysFile {
  /// Room for some hundred thousand generations.
  static let sizeLimit = 64 << 20

  /// Reads a keys file; refuses it as a whole, with everything that is wrong in it.
  ///
  /// - Parameter time: Unix seconds, for expired generations; nil accepts them, to look at old captures.
  package static func load(_ path: String, at time: UInt64?) throws(Mistakes) -> KeysFile {
    let findings = Findings(file: path, isSecret: true)
    let file = read(path, findings)
    try findings.throwMistakes()
    guard let file else { throw Mistakes(all: [], warnings: []) }
    let secrets: SecretTexts
    do {
      secrets = try SecretTexts(replacingIn: file.buffer.octets)
    } catch {
      findings.mistake(
        "", found: error.description, expected: "locked memory for every key",
        fix: "raise the limit: `ulimit -l unlimited`, or LimitMEMLOCK= in the systemd unit")
      try findings.throwMistakes()
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let root = YAMLDocument.read(UnsafeRawBufferPointer(file.buffer.octets), limit: sizeLimit, findings)
    var reader = KeysReader(findings: findings, secrets: secrets, time: time, changed: file.changed)
    if let root, let section = Section<Field>(root, at: "", findings) { reader.read(section) }
    reader.check()
    try findings.throwMistakes()
    return KeysFile(
      path: path, groups: reader.groups.map(\.value), warnings: findings.warnings, expiries: reader.expiries)
  }

  /// The file's octets and when it was changed, if nobody but its owner, who must be this user or root, can read it.
  private static func read(_ path: String, _ findings: Findings) -> (buffer: SecretBuffer, changed: UInt64)? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      findings.mistake(
        "", found: "a file that cannot be opened (\(reason))", expected: "a keys file",
        fix: "correct the path, or make one with `keyweave keys new --out \(path)`")
      return nil
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      findings.mistake("", found: "not a regular file", expected: "a keys file", fix: "name the file itself")
      return nil
    }
    if status.st_mode & 0o077 != 0 {
      findings.mistake(
        "", found: "mode \(String(status.st_mode & 0o7777, radix: 8)): others can read or write it",
        expected: "a file that only its owner can read and write", fix: "run: chmod 600 \(path)")
    }
    // Root could read and replace it anyway.
    if status.st_uid != geteuid(), status.st_uid != 0, geteuid() != 0 {
      findings.mistake(
        "", found: "owner \(status.st_uid)", expected: "this user (\(geteuid())) or root",
        fix: "run as root: chown \(geteuid()) \(path)")
    }
    guard status.st_size <= sizeLimit else {
      findings.mistake(
        "", found: "\(status.st_size) octets", expected: "at most \(sizeLimit)", fix: "split the file")
      return nil
    }
    guard findings.mistakes.isEmpty else { return nil }
    let buffer = SecretBuffer(capacity: Int(status.st_size) + 1)
    guard buffer.read(from: descriptor) >= 0 else {
      findings.mistake(
        "", found: "a file that cannot be read (\(String(cString: strerror(errno))))", expected: "a keys file",
        fix: "look at the disk")
      return nil
    }
    return (buffer, UInt64(clamping: status.st_mtim.tv_sec))
  }
}

/// Reads the groups of a keys file and checks them as a whole.
struct KeysReader {
  let findings: Findings
  let secrets: SecretTexts
  let time: UInt64?
  let changed: UInt64
  private(set) var groups: [Placed<TrustGroup>] = []
  private(set) var expiries: [KeysFile.Expiry] = []

  init(findings: Findings, secrets: SecretTexts, time: UInt64?, changed: UInt64) {
    self.findings = findings
    self.secrets = secrets
    self.time = time
    self.changed = changed
  }

  mutating func read(_ section: Section<KeysFile.Field>) {
    if !section.has(.trustGroups) {
      section.missing(.trustGroups, expected: "a list of trust groups", fix: "make a file with `keyweave keys new`")
    }
    let inner = section.sections(.trustGroups, KeysFile.GroupField.self)
    if inner.isEmpty, section.has(.trustGroups), findings.mistakes.isEmpty {
      findings.mistake(
        "trust_groups", found: "no trust group", expected: "at least one", fix: "make a file with `keyweave keys new`")
    }
    for inner in inner {
      if let group = group(inner) { groups.append(Placed(path: inner.path, value: group)) }
    }
  }

  private mutating func group(_ section: Section<KeysFile.GroupField>) -> TrustGroup? {
    let name = section.required(.name, .name)
    let isDefault = section.value(.isDefault, .boolean, default: false)
    let period = section.value(.epochPeriod, .seconds(60...1800), default: 600)
    let maxCOffset = section.value(.maxCOffset, .integer(0...255), default: 16)
    let maxIOffset = section.value(.maxIOffset, .integer(0...15), default: 0)
    if maxIOffset > 0 {
      section.findings.warning(
        section.path(.maxIOffset),
        "packets of this group may leave up to \(4 * maxIOffset) octets unprotected: an attacker can rewrite them, inner"
          + " addresses included, without anyone noticing; 0 is safe")
    }
    if !section.has(.rootKeys) {
      section.missing(.rootKeys, expected: "one to three root keys", fix: "make them with `keyweave keys new`")
    }
    let inner = section.sections(.rootKeys, KeysFile.RootKeyField.self)
    let rootKeys = inner.compactMap { rootKey($0, group: name ?? "", period: period) }
    guard let name, rootKeys.count == inner.count, section.has(.rootKeys) else { return nil }
    return TrustGroup(
      name: name, isDefault: isDefault, epochPeriod: Int(period), maxCOffset: maxCOffset, maxIOffset: maxIOffset,
      rootKeys: rootKeys)
  }

  private mutating func rootKey(
    _ section: Section<KeysFile.RootKeyField>, group: String, period: UInt64
  ) -> RootKey? {
    let level = section.required(.level, .level)
    let id = section.required(.id, .rootKeyID(secrets))
    if !section.has(.current) {
      section.missing(
        .current, expected: "the generation that senders use",
        fix: "add `current: { index: NUMBER, key: 64 HEX DIGITS }`")
    }
    let previous = section.section(.previous, KeysFile.GenerationField.self)
    let current = section.section(.current, KeysFile.GenerationField.self)
    let next = section.section(.next, KeysFile.GenerationField.self)
    let old = previous.flatMap { generation($0, group: group, level: level, period: period, isPrevious: true) }
    let now = current.flatMap { generation($0, group: group, level: level, period: period) }
    let new = next.flatMap { generation($0, group: group, level: level, period: period) }
    guard let level, let id, let now, (old != nil) == section.has(.previous), (new != nil) == section.has(.next)
    else { return nil }
    return RootKey(level: level, id: id, previous: old, current: now, next: new)
  }

  private mutating func generation(
    _ section: Section<KeysFile.GenerationField>, group: String, level: RootKeyLevel?, period: UInt64,
    isPrevious: Bool = false
  ) -> Generation? {
    let index = section.required(.index, .integer(UInt64(0)...UInt64.max))
    let key = section.required(.key, .secretKey(secrets))
    let lifetime = KeysFile.lifetimeInPeriods * period
    let expires = section.value(.expires, .time)
    let end = expires ?? changed + lifetime
    if let time, let expires, expires > time + lifetime {
      findings.mistake(
        section.path(.expires), found: Kind.timeText(expires),
        expected: "at most \(Kind.timeText(time + lifetime)), \(KeysFile.lifetimeInPeriods) epoch periods from now",
        fix: "write the time of the generation's creation plus \(lifetime / 86400) days at most")
    } else if let time, end <= time, isPrevious {
      findings.warning(section.path, "expired at \(Kind.timeText(end)) and is not used; remove it")
    } else if let time, end <= time {
      findings.mistake(
        section.path(.expires), found: "a generation that expired at \(Kind.timeText(end))",
        expected: "one that may still be used", fix: "rotate the root key: the epochs of an older one come round again")
    }
    guard let index, let key else { return nil }
    if let level {
      expiries.append(KeysFile.Expiry(group: group, level: level, index: index, time: end, path: section.path))
    }
    return Generation(index: index, key: key)
  }

  /// The refusals of the wire format, section 2, over all groups, each at its place in the file.
  func check() {
    for problem in TrustGroup.problems(in: groups.map(\.value)) {
      var path = problem.path
      // Groups that could not be read are missing in the list that was checked: its numbers are not the file's.
      if let end = path.firstIndex(of: "]"), let index = Int(path[..<end].drop { $0 != "[" }.dropFirst()),
        groups.indices.contains(index)
      {
        path = groups[index].path + path[path.index(after: end)...]
      }
      let parts = KeysFile.parts(of: problem)
      findings.mistake(
        path, found: parts.found, expected: parts.expected,
        fix: "compare with the controller's file, or make new keys with `keyweave keys new`")
    }
  }
}
