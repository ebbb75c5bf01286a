internal import Foundation

/// An administrator's own file: who he is, and where his controllers are. So nobody types five options each time.
package struct AdministratorFile: Equatable, Sendable {
  package enum Field: String, SectionField { case certificate, key, authority, controllers }

  package var certificate, key, authority: String
  package var controllers: [Configuration.KeyAgent.Controller]

  private static let sizeLimit = 1 << 20

  /// Throws every mistake at once. Paths are relative to the file.
  package static func load(_ path: String) throws(Mistakes) -> AdministratorFile {
    let file = absolute(path, in: FileManager.default.currentDirectoryPath)
    let findings = Findings(file: path)
    guard let octets = try? FileHandle(forReadingFrom: URL(fileURLWithPath: file)).read(upToCount: sizeLimit + 1) else {
      findings.mistake(
        "", found: "a file that cannot be read", expected: "an administrator's file, such as config/administrator.yaml",
        fix: "correct the path or its permissions")
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let root = octets.withUnsafeBytes { YAMLDocument.read($0, limit: sizeLimit, findings) }
    guard let root, let section = Section<Field>(root, at: "", findings) else {
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let read = AdministratorFile(section, directory: URL(fileURLWithPath: file).deletingLastPathComponent().path)
    try findings.throwMistakes()
    guard let read else { throw Mistakes(all: findings.mistakes, warnings: findings.warnings) }
    return read
  }

  /// A time as the files write it; nil when it is none or out of range.
  package static func seconds(_ text: String, in range: ClosedRange<UInt64>) -> Int? {
    (try? Kind.seconds(range).read(text)).map { Int($0) }
  }

  private init?(_ section: Section<Field>, directory: String) {
    func file(_ field: Field) -> String? { section.required(field, .path).map { absolute($0, in: directory) } }
    let certificate = file(.certificate)
    let key = file(.key)
    let authority = file(.authority)
    controllers = section.sections(.controllers, Configuration.KeyAgent.Controller.Field.self)
      .compactMap(Configuration.KeyAgent.Controller.init)
    if section.count(.controllers) == 0 {
      section.missing(
        .controllers, expected: "one or more controllers",
        fix: "add `controllers: [{ name: region, url: \"https://HOST:8441\", id: \"spiffe://...\" }]`")
    }
    let names = controllers.map(\.name)
    if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
      section.findings.mistake(
        section.path(.controllers), found: "the name \(name) twice", expected: "different names", fix: "rename one")
    }
    guard let certificate, let key, let authority else { return nil }
    (self.certificate, self.key, self.authority) = (certificate, key, authority)
  }
}
