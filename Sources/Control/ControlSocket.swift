package import Foundation

/// How other processes talk to a running gateway: a Unix socket on which one line of JSON, `{"command":"status"}`, is
/// answered by one line of JSON. Only the gateway's own user and root are listened to.
package enum ControlSocket {
  package enum Command: String, CaseIterable, Sendable {
    case ping, status, reload
  }

  /// Octets of a request, its newline included.
  static let requestLimit = 4096
  /// Octets of a reply that a client takes.
  static let replyLimit = 64 << 20

  /// Where a gateway's socket can be when its configuration does not say, best first.
  ///
  /// A server takes the first whose directory it can write to; a client tries them all, as it may run as root or from a
  /// login while the gateway is a service.
  package static func defaultPaths(
    name: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> [String] {
    var directories: [String] = []
    // What systemd's RuntimeDirectory= made; several are separated by colons.
    if let first = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first { directories.append(String(first)) }
    if let user = environment["XDG_RUNTIME_DIR"], user.hasPrefix("/") { directories.append("\(user)/keyweave") }
    directories += ["/run/keyweave", "/tmp/keyweave-\(geteuid())"]
    return directories.map { "\($0)/\(name).sock" }
  }

  /// Makes the socket's directory, for this user only, if it is missing; whether a socket may be put there.
  static func prepareDirectory(of path: String) -> Bool {
    let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
    mkdir(directory, 0o700)
    var status = stat()
    guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return false }
    // In a directory that others can write to, they could put a socket of theirs in the place of ours.
    let isOurs = status.st_uid == geteuid() || status.st_uid == 0
    let isShared = status.st_mode & 0o022 != 0 && status.st_mode & S_ISVTX == 0
    return isOurs && !isShared && access(directory, W_OK | X_OK) == 0
  }

  /// Calls `body` with a Unix address; nil when the path is too long for one.
  static func withAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let octets = Array(path.utf8)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
      guard octets.count < room.count, !octets.contains(0) else { return false }
      room.copyBytes(from: octets)
      return true
    }
    guard fits else { return nil }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }

  /// A new socket connected to `path`, or -1 and errno.
  static func connected(to path: String, timeout: TimeInterval) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return -1 }
    // Connecting waits while the server's queue is full, no longer than this.
    var limit = timeval(tv_sec: Int(timeout), tv_usec: Int(timeout.truncatingRemainder(dividingBy: 1) * 1e6))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    if withAddress(path, { connect(descriptor, $0, $1) }) == 0 { return descriptor }
    let reason = errno
    close(descriptor)
    errno = reason
    return -1
  }

  /// Seconds on a clock that nobody sets.
  static func now() -> TimeInterval { ProcessInfo.processInfo.systemUptime }

  package static func error(_ text: String) -> Data {
    (try? JSONSerialization.data(withJSONObject: ["error": text], options: [.sortedKeys])) ?? Data("{}".utf8)
  }
}

/// Why a gateway's socket could not be made or did not answer.
package struct ControlError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}
