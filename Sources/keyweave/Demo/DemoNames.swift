import ArgumentParser
import Glibc

/// The demo's name server: real DNS on UDP port 53, a text of DNS size as the answer to every question.
struct DemoNames: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "demo-names", shouldDisplay: false)

  /// Fits two strings of 200 octets: with question and header an answer of about 470 octets.
  static let text = "clear-text-of-the-name-server "

  func run() throws {
    let socket = socket(AF_INET6, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = UInt16(53).bigEndian
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
      }
    }
    guard bound == 0 else { throw ValidationError("port 53: \(String(cString: strerror(errno)))") }
    var question = [UInt8](repeating: 0, count: 512)
    while true {
      var peer = sockaddr_in6()
      var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
      withUnsafeMutablePointer(to: &peer) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { peer in
          let count = recvfrom(socket, &question, question.count, 0, peer, &length)
          guard count > 0, let answer = Self.answer(to: question[0..<count]) else { return }
          _ = sendto(socket, answer, answer.count, 0, peer, length)
        }
      }
    }
  }

  /// The answer to one question (RFC 1035): a TXT record for TXT, no record for another type; nil for anything else.
  static func answer(to message: ArraySlice<UInt8>) -> [UInt8]? {
    let query = Array(message)
    // Header of 12 octets: one question, not itself an answer.
    guard query.count > 12, query[2] & 0x80 == 0, query[4] == 0, query[5] == 1 else { return nil }
    var end = 12
    while end < query.count, query[end] != 0 {
      guard query[end] < 64 else { return nil }
      end += 1 + Int(query[end])
    }
    // The root label, type and class follow the last label.
    let after = end + 5
    guard after <= query.count else { return nil }
    let isText = query[end + 1] == 0 && query[end + 2] == 16
    // Answer, authoritative, recursion as asked; one question, one answer or none.
    var answer = Array(query[0..<2]) + [0x84 | (query[2] & 1), 0, 0, 1, 0, isText ? 1 : 0, 0, 0, 0, 0]
    answer += query[12..<after]
    guard isText else { return answer }
    let string = Array(String(repeating: text, count: 7).utf8.prefix(200))
    let data = [UInt8(string.count)] + string + [UInt8(string.count)] + string
    // The name by pointer to octet 12, type TXT, class IN, 60 s, the length of the data.
    answer += [0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 60, UInt8(data.count >> 8), UInt8(data.count & 255)] + data
    return answer
  }
}
