internal import Foundation

/// What tells that a file was replaced or written, and who may read it.
struct FileStatus: Equatable {
  let inode: UInt64
  let size: UInt64
  let changed: Date?
  let mode: Int

  /// Nil when there is no such file. A link's target is what counts.
  init?(of path: String) {
    let target = URL(filePath: path).resolvingSymlinksInPath().path(percentEncoded: false)
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: target) else { return nil }
    inode = attributes[.systemFileNumber] as? UInt64 ?? 0
    size = attributes[.size] as? UInt64 ?? 0
    changed = attributes[.modificationDate] as? Date
    mode = (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0o777
  }

  static var reason: String { String(cString: strerror(errno)) }
}
