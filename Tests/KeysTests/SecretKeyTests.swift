import Keys
import Support
import Testing

@Suite struct SecretKeyTests {
  private static let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

  @Test func readsHexOfEitherCase() throws {
    #expect(try SecretKey.parsing(hex: Self.text).copy == Array(0..<32))
  }

  @Test func refusesOtherTextWithoutRepeatingIt() throws {
    let short = String(Self.text.dropLast())
    #expect(throws: SecretKeyError.wrongDigitCount(63)) { try SecretKey.parsing(hex: short) }
    #expect(throws: SecretKeyError.wrongDigitCount(65)) { try SecretKey.parsing(hex: Self.text + "0") }
    #expect(throws: SecretKeyError.notHex) { try SecretKey.parsing(hex: short + "g") }
    #expect(throws: SecretKeyError.notHex) { try SecretKey.parsing(hex: short + " ") }
    // Two octets of UTF-8 are one character: the count of octets decides, and neither is a digit.
    #expect(throws: SecretKeyError.notHex) { try SecretKey.parsing(hex: short.dropLast() + "é") }
    #expect(throws: SecretKeyError.wrongLength(31)) { try SecretKey.copying([UInt8](repeating: 1, count: 31)) }
    #expect(throws: SecretKeyError.wrongLength(0)) { try SecretKey.copying([]) }
    for error in [SecretKeyError.wrongDigitCount(63), .notHex, .wrongLength(31)] {
      #expect(!error.description.contains("0102"))
    }
  }

  @Test func showsNothingOfItself() throws {
    let secret = try SecretKey.parsing(hex: Self.text)
    let generation = Generation(index: 7, key: secret)
    let root = RootKey(level: .trustRegion, id: [1], current: generation)
    let group = TrustGroup(name: "train", rootKeys: [root])
    var dumped = ""
    dump(group, to: &dumped)
    for shown in [
      "\(secret)", "\(generation)", "\(group)", String(reflecting: secret), String(reflecting: group), dumped,
    ] {
      #expect(shown.contains("redacted"))
      #expect(!shown.lowercased().contains("0102"))
      #expect(!shown.contains("1, 2, 3"))
      #expect(!shown.contains("0x"), "an address leads to the key")
    }
    #expect(Mirror(reflecting: secret).children.isEmpty)
  }

  @Test func comparesAllOctets() throws {
    let one = try SecretKey.parsing(hex: Self.text)
    #expect(try one == SecretKey.parsing(hex: Self.text.lowercased()))
    for position in 0..<32 {
      var octets = one.copy
      octets[position] ^= 0x80
      #expect(try one != SecretKey.copying(octets))
    }
  }

  @Test func randomKeysDiffer() throws {
    let keys = try (0..<64).map { _ in try SecretKey.random() }
    #expect(Set(keys.map(\.copy)).count == 64)
    #expect(keys.allSatisfy { Set($0.copy).count > 8 })
  }

  @Test func isZeroedOnRelease() throws {
    var secret: SecretKey? = try SecretKey.random()
    let place = try #require(secret?.withOctets { $0.baseAddress })
    let octets = UnsafeRawBufferPointer(start: place, count: 32)
    // A neighbour in the same page keeps it mapped.
    let neighbours = try (0..<200).map { _ in try SecretKey.random() }
    #expect(octets.contains { $0 != 0 })
    secret = nil
    #expect(octets.allSatisfy { $0 == 0 })
    #expect(neighbours.count == 200)
  }

  @Test func thousandsShareFewPages() throws {
    let before = try lockedKilobytes()
    var keys = try (0..<4096).map { _ in try SecretKey.random() }
    // 4096 keys of 32 octets are 128 KiB; other tests lock memory at the same time.
    #expect(try lockedKilobytes() < before + 2048)
    #expect(Set(keys.map { $0.withOctets { UInt(bitPattern: $0.baseAddress) } }).count == 4096)
    keys.removeAll()
    #expect(try SecretKey.random().copy.count == 32)
  }

  private func lockedKilobytes() throws -> Int {
    let status = try #require(ProcessMemory.status("VmLck"))
    return status
  }
}
