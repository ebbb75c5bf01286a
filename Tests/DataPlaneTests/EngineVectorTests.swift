import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

/// Published vectors: NIST CAVP, Project Wycheproof, FIPS 197, RFC 4231. Each file in Tests/Vectors names its origin.
@Suite struct EngineVectorTests {
  @Test(arguments: EngineDecision.Engine.allCases)
  func gcm(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let slot = try EngineSlot(engine)
    let vectors = try Vectors<GCMVector>.load("aes-gcm.json")
    for vector in vectors {
      let (nonce, aad, sealed, tag) = try (
        octets(vector.nonce), octets(vector.aad), octets(vector.sealed), octets(vector.tag)
      )
      slot.expand(try octets(vector.key), vector.suite)
      let opened = slot.open(sealed, tag: tag, suite: vector.suite, nonce: nonce, aad: aad)
      let clear = try vector.clear.map { try octets($0) }
      #expect(opened == clear, "\(vector.id)")
      if let clear {
        let result = slot.seal(clear, suite: vector.suite, nonce: nonce, aad: aad)
        #expect(result.text == sealed && result.tag == tag, "\(vector.id)")
      }
    }
    // The files were read whole.
    #expect(vectors.count { $0.clear != nil } == 379)
    #expect(vectors.count { $0.clear == nil } == 154)
  }

  /// The same vectors, a batch of them at a time, with keys that are expanded for these packets only.
  @Test(arguments: EngineDecision.Engine.allCases)
  func gcmInBatches(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let batch = try EngineBatch(engine)
    let vectors = try Vectors<GCMVector>.load("aes-gcm.json")
    var checked = 0
    for first in stride(from: 0, to: vectors.count, by: batch.slots.count) {
      // Neighbours in the file are alike: these come from all over it, both suites in one batch.
      let some = (first..<min(first + batch.slots.count, vectors.count)).map { vectors[$0 * 101 % vectors.count] }
      let keys = try some.map { vector in
        let use = KeyUse(suite: vector.suite, text: vector.sealed.count / 2, aad: vector.aad.count / 2)
        return (key: try octets(vector.key), use: use)
      }
      batch.expand(keys)
      for (slot, vector) in zip(batch.slots, some) {
        let (nonce, aad, sealed, tag) = try (
          octets(vector.nonce), octets(vector.aad), octets(vector.sealed), octets(vector.tag)
        )
        let clear = try vector.clear.map { try octets($0) }
        #expect(slot.open(sealed, tag: tag, suite: vector.suite, nonce: nonce, aad: aad) == clear, "\(vector.id)")
        if let clear {
          let result = slot.seal(clear, suite: vector.suite, nonce: nonce, aad: aad)
          #expect(result.text == sealed && result.tag == tag, "\(vector.id)")
        }
        checked += 1
      }
    }
    #expect(checked == 533 && vectors.count % 101 != 0)
  }

  /// The KDF through every engine's blocks, all 400 inputs in one burst per master key, and in bursts of one context.
  @Test(arguments: EngineDecision.Engine.allCases)
  func kdf(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let file = VectorFile.folder.appending(path: "data-key-kdf.json")
    let cases = try JSONDecoder().decode(KDFFile.self, from: Data(contentsOf: file)).cases
    #expect(cases.count == 400)
    let place = UnsafeMutableRawPointer.allocate(byteCount: MasterKey.stride, alignment: 64)
    defer { place.deallocate() }
    for known in cases {
      let master = MasterKey.write(try octets(known.masterKey), serial: 1, with: engine, at: place)
      // The case itself stands in the middle of a burst of others.
      let requests = try ([cases[0], cases[7], known, cases[8], cases[9]]).map { try $0.request() }
      var keys = [UInt8](repeating: 0xee, count: 32 * requests.count)
      derive(requests, under: master, with: engine, into: &keys)
      let key = try octets(known.dataKey)
      #expect(Array(keys[64..<96]) == key + [UInt8](repeating: 0, count: 32 - key.count))
    }
  }

  private func derive(
    _ requests: [DataKeyRequest], under master: MasterKey, with engine: some AEADEngine, into keys: inout [UInt8]
  ) {
    KeyDerivation().derive(requests, count: requests.count, under: master, with: engine, into: &keys)
  }

  private struct KDFFile: Decodable {
    struct Case: Decodable {
      let masterKey, id, source, dataKey: String
      let v: UInt8
      let epoch: UInt16

      func request() throws -> DataKeyRequest {
        func number(_ octets: some Sequence<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
        let address = try octets(source)
        return DataKeyRequest(
          variant: try #require(Variant(rawValue: v)), id: number(try octets(id)), epoch: epoch,
          source: IPAddress(high: number(address.prefix(8)), low: number(address.suffix(8))))
      }
    }
    let cases: [Case]
  }

  @Test(arguments: EngineDecision.Engine.allCases)
  func ecb(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let schedule = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    defer { schedule.deallocate() }
    let vectors = try Vectors<ECBVector>.load("aes-256-ecb.json")
    #expect(vectors.count == 32)
    for vector in vectors {
      engine.expandAES256(try octets(vector.key), into: schedule)
      var blocks = try octets(vector.clear)
      engine.encryptBlocks(schedule, &blocks, count: blocks.count / 16)
      #expect(blocks == (try octets(vector.sealed)), "\(vector.id)")
    }
  }

  /// RFC 4231, cases 1 to 4 (keys up to 32 octets) and 6 (longer than SHA-256's block).
  @Test(arguments: EngineDecision.Engine.allCases)
  func hmac(_ which: EngineDecision.Engine) throws {
    let engine = try makeEngine(which)
    defer { engine.shutdown() }
    let cases: [(key: [UInt8], message: [UInt8], output: String)] = [
      (
        .init(repeating: 0x0b, count: 20), Array("Hi There".utf8),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
      ),
      (
        Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
      ),
      (
        .init(repeating: 0xaa, count: 20), .init(repeating: 0xdd, count: 50),
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
      ),
      (
        Array(1...25), .init(repeating: 0xcd, count: 50),
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
      ),
      (
        .init(repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
      ),
    ]
    for vector in cases {
      var output = [UInt8](repeating: 0, count: 32)
      vector.key.withUnsafeBytes { key in
        vector.message.withUnsafeBytes { message in engine.hmacSHA256(key: key, message: message, into: &output) }
      }
      #expect(output == (try octets(vector.output)))
    }
  }

  private struct GCMVector: Decodable {
    let id, key, nonce, aad, sealed, tag: String
    /// Missing where the vector must be refused.
    let clear: String?
    let suiteName: String
    var suite: Suite { suiteName == "aes-128-gcm" ? .aes128 : .aes256 }

    private enum CodingKeys: String, CodingKey {
      case id, key, nonce, aad, sealed, tag, clear
      case suiteName = "suite"
    }
  }

  private struct ECBVector: Decodable {
    let id, key, clear, sealed: String
  }

  private struct Vectors<Vector: Decodable>: Decodable {
    let vectors: [Vector]

    static func load(_ name: String) throws -> [Vector] {
      let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Vectors/\(name)")
      return try JSONDecoder().decode(Self.self, from: Data(contentsOf: file)).vectors
    }
  }
}

private func octets(_ hex: String) throws -> [UInt8] {
  let digits = Array(hex.utf8)
  return try stride(from: 0, to: digits.count, by: 2).map { offset in
    let pair = try #require(String(bytes: digits[offset..<min(offset + 2, digits.count)], encoding: .utf8))
    return try #require(UInt8(pair, radix: 16))
  }
}
