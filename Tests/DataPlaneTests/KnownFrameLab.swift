import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

/// A packet as the independent implementation seals it for station 2, and the outer headers around it.
struct Foreign: Sendable, Hashable {
  /// 0: `Keyring.train`; 1: `Keyring.other`; 2: one that nobody here serves.
  var group = 0
  var suite = Suite.aes256
  var context = KeyContext.device
  var isWide = false
  var options = true
  var outer = 4
  var carriage = GatewayPlan.Carriage.udp
  var coffset = 0
  var ioffset = 0
  var id: UInt64 = 0x2A63
  var member: UInt64 = 33
  var generation = 7
  /// From the receiver's own.
  var epoch = 0
  var sequence: UInt64?
  var tos: UInt8 = 0
  var source = 1
  var payload: [UInt8] = []

  private var variant: Int {
    (isWide ? 8 : 0) | (context == .sourceAddress ? 4 : 0) | (suite == .aes128 ? 1 : 0)
  }
  private var address: String { outer == 4 ? "192.0.2.\(source)" : "2001:db8:f::\(source)" }

  /// From the outer Ethernet header on.
  func frame(_ packet: [UInt8], to mac: MACAddress, vlans: [Int]) -> [UInt8] {
    let payload = carriage == .udp ? Packet.udp(50000, 4500, packet) : packet
    let number: UInt8 = carriage == .udp ? 17 : 253
    let outer =
      outer == 4
      ? Packet.ipv4(from: address, to: "192.0.2.2", protocol: number, tos: tos, payload)
      : Packet.ipv6(from: address, to: "2001:db8:f::2", next: number, trafficClass: tos, payload)
    return Packet.frame(to: mac, from: Station.router, vlans: vlans, outer)
  }

  private static let script = """
    import sys, time
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    from reference import *
    def root(level, seed):
        keys = {g: bytes((seed + g * 37 + i * 11) & 255 for i in range(32)) for g in range(5, 10)}
        return RootKey(level, bytes([seed]) * 16, 7, keys)
    groups = [[root(1, seed), root(3, seed + 16)] for seed in (1, 101, 201)]
    now = int(time.time()) // 600
    for number, line in enumerate(sys.stdin):
        words = line.split()
        group, variant, options, coffset, ioffset, member, generation, epoch, sequence = map(int, words[:9])
        roots, id, source = groups[group], bytes.fromhex(words[9])[-8 if variant & 8 else -4:], address(words[10])
        named = b"".join(option(r.level, r.id, generation) for r in roots) if options else b""
        reserve = 0 if named else sum((generation & 3) << 2 * (r.level - 1) for r in roots)
        epoch = now + epoch & 65535
        counter = member << 42 | (number if sequence < 0 else sequence)
        header = Header(variant, id, epoch, counter, named, reserve, coffset, ioffset)
        key = data_key(master_key(roots, [generation] * 2), variant, id, epoch, source)
        print(seal(header, bytes.fromhex(words[11][1:]), key).hex())
    """

  /// Returns when no epoch of 600 s ends within the next ten seconds: what a test compares is then of one.
  static func awaitEpoch() {
    let left = 600 - Int(Date().timeIntervalSince1970) % 600
    if left <= 10 { Thread.sleep(forTimeInterval: Double(left + 2)) }
  }

  /// From the security header to the ICV.
  static func seal(_ all: [Foreign]) throws -> [[UInt8]] {
    awaitEpoch()
    return try Program.withTemporaryDirectory { directory in
      let input = directory.appending(path: "input")
      let lines = all.map { one in
        let id = String(one.id, radix: 16)
        let numbers: [Int] = [
          one.group, one.variant, one.options ? 1 : 0, one.coffset, one.ioffset, Int(one.member), one.generation,
          one.epoch, one.sequence.map(Int.init) ?? -1,
        ]
        return numbers.map(String.init).joined(separator: " ")
          + " \(String(repeating: "0", count: 16 - id.count))\(id) \(one.address) x\(one.payload.hex)\n"
      }
      try Data(lines.joined().utf8).write(to: input)
      let interop = Program.repository.appending(path: "Tests/Interop").path(percentEncoded: false)
      let result = try Program.run(Program.python, ["-c", script, interop], input: input)
      try #require(result.status == 0, "\(result.errors)")
      return result.lines.compactMap { [UInt8](hex: String($0)) }
    }
  }
}
