package import Foundation

extension ControlSocket {
  /// Asks a running gateway and returns its line of JSON, without the newline.
  ///
  /// - Parameters:
  ///   - paths: tried in turn until one is listened to.
  ///   - timeout: seconds for everything together.
  package static func ask(
    _ command: Command, at paths: [String], timeout: TimeInterval = 10
  ) throws(ControlError) -> Data {
    let deadline = now() + timeout
    var refusals: [String] = []
    for path in paths {
      let descriptor = connected(to: path, timeout: timeout)
      guard descriptor >= 0 else {
        refusals.append("\(path): \(String(cString: strerror(errno)))")
        continue
      }
      defer { close(descriptor) }
      let request = Array("{\"command\":\"\(command.rawValue)\"}\n".utf8)
      guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
        throw ControlError(description: "\(path) took no request: \(String(cString: strerror(errno)))")
      }
      return try reply(from: descriptor, path, deadline)
    }
    throw ControlError(
      description:
        "found no running gateway (\(refusals.joined(separator: "; "))); start it with `keyweave run`, or name its "
        + "configuration with --config")
  }

  private static func reply(
    from descriptor: Int32, _ path: String, _ deadline: TimeInterval
  ) throws(ControlError) -> Data {
    var reply = Data()
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&polled, 1, Int32(max(0, deadline - now()) * 1000))
      if ready < 0 && errno == EINTR { continue }
      guard ready > 0 else { throw ControlError(description: "\(path) did not answer in time") }
      let got = recv(descriptor, &room, room.count, 0)
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else {
        throw ControlError(
          description: "\(path) closed the connection: only the gateway's own user and root are answered")
      }
      reply += room[..<got]
      if reply.last == UInt8(ascii: "\n") { return reply.dropLast() }
      guard reply.count <= replyLimit else { throw ControlError(description: "\(path) sent more than a reply") }
    }
  }
}
