import Foundation
import Glibc

/// The asking end of a gateway's control socket: one line out, one answer back.
enum ControlClient {
  struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// Sends one word and reads the answer to its end; gives up after ten seconds.
  static func ask(_ word: String, socket path: String) throws(Failure) -> Data {
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure("no socket", path) }
    defer { close(descriptor) }
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
      guard path.utf8.count < room.count else { return false }
      room.copyBytes(from: path.utf8)
      return true
    }
    guard fits else { throw Failure("the socket's path is longer than the 107 octets that Linux allows: \(path)") }
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard connected == 0 else { throw failure("no gateway answers", path) }
    let line = Array((word + "\n").utf8)
    guard send(descriptor, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
      throw failure("cannot ask", path)
    }
    shutdown(descriptor, Int32(SHUT_WR))
    var answer = Data()
    var room = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = recv(descriptor, &room, room.count, 0)
      if count == 0 { return answer }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("the gateway did not finish its answer", path) }
      answer.append(contentsOf: room[0..<count])
    }
  }

  private static func failure(_ what: String, _ path: String) -> Failure {
    Failure("\(what) on \(path): \(String(cString: strerror(errno))); is `keyweave run` up, and are you its user?")
  }
}
