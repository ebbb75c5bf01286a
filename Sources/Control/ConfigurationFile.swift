internal import Foundation

/// A configuration file with its keys file, where it has one, read and held against each other: what `run`, `reload` and `check` start
/// from.
package struct ConfigurationFile: Sendable {
  package let path: String
  package let configuration: Configuration
  /// Nothing with a key agent.
  package let keys: KeysFile?
  /// The trust groups, wherever their keys come from.
  let shapes: [GroupShape]
  /// What the operator should know, from both files.
  package let warnings: [Warning]
  /// Largest inner packet by route and peer, in octets; see `Overhead`.
  let innerMTUs: [InnerMTU]

  static let sizeLimit = 1 << 20

  /// Reads both files; throws every mistake of both. Nothing is changed either way.
  ///
  /// - Parameter time: Unix seconds, for generations that have expired.
  package static func load(_ path: String, at time: UInt64 = UInt64(Date().timeIntervalSince1970)) throws(Mistakes)
    -> ConfigurationFile
  {
    let file = absolute(path, in: FileManager.default.currentDirectoryPath)
    let findings = Findings(file: path)
    // One octet more than is read, so that a larger file is seen to be one.
    guard let octets = try? FileHandle(forReadingFrom: URL(fileURLWithPath: file)).read(upToCount: sizeLimit + 1) else {
      findings.mistake(
        "", found: "a file that cannot be read", expected: "a configuration", fix: "correct the path or its permissions"
      )
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let root = octets.withUnsafeBytes { YAMLDocument.read($0, limit: sizeLimit, findings) }
    guard let root, let section = Section<Configuration.Field>(root, at: "", findings) else {
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let url = URL(fileURLWithPath: file)
    let draft = ConfigurationDraft(
      section, fallbackName: url.deletingPathExtension().lastPathComponent,
      directory: url.deletingLastPathComponent().path)
    let configuration = draft.finish()
    return try load(path, draft, configuration, findings, time)
  }

  private static func load(
    _ path: String, _ draft: ConfigurationDraft, _ configuration: Configuration?, _ findings: Findings, _ time: UInt64
  ) throws(Mistakes) -> ConfigurationFile {
    var keysMistakes: [Mistake] = []
    var keys: KeysFile?
    if let keysFile = draft.keysFile {
      do throws(Mistakes) {
        keys = try KeysFile.load(keysFile, at: time)
      } catch {
        keysMistakes = error.all
      }
    }
    let shapes =
      keys.map { $0.groups.map(GroupShape.init) } ?? draft.keyAgent.map { $0.groups.map(GroupShape.init) }
      ?? draft.connection.map { [GroupShape($0)] }
    if let shapes {
      draft.check(against: shapes, of: draft.keysFile ?? (draft.connection == nil ? "key_agent" : "connection"))
    }
    let innerMTUs = shapes.flatMap { shapes in configuration.map { $0.innerMTUs(shapes) } } ?? []
    draft.check(innerMTUs)
    let warnings = findings.warnings + (keys?.warnings ?? [])
    guard findings.mistakes.isEmpty, keysMistakes.isEmpty, let configuration, let shapes else {
      let own = findings.mistakes.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
      throw Mistakes(all: own + keysMistakes, warnings: warnings)
    }
    return ConfigurationFile(
      path: path, configuration: configuration, keys: keys, shapes: shapes, warnings: warnings, innerMTUs: innerMTUs)
  }
}
