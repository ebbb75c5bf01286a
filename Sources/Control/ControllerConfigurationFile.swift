internal import Foundation

/// A controller's configuration file, read and checked by itself.
package struct ControllerConfigurationFile: Sendable {
  package let path: String
  package let configuration: ControllerConfiguration
  package let warnings: [Warning]

  private static let sizeLimit = 1 << 20

  /// Throws every mistake at once.
  package static func load(_ path: String) throws(Mistakes) -> ControllerConfigurationFile {
    let file = absolute(path, in: FileManager.default.currentDirectoryPath)
    let findings = Findings(file: path)
    guard let octets = try? FileHandle(forReadingFrom: URL(fileURLWithPath: file)).read(upToCount: sizeLimit + 1) else {
      findings.mistake(
        "", found: "a file that cannot be read", expected: "a controller's configuration",
        fix: "correct the path or its permissions")
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let root = octets.withUnsafeBytes { YAMLDocument.read($0, limit: sizeLimit, findings) }
    guard let root, let section = Section<ControllerConfiguration.Field>(root, at: "", findings) else {
      throw Mistakes(all: findings.mistakes, warnings: [])
    }
    let url = URL(fileURLWithPath: file)
    let configuration = ControllerConfiguration(
      section, fallbackName: url.deletingPathExtension().lastPathComponent,
      directory: url.deletingLastPathComponent().path)
    try findings.throwMistakes()
    guard let configuration else { throw Mistakes(all: findings.mistakes, warnings: findings.warnings) }
    return ControllerConfigurationFile(path: path, configuration: configuration, warnings: findings.warnings)
  }
}

extension ControllerConfiguration: CustomStringConvertible {
  package var description: String {
    let keys = rootKeys.map { key in
      let schedule = key.rotateEvery.map { "every \($0) s" } ?? "on demand"
      return
        "  \(key.name) (\(key.level)): epochs of \(key.epochPeriod) s, lifetime \(key.lifetime) s, rotated \(schedule), "
        + "share \(key.share) %\(key.servesClients ? ", with outside clients" : "")"
    }
    let place =
      switch store {
      case .file(let path): "file \(path)"
      case .etcd(let etcd): "etcd \(etcd.endpoints.joined(separator: ", ")) under \(etcd.prefix) as \(etcd.node)"
      }
    let listen = self.listen.host.contains(":") ? "[\(self.listen.host)]" : self.listen.host
    return
      ([
        "\(name): https://\(listen):\(self.listen.port), \(place)", "administrators:",
      ] + administrators.map { "  \($0.id)" } + ["root keys:"] + keys
      + [firstDeviceID == nil ? "device IDs: assigned by another controller" : "device IDs: assigned here"])
      .joined(separator: "\n")
  }
}
