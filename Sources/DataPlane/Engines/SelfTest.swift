internal import Keys
internal import Wire

/// Known answers that an engine must give before it may see a key or a packet.
///
/// The answers are published ones: NIST CAVP (gcmEncryptExtIV, 96-bit IV), FIPS 197 appendix C.3 and RFC 4231 case 1.
package enum SelfTest {
  /// Throws `selfTestFailed` with the name of the first check that fails.
  package static func run<Engine: AEADEngine>(_ engine: Engine) throws(EngineError) {
    let slot = UnsafeMutableRawPointer.allocate(byteCount: engine.slotSize, alignment: 64)
    defer { slot.deallocate() }
    try engine.prepareSlot(slot)
    defer { engine.releaseSlot(slot) }
    for answer in sealed { try check(engine, slot, answer) }
    try require(Engine.self, "AES-256-ECB", encryptsBlocks(engine))
    try require(Engine.self, "HMAC-SHA-256", authenticates(engine))
  }

  private static func require<Engine: AEADEngine>(
    _: Engine.Type, _ name: String, _ passed: Bool
  ) throws(EngineError) {
    guard passed else { throw .selfTestFailed(engine: Engine.name, check: name) }
  }

  // MARK: GCM

  private struct Sealed {
    let name: String, suite: Suite
    let key, nonce, aad, clear, sealed, tag: [UInt8]
  }

  private static let sealed = [
    Sealed(
      name: "AES-256-GCM", suite: .aes256,
      key: octets("148579a3cbca86d5520d66c0ec71ca5f7e41ba78e56dc6eebd566fed547fe691"),
      nonce: octets("b08a5ea1927499c6ecbfd4e0"),
      aad: octets(
        "e4f963f015ffbb99ee3349bbaf7e8e8e6c2a71c230a48f9d59860a29091d2747e01a5ca572347e247d25f56ba7ae8e05"
          + "cde2be3c97931292c02370208ecd097ef692687fecf2f419d3200162a6480a57dad408a0dfeb492e2c5d"),
      clear: octets(
        "9d0b15fdf1bd595f91f8b3abc0f7dec927dfd4799935a1795d9ce00c9b879434420fe42c275a7cd7b39d638fb81ca52b49dc41"),
      sealed: octets(
        "2097e372950a5e9383c675e89eea1c314f999159f5611344b298cda45e62843716f215f82ee663919c64002a5c198d7878fd3f"),
      tag: octets("adbecdb0d5c2224d804d2886ff9a5760")),
    Sealed(
      name: "AES-128-GCM", suite: .aes128,
      key: octets("2c1f21cf0f6fb3661943155c3e3d8492"),
      nonce: octets("23cb5ff362e22426984d1907"),
      aad: octets(
        "5d3624879d35e46849953e45a32a624d6a6c536ed9857c613b572b0333e701557a713e3f010ecdf9a6bd6c9e3e44b065"
          + "208645aff4aabee611b391528514170084ccf587177f4488f33cfb5e979e42b6e1cfc0a60238982a7aec"),
      clear: octets(
        "42f758836986954db44bf37c6ef5e4ac0adaf38f27252a1b82d02ea949c8a1a2dbc0d68b5615ba7c1220ff6510e259f06655d8"),
      sealed: octets(
        "81824f0e0d523db30d3da369fdc0d60894c7a0a20646dd015073ad2732bd989b14a222b6ad57af43e1895df9dca2a5344a62cc"),
      tag: octets("57a3ee28136e94c74838997ae9823f3a")),
    Sealed(
      name: "AES-256-GCM without text", suite: .aes256,
      key: octets("886cff5f3e6b8d0e1ad0a38fcdb26de97e8acbe79f6bed66959a598fa5047d65"),
      nonce: octets("3a8efa1cd74bbab5448f9945"), aad: octets("519fee519d25c7a304d6c6aa1897ee1eb8c59655"),
      clear: [], sealed: [], tag: octets("f6d47505ec96c98a42dc3ae719877b87")),
    Sealed(
      name: "AES-128-GCM without text", suite: .aes128,
      key: octets("2fb45e5b8f993a2bfebc4b15b533e0b4"),
      nonce: octets("5b05755f984d2b90f94b8027"), aad: octets("e85491b2202caf1d7dce03b97e09331c32473941"),
      clear: [], sealed: [], tag: octets("c75b7832b2a2d9bd827412b6ef5769db")),
  ]

  /// Seals, opens, and tries one bit of the tag changed at either end.
  private static func check<Engine: AEADEngine>(
    _ engine: Engine, _ slot: UnsafeMutableRawPointer, _ answer: Sealed
  ) throws(EngineError) {
    engine.expand(answer.key, suite: answer.suite, into: slot)
    var text = answer.clear
    var tag = [UInt8](repeating: 0, count: 16)
    engine.seal(
      slot, suite: answer.suite, nonce: answer.nonce, aad: answer.aad, aadLength: answer.aad.count, text: &text,
      length: text.count, tag: &tag)
    try require(Engine.self, "sealing with \(answer.name)", text == answer.sealed && tag == answer.tag)
    for (position, bit) in [(0, 0x80), (15, 0x01)] as [(Int, UInt8)] {
      text = answer.sealed
      tag[position] ^= bit
      let opened = open(engine, slot, answer, &text, tag)
      tag[position] ^= bit
      try require(Engine.self, "refusing a wrong tag with \(answer.name)", !opened)
    }
    text = answer.sealed
    let opened = open(engine, slot, answer, &text, tag)
    try require(Engine.self, "opening with \(answer.name)", opened && text == answer.clear)
    engine.eraseSlot(slot)
    text = answer.sealed
    try require(Engine.self, "erasing with \(answer.name)", !open(engine, slot, answer, &text, tag))
  }

  private static func open<Engine: AEADEngine>(
    _ engine: Engine, _ slot: UnsafeMutableRawPointer, _ answer: Sealed, _ text: inout [UInt8], _ tag: [UInt8]
  ) -> Bool {
    engine.open(
      slot, suite: answer.suite, nonce: answer.nonce, aad: answer.aad, aadLength: answer.aad.count, text: &text,
      length: text.count, tag: tag)
  }

  // MARK: Key primitives

  /// FIPS 197, C.3, by one block and by as many as take every path of wide code: the engines' widest runs 16 at a time.
  private static func encryptsBlocks<Engine: AEADEngine>(_ engine: Engine) -> Bool {
    let clear = octets("00112233445566778899aabbccddeeff")
    let sealed = octets("8ea2b7ca516745bfeafc49904b496089")
    let schedule = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    defer { schedule.deallocate() }
    engine.expandAES256([UInt8](0..<32), into: schedule)
    return [1, 2, 16, 33].allSatisfy { count in
      var blocks = [UInt8]()
      for _ in 0..<count { blocks += clear }
      engine.encryptBlocks(schedule, &blocks, count: count)
      return stride(from: 0, to: blocks.count, by: 16).allSatisfy { blocks[$0..<$0 + 16] == sealed[...] }
    }
  }

  /// RFC 4231 case 1. Its key has 20 octets; HMAC fills any key up with zeroes, so 12 of them change nothing.
  private static func authenticates<Engine: AEADEngine>(_ engine: Engine) -> Bool {
    let key = [UInt8](repeating: 0x0b, count: 20) + [UInt8](repeating: 0, count: 12)
    var output = [UInt8](repeating: 0, count: 32)
    key.withUnsafeBytes { key in
      Array("Hi There".utf8).withUnsafeBytes { message in
        output.withUnsafeMutableBytes { output in
          guard let output = output.baseAddress else { return }
          engine.hmacSHA256(key: key, message: message, into: output)
        }
      }
    }
    return output == octets("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
  }

  /// The octets of a known answer above, written in hexadecimal.
  private static func octets(_ hex: String) -> [UInt8] {
    var result: [UInt8] = []
    var high: UInt8?
    for character in hex {
      let digit = UInt8(truncatingIfNeeded: character.hexDigitValue ?? 0)
      if let first = high {
        result.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return result
  }
}
