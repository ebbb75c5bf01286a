import Foundation
import Support
import Testing

/// Tests/Interop/reference.py, the independent implementation, with the keys of `Keyring.train`.
enum Reference {
  private static let script = """
    import sys, time
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    from reference import *
    def root(level, seed):
        keys = {g: bytes((seed + g * 37 + i * 11) & 255 for i in range(32)) for g in (6, 7, 8)}
        return RootKey(level, bytes([seed]) * 16, 7, keys)
    train = Group("train", [root(1, 1), root(3, 17)], True, 600, 255, 15)
    now = int(time.time())
    for number, line in enumerate(sys.stdin):
        words = line.split()
        if words[0] == "seal":
            generation, epoch = int(words[2]), (now // 600 + int(words[3])) & 65535
            options = b"".join(option(r.level, r.id, generation) for r in train.roots)
            counter = int(words[5]) if words[5:] else 33 << 42 | number
            header = Header(0, bytes.fromhex(words[4]), epoch, counter, options)
            key = data_key(master_key(train.roots, [generation] * 2), 0, header.id, epoch, None)
            print(seal(header, bytes.fromhex(words[1][1:]), key).hex())
        else:
            try:
                opened = open_packet(bytes.fromhex(words[3]), [train], words[1] == "udp", address(words[2]), now)
                print(opened.payload.hex() or "empty")
            except Drop as drop:
                print(drop)
    """

  private static func run(_ lines: [String]) throws -> [String] {
    try Program.withTemporaryDirectory { directory in
      let input = directory.appending(path: "input")
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
      let interop = Program.repository.appending(path: "Tests/Interop").path(percentEncoded: false)
      let result = try Program.run(Program.python, ["-c", script, interop], input: input)
      try #require(result.status == 0, "\(result.errors)")
      return result.lines.map(String.init)
    }
  }

  /// Packets from the security header to the ICV, of member 33 with ID 2a63, around these payloads.
  static func seal(_ payloads: [[UInt8]], generation: Int = 7, epoch: Int = 0) throws -> [[UInt8]] {
    try run(payloads.map { "seal x\($0.hex) \(generation) \(epoch) 00002a63" }).compactMap { [UInt8](hex: $0) }
  }

  /// One payload, sealed for each of these IDs and counters.
  static func seal(
    _ payload: [UInt8], as senders: [(id: UInt32, counter: UInt64)], generation: Int = 7, epoch: Int = 0
  ) throws -> [[UInt8]] {
    try run(
      senders.map { sender in
        let id = (0..<4).map { UInt8(truncatingIfNeeded: sender.id >> (24 - 8 * UInt32($0))) }
        return "seal x\(payload.hex) \(generation) \(epoch) \(id.hex) \(sender.counter)"
      }
    ).compactMap { [UInt8](hex: $0) }
  }

  /// The payloads of these packets, in hexadecimal, or the reasons of their drops.
  static func open(_ packets: [[UInt8]], overUDP: Bool, source: String) throws -> [String] {
    try run(packets.map { "open \(overUDP ? "udp" : "ip") \(source) \($0.hex)" })
  }
}
