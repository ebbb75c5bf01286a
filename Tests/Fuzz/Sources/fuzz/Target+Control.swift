import Control
import Foundation
import Keys

extension Target {
  /// A gateway's configuration beside a right keys file.
  static let configuration = Target(
    name: "configuration",
    seeds: { seeds in seeds.files(in: "config", endings: [".yaml"]) },
    run: { bytes in
      _ = keysSeed
      let path = Scratch.file("gateway.yaml", bytes.octets)
      do throws(Mistakes) {
        let file = try ConfigurationFile.load(path, at: now)
        let fields = file.configuration.restartFields(comparedTo: file.configuration)
        require(fields.isEmpty, "a configuration is like itself, not different in \(fields)")
      } catch {
        require(!error.all.isEmpty, "a refusal says why")
      }
    })

  /// A keys file: what it accepts can be installed.
  static let keysFile = Target(
    name: "keys",
    seeds: { _ in [keysSeed] },
    run: { bytes in
      let path = Scratch.file("fuzzed.yaml", bytes.octets)
      do throws(Mistakes) {
        let file = try KeysFile.load(path, at: now)
        require(TrustGroup.problems(in: file.groups).isEmpty, "a keys file is accepted only when its groups are right")
      } catch {
        require(!error.all.isEmpty, "a refusal says why")
      }
    })

  private static let now: UInt64 = 1_800_000_000

  /// Two groups with all levels and generations, also in the place where configurations look for their keys.
  private static let keysSeed: [UInt8] = {
    let template = KeysFile.Template(
      groups: ["train", "storage"], levels: [.trustRegion, .userGroup, .taskGroup], epochPeriod: 600, generations: 3)
    let path = "\(Scratch.folder)/keys.yaml"
    do { try KeysFile.create(path, template, at: now) } catch { require(false, "\(error)") }
    return FileManager.default.contents(atPath: path).map(Array.init) ?? []
  }()

  /// A request on the control socket, with or without an end of line.
  static let controlRequest = Target(
    name: "control",
    seeds: { _ in
      ["{\"command\":\"status\"}\n", "{\"command\":\"reload\"}", "{\"command\":\"ping\",\"more\":[1,null]}\n", "\n"]
        .map { Array($0.utf8) }
    },
    run: { bytes in
      let reply = ask(bytes.octets)
      let object = try? JSONSerialization.jsonObject(with: Data(reply)) as? [String: Any]
      require(object != nil, "every request is answered with an object")
      require(reply.last == UInt8(ascii: "\n") && reply.count { $0 == UInt8(ascii: "\n") } == 1, "a reply is one line")
    })

  private static let server: ControlServer? = try? ControlServer(paths: ["\(Scratch.folder)/fuzz.sock"]) { command in
    Data("{\"ok\":\"\(command.rawValue)\"}".utf8)
  }

  /// Sends a request as a client does and reads until the server is done.
  private static func ask(_ request: [UInt8]) -> [UInt8] {
    guard let server else {
      require(false, "the server starts")
      return []
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: server.path.utf8) }
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    require(connected == 0, "the server takes connections")
    // A request that is too long is answered before it is read to its end.
    _ = send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
    shutdown(descriptor, Int32(SHUT_WR))
    var reply: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &room, room.count, 0)
      // libFuzzer's timer interrupts system calls.
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return reply }
      reply += room[..<count]
    }
  }
}
