import Control
import Foundation
import Synchronization
import Testing

@Suite struct ControlSocketTests {
  let workspace: Workspace
  var path: String { workspace.path("gateway.sock") }

  init() throws { workspace = try Workspace() }

  private func server(
    timeout: TimeInterval = 2,
    reply: @escaping @Sendable (ControlSocket.Command) -> Data = { Data("{\"did\":\"\($0.rawValue)\"}".utf8) }
  ) throws -> ControlServer {
    try ControlServer(paths: [path], timeout: timeout, handler: reply)
  }

  /// A connection that says what it is given and reads until the server closes.
  private func converse(_ octets: [UInt8], end: Bool = false) throws -> String {
    let descriptor = try connection()
    defer { close(descriptor) }
    _ = octets.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    if end { shutdown(descriptor, Int32(SHUT_WR)) }
    return read(descriptor)
  }

  private func connection() throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(connected == 0)
    return descriptor
  }

  private func read(_ descriptor: Int32) -> String {
    var text: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = recv(descriptor, &room, room.count, 0)
      guard got > 0 else { return String(decoding: text, as: UTF8.self) }
      text += room[..<got]
    }
  }

  @Test(arguments: ControlSocket.Command.allCases) func aCommandIsAnswered(_ command: ControlSocket.Command) throws {
    let server = try server()
    defer { server.stop() }
    let reply = try ControlSocket.ask(command, at: [workspace.path("nobody.sock"), path])
    #expect(reply == Data("{\"did\":\"\(command.rawValue)\"}".utf8))
    var status = stat()
    #expect(lstat(path, &status) == 0 && status.st_mode == S_IFSOCK | 0o600)
  }

  @Test func aLongReplyArrivesWhole() throws {
    let long = Data(repeating: UInt8(ascii: "x"), count: 5_000_000)
    let server = try server { _ in long }
    defer { server.stop() }
    #expect(try ControlSocket.ask(.status, at: [path]) == long)
  }

  @Test func stoppingRemovesTheSocket() throws {
    try server().stop()
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(throws: ControlError.self) { try ControlSocket.ask(.ping, at: [path]) }
    let again = try server()
    #expect(try !ControlSocket.ask(.ping, at: [path]).isEmpty)
    again.stop()
  }

  @Test func aStaleSocketIsReplacedALiveOneIsNot() throws {
    // What a killed gateway leaves: a bound socket on which nobody listens.
    let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(stale, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0)
    close(stale)
    let server = try server()
    defer { server.stop() }
    #expect(throws: ControlError.self) { _ = try self.server() }
    #expect(try !ControlSocket.ask(.ping, at: [path]).isEmpty)
  }

  @Test func aFileInTheWayIsLeftAlone() throws {
    try workspace.write("gateway.sock", "mine")
    #expect(throws: ControlError.self) { _ = try server() }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
  }

  @Test func aSharedDirectoryIsRefused() throws {
    chmod(workspace.directory, 0o777)
    #expect(throws: ControlError.self) { _ = try server() }
  }

  @Test func aPathTooLongIsRefused() throws {
    let long = workspace.path(String(repeating: "s", count: 108))
    #expect(throws: ControlError.self) { _ = try ControlServer(paths: [long], handler: { _ in Data() }) }
  }

  @Test func garbageIsAnsweredWithAnError() throws {
    let called = Mutex(0)
    let server = try server { _ in
      called.withLock { $0 += 1 }
      return Data("{}".utf8)
    }
    defer { server.stop() }
    let garbage = [
      "", "{", "[]", "null", "\"status\"", "{\"command\":1}", "{\"command\":\"halt\"}", "{\"command\":[\"status\"]}",
      "\u{0}",
      String(repeating: "[", count: 4000),
    ]
    for text in garbage {
      #expect(try converse(Array((text + "\n").utf8)).hasPrefix("{\"error\":"), "\(text)")
      #expect(try converse(Array(text.utf8), end: true).hasPrefix("{\"error\":"), "\(text)")
    }
    #expect(try converse([0xff, 0xfe, 0x80, 0x0a]).hasPrefix("{\"error\":"))
    #expect(called.withLock { $0 } == 0)
    #expect(try converse(Array("{\"command\":\"ping\"}".utf8), end: true) == "{}\n")
  }

  @Test func anOversizeRequestIsRefused() throws {
    let server = try server()
    defer { server.stop() }
    let padding = String(repeating: " ", count: 4096)
    #expect(try converse(Array("{\"command\":\"ping\"\(padding)}\n".utf8)).hasPrefix("{\"error\":"))
    #expect(try converse([UInt8](repeating: 0x20, count: 100_000)).hasPrefix("{\"error\":"))
    #expect(try converse(Array("{\"command\":\"ping\"}\n".utf8)).contains("did"))
  }

  @Test func aHundredClientsAtOnceAreAllAnswered() async throws {
    let server = try server()
    defer { server.stop() }
    let path = path
    let answered = Mutex(0)
    // Threads of their own: the test library's pool has fewer than a hundred.
    await withCheckedContinuation { continuation in
      let group = DispatchGroup()
      for _ in 0..<100 {
        group.enter()
        Thread {
          if (try? ControlSocket.ask(.status, at: [path])) == Data("{\"did\":\"status\"}".utf8) {
            answered.withLock { $0 += 1 }
          }
          group.leave()
        }.start()
      }
      group.notify(queue: .global()) { continuation.resume() }
    }
    #expect(answered.withLock { $0 } == 100)
  }

  @Test func silentClientsHoldNobodyUp() throws {
    let server = try server(timeout: 0.3)
    defer { server.stop() }
    // More than the server keeps at once: the last ones wait until the first are closed.
    let silent = try (0..<100).map { _ in try connection() }
    #expect(try ControlSocket.ask(.ping, at: [path], timeout: 5) == Data("{\"did\":\"ping\"}".utf8))
    for descriptor in silent { close(descriptor) }
  }

  @Test func aSilentServerIsGivenUp() throws {
    let server = try server { _ in
      Thread.sleep(forTimeInterval: 0.5)
      return Data("{}".utf8)
    }
    defer { server.stop() }
    #expect(throws: ControlError.self) { try ControlSocket.ask(.status, at: [path], timeout: 0.1) }
  }

  @Test func theDefaultPathsFollowTheEnvironment() {
    let user = geteuid()
    #expect(
      ControlSocket.defaultPaths(
        name: "a", environment: ["RUNTIME_DIRECTORY": "/run/keyweave:/run/x", "XDG_RUNTIME_DIR": "/run/user/1"])
        == [
          "/run/keyweave/a.sock", "/run/user/1/keyweave/a.sock", "/run/keyweave/a.sock", "/tmp/keyweave-\(user)/a.sock",
        ])
    #expect(
      ControlSocket.defaultPaths(name: "a", environment: ["XDG_RUNTIME_DIR": ""])
        == ["/run/keyweave/a.sock", "/tmp/keyweave-\(user)/a.sock"])
  }
}
