import DataPlane
import Wire

enum Direction: String, CaseIterable {
  case seal, open
}

/// Inner and outer packets are of one family.
enum Family: String {
  case ipv4, ipv6
}

/// What seals and opens: the gateway's own choice, one engine, or nothing at all (the floor).
enum Cipher: String {
  case auto, openSSL, floor

  /// The floor needs a build of its own (`make perf` makes it).
  static var hasFloor: Bool {
    #if FLOOR
      true
    #else
      false
    #endif
  }
}

/// What a gateway is set up for.
struct Kind: Hashable {
  var direction: Direction
  var family = Family.ipv4
  var suite = Suite.aes256
  var mode = GatewayPlan.Mode.tunnel
  /// Master key options in the header, as the configuration has it unless it says otherwise: 40 octets of header, not 16.
  var hasOptions = true
  var cipher = Cipher.auto
  var lcores = 1
  /// Without, a data key is derived for every packet.
  var cachesKeys = true
  /// What is opened is not delivered but sealed for another trust group.
  var isProxied = false

  init(_ direction: Direction, _ edit: (inout Kind) -> Void = { _ in }) {
    self.direction = direction
    edit(&self)
  }

  /// Octets of the security header.
  var headerLength: Int { hasOptions ? 40 : 16 }
}

/// Lengths of packets, from the IP header on: what one tunnel carries.
enum Sizes: Hashable {
  case fixed(Int)
  /// The simple IMIX: 7 short, 4 middling and 1 long packet of twelve.
  case imix
  /// 64 octets each, of so many flows.
  case flows(Int)

  static let all: [Sizes] = [64, 128, 256, 512, 1024, 1420, 4096, 8192].map { .fixed($0) } + [.imix]
  static let goals: [Sizes] = [64, 512, 1420, 8192].map { .fixed($0) }

  var name: String {
    switch self {
    case .fixed(let length): "\(length)"
    case .imix: "IMIX"
    case .flows(let count): "\(count)"
    }
  }

  /// One length for each frame of a set. Sets of long frames are small, so that reading them disturbs few cache lines.
  var lengths: [Int] {
    switch self {
    case .fixed(let length): return Array(repeating: length, count: min(256, max(32, 131_072 / length)))
    case .flows(let count): return Array(repeating: 64, count: count)
    case .imix:
      let dozen = [64, 576, 64, 1420, 64, 576, 64, 64, 576, 64, 576, 64]
      return Array(repeating: dozen, count: 8).flatMap(\.self)
    }
  }
}
