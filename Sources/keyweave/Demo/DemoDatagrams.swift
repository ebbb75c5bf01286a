import ArgumentParser
import Foundation
import Glibc
import Synchronization

/// The demo's numbered datagrams: one end sends each back, the other knows what became of every single one.
struct DemoDatagrams: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "demo-datagrams", shouldDisplay: false)
  static let port: UInt16 = 7007
  static let text = "a-numbered-datagram-in-clear "

  /// Send back what comes, instead of sending.
  @Flag var reflect = false
  @Option var to: [String] = []
  /// Source ports, used in turn.
  @Option var flows = 1
  /// Datagrams per second.
  @Option var rate = 500
  /// Datagrams in all; without, until SIGTERM.
  @Option var count = Int.max
  /// Octets of UDP payload.
  @Option var size = 300

  /// What became of them.
  struct Report: Codable {
    struct Loss: Codable {
      var number: Int
      /// Seconds of the monotonic clock at which it was sent.
      var time: Double
    }
    var sent: Int
    var returned: Int
    var twice: Int
    /// Came back after one that was sent later.
    var overtaken: Int
    var lost: [Loss]
  }

  private static let stopped = Atomic<Bool>(false)

  func run() throws {
    if reflect { try Self.sendBack() }
    signal(SIGTERM) { _ in DemoDatagrams.stopped.store(true, ordering: .relaxed) }
    guard !to.isEmpty, flows > 0, rate > 0, size >= 8 else { throw ValidationError("--to, --flows, --rate, --size") }
    let sockets = try (0..<flows).map { try Self.connected(to: to[$0 % to.count]) }
    let encoder = JSONEncoder()
    FileHandle.standardOutput.write(try encoder.encode(send(sockets)))
  }

  /// Sends at an even rate and takes what comes back, until half a second after the last.
  private func send(_ sockets: [Int32]) -> Report {
    var payload = Array(String(repeating: Self.text, count: size / Self.text.utf8.count + 1).utf8.prefix(size))
    var times: [Double] = []
    var returns: [UInt8] = []
    var report = Report(sent: 0, returned: 0, twice: 0, overtaken: 0, lost: [])
    var newest = -1
    let start = Clock.seconds
    var end: Double?
    var polls = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var octets = [UInt8](repeating: 0, count: 2048)
    while end.map({ Clock.seconds < $0 }) ?? true {
      let now = Clock.seconds
      if end == nil, Self.stopped.load(ordering: .relaxed) || times.count == count { end = now + 0.5 }
      if end == nil, now >= start + Double(times.count) / Double(rate) {
        for place in 0..<8 { payload[place] = UInt8(truncatingIfNeeded: times.count >> (56 - 8 * place)) }
        _ = Glibc.send(sockets[times.count % sockets.count], payload, payload.count, 0)
        times.append(now)
        returns.append(0)
        continue
      }
      guard poll(&polls, nfds_t(polls.count), 1) > 0 else { continue }
      for entry in polls where entry.revents != 0 {
        while true {
          let length = recv(entry.fd, &octets, octets.count, Int32(MSG_DONTWAIT))
          guard length >= 8 else { break }
          let number = octets[..<8].reduce(0) { $0 << 8 | Int($1) }
          guard times.indices.contains(number) else { continue }
          if returns[number] > 0 { report.twice += 1 }
          returns[number] = 1
          if number < newest { report.overtaken += 1 }
          newest = max(newest, number)
        }
      }
    }
    report.sent = times.count
    report.returned = returns.count { $0 > 0 }
    report.lost = returns.indices.filter { returns[$0] == 0 }.map { .init(number: $0, time: times[$0]) }
    return report
  }

  private static func connected(to address: String) throws -> Int32 {
    var peer = sockaddr_in()
    peer.sin_family = sa_family_t(AF_INET)
    peer.sin_port = port.bigEndian
    guard inet_pton(AF_INET, address, &peer.sin_addr) == 1 else { throw ValidationError("--to \(address)") }
    let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    enlarge(socket)
    let status = withUnsafePointer(to: &peer) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw ValidationError("\(address): \(String(cString: strerror(errno)))") }
    return socket
  }

  private static func sendBack() throws -> Never {
    let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    enlarge(socket)
    var own = sockaddr_in()
    own.sin_family = sa_family_t(AF_INET)
    own.sin_port = port.bigEndian
    let bound = withUnsafePointer(to: &own) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0 else { throw ValidationError("port \(port): \(String(cString: strerror(errno)))") }
    var octets = [UInt8](repeating: 0, count: 2048)
    while true {
      var peer = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutablePointer(to: &peer) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { peer in
          let count = recvfrom(socket, &octets, octets.count, 0, peer, &length)
          if count > 0 { _ = sendto(socket, octets, count, 0, peer, length) }
        }
      }
    }
  }

  /// As large as an ordinary user may have it.
  private static func enlarge(_ socket: Int32) {
    var size: Int32 = 4 << 20
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
  }
}
