package import Foundation

/// Answers on a gateway's control socket, in a thread of its own that no packet ever waits for.
///
/// One request per connection. All connections share the thread: at most `mostClients` at once (the kernel queues the
/// rest), none for longer than `timeout`, so that nobody can hold it up.
package final class ControlServer: Sendable {
  package let path: String
  private let listener: Int32
  private let wake: (read: Int32, write: Int32)
  private let timeout: TimeInterval
  private let handler: @Sendable (ControlSocket.Command) -> Data
  private let ended = DispatchSemaphore(value: 0)
  /// The socket's file, so that a later gateway's is not removed.
  private let inode: UInt64?

  static let mostClients = 64

  /// Listens and starts the thread.
  ///
  /// - Parameters:
  ///   - paths: the configured path alone, or `ControlSocket.defaultPaths`: the first that can be used.
  ///   - timeout: seconds for a client to send its line and take the answer.
  ///   - handler: makes the reply, one line of JSON; called in the server's thread, one call at a time.
  package init(
    paths: [String], timeout: TimeInterval = 2, handler: @escaping @Sendable (ControlSocket.Command) -> Data
  ) throws(ControlError) {
    guard let path = paths.first(where: ControlSocket.prepareDirectory) else {
      throw ControlError(
        description:
          "found no directory for the control socket (\(paths.joined(separator: ", "))), expected one that only "
          + "this user can write to; make it, or set `control_socket`")
    }
    let listener = try Self.listen(at: path)
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      close(listener)
      throw ControlError(description: "no pair of sockets: \(String(cString: strerror(errno)))")
    }
    inode = Self.inode(of: path)
    self.path = path
    self.listener = listener
    wake = (ends[0], ends[1])
    self.timeout = timeout
    self.handler = handler
    let thread = Thread { [self] in
      serve()
      ended.signal()
    }
    thread.name = "control"
    thread.start()
  }

  /// Ends the thread and removes the socket. Call it once; the server cannot be used afterwards.
  package func stop() {
    var octet: UInt8 = 0
    _ = write(wake.write, &octet, 1)
    ended.wait()
    if Self.inode(of: path) == inode { unlink(path) }
    for descriptor in [listener, wake.read, wake.write] { close(descriptor) }
  }

  /// The number of the socket that is at `path`, if there is one.
  private static func inode(of path: String) -> UInt64? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
    return UInt64(status.st_ino)
  }

  /// A listening socket at `path`; one that is there already is replaced only if nobody answers on it.
  private static func listen(at path: String) throws(ControlError) -> Int32 {
    let descriptor = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw ControlError(description: "no socket: \(String(cString: strerror(errno)))") }
    // Two gateways that start at once must not each take the other's new socket for a stale one.
    let directory = open(
      URL(fileURLWithPath: path).deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if directory >= 0 { close(directory) } }
    if directory >= 0 { flock(directory, LOCK_EX) }
    // Set before the file exists, so that there is no moment in which others can connect.
    fchmod(descriptor, 0o600)
    var bound = ControlSocket.withAddress(path) { bind(descriptor, $0, $1) }
    var reason = errno
    if bound == -1, reason == EADDRINUSE {
      let other = ControlSocket.connected(to: path, timeout: 1)
      if other >= 0 { close(other) }
      // A file that is no socket refuses connections as well.
      guard other < 0, errno == ECONNREFUSED, inode(of: path) != nil else {
        close(descriptor)
        throw ControlError(
          description:
            "found \(path) in use, expected no gateway there; stop it, or give this one another `name`")
      }
      unlink(path)
      bound = ControlSocket.withAddress(path) { bind(descriptor, $0, $1) }
      reason = errno
    }
    guard bound == 0, Foundation.listen(descriptor, 128) == 0 else {
      close(descriptor)
      throw ControlError(
        description: bound == nil
          ? "found the socket path \(path), expected at most 107 octets; set `control_socket`"
          : "cannot listen on \(path): \(String(cString: strerror(reason)))")
    }
    return descriptor
  }

  /// `struct ucred`, which Glibc's module leaves out.
  private struct PeerCredentials {
    var process: pid_t = 0
    var user: uid_t = .max
    var group: gid_t = .max
  }

  private struct Client {
    let descriptor: Int32
    let deadline: TimeInterval
    var request: [UInt8] = []
    var reply: [UInt8] = []
    var sent = 0
    var isAnswering: Bool { !reply.isEmpty }
  }

  private func serve() {
    var clients: [Client] = []
    while true {
      var polled = [pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0)]
      polled.append(
        pollfd(fd: clients.count < Self.mostClients ? listener : -1, events: Int16(POLLIN), revents: 0))
      polled += clients.map {
        pollfd(fd: $0.descriptor, events: Int16($0.isAnswering ? POLLOUT : POLLIN), revents: 0)
      }
      let first = clients.map(\.deadline).min()
      let wait = first.map { Int32(max(0, min(60, $0 - ControlSocket.now())) * 1000) + 1 } ?? -1
      guard poll(&polled, nfds_t(polled.count), wait) >= 0 || errno == EINTR else { break }
      if polled[0].revents != 0 { break }
      var kept: [Client] = []
      for (index, client) in clients.enumerated() {
        var client = client
        let isDone = polled[index + 2].revents != 0 && advance(&client)
        if isDone || ControlSocket.now() > client.deadline { close(client.descriptor) } else { kept.append(client) }
      }
      clients = kept
      if polled[1].revents != 0 { accept(into: &clients) }
    }
    for client in clients { close(client.descriptor) }
  }

  private func accept(into clients: inout [Client]) {
    // Glibc's module has no accept4; the gateway starts no programs, so that the moment between does not matter.
    let descriptor = Foundation.accept(listener, nil, nil)
    guard descriptor >= 0 else {
      // Out of descriptors: the queue stays readable, so wait instead of spinning.
      if errno != EAGAIN && errno != EINTR && errno != ECONNABORTED { usleep(50_000) }
      return
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var peer = PeerCredentials()
    var size = socklen_t(MemoryLayout<PeerCredentials>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0, peer.user == geteuid() || peer.user == 0
    else {
      close(descriptor)
      return
    }
    clients.append(Client(descriptor: descriptor, deadline: ControlSocket.now() + timeout))
  }

  /// Reads or writes as much as there is; whether the connection is done with.
  private func advance(_ client: inout Client) -> Bool {
    if !client.isAnswering {
      var room = [UInt8](repeating: 0, count: ControlSocket.requestLimit)
      let got = recv(client.descriptor, &room, room.count, Int32(MSG_DONTWAIT))
      guard got >= 0 else { return errno != EAGAIN && errno != EINTR }
      client.request += room[..<got]
      let line = client.request.prefix { $0 != UInt8(ascii: "\n") }
      if line.count >= ControlSocket.requestLimit {
        client.reply = Array(ControlSocket.error("found a request above \(ControlSocket.requestLimit) octets"))
      } else if line.count < client.request.count || got == 0 {
        client.reply = Array(answer(Data(line)))
      } else {
        return false
      }
      client.reply.append(UInt8(ascii: "\n"))
    }
    while client.sent < client.reply.count {
      let put = client.reply[client.sent...].withUnsafeBytes {
        send(client.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      guard put >= 0 else { return errno != EAGAIN && errno != EINTR }
      client.sent += put
    }
    return true
  }

  private func answer(_ line: Data) -> Data {
    let names = ControlSocket.Command.allCases.map(\.rawValue).joined(separator: ", ")
    guard let object = try? JSONSerialization.jsonObject(with: line) as? [String: Any],
      let name = object["command"] as? String, let command = ControlSocket.Command(rawValue: name)
    else { return ControlSocket.error("expected {\"command\":\"NAME\"} with one of \(names)") }
    return handler(command)
  }
}
