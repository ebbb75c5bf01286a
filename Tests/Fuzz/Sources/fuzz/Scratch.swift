import Foundation

/// A folder that only this user can read, removed when the run ends without a crash.
enum Scratch {
  static let folder: String = {
    let path = FileManager.default.temporaryDirectory.appending(path: "keyweave-fuzz-\(getpid())").path
    mkdir(path, 0o700)
    atexit { try? FileManager.default.removeItem(atPath: Scratch.folder) }
    return path
  }()

  /// Writes a file of mode 600 there and gives its path.
  static func file(_ name: String, _ octets: [UInt8]) -> String {
    let path = "\(folder)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    require(descriptor >= 0 && write(descriptor, octets, octets.count) == octets.count, "the scratch file is written")
    close(descriptor)
    return path
  }
}
