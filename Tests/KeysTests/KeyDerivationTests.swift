import Foundation
import Keys
import Support
import Testing
import Wire

@Suite struct KeyDerivationTests {
  private let library: LibcryptoPrimitives
  private let place = UnsafeMutableRawPointer.allocate(byteCount: MasterKey.stride, alignment: 64)

  init() throws { library = try primitives() }

  private func master(_ key: [UInt8]) throws -> MasterKey {
    key.withUnsafeBytes { key in
      MasterKey.write(key.baseAddress ?? UnsafeRawPointer(place), serial: 1, with: library, at: place)
    }
  }

  private func derive(_ requests: [DataKeyRequest], under master: MasterKey) throws -> [[UInt8]] {
    let derivation = KeyDerivation()
    var keys = [UInt8](repeating: 0xee, count: requests.count * KeyDerivation.keySize)
    requests.withUnsafeBufferPointer { requests in
      keys.withUnsafeMutableBytes { keys in
        guard let first = requests.baseAddress, let place = keys.baseAddress else { return }
        derivation.derive(first, count: requests.count, under: master, with: library, into: place)
      }
    }
    return stride(from: 0, to: keys.count, by: 32).map { Array(keys[$0..<$0 + 32]) }
  }

  private func padded(_ key: [UInt8]) -> [UInt8] { key + [UInt8](repeating: 0, count: 32 - key.count) }

  @Test func derivesTheVectorsKeys() throws {
    for vector in try VectorFile.load().positive {
      let request = DataKeyRequest(
        variant: try #require(Variant(rawValue: vector.v)), id: vector.id.reduce(0) { $0 << 8 | UInt64($1) },
        epoch: vector.epoch, source: try #require(IPAddress(vector.outerSource)))
      #expect(try derive([request], under: master(vector.masterKey)) == [padded(vector.dataKey)], "\(vector.name)")
    }
  }

  private struct File: Decodable {
    struct Case: Decodable {
      @Hex var masterKey: [UInt8]
      let v: UInt8
      @Hex var id: [UInt8]
      let epoch: UInt16
      @Hex var source: [UInt8]
      @Hex var dataKey: [UInt8]

      func request() throws -> DataKeyRequest {
        func number(_ octets: some Sequence<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
        return DataKeyRequest(
          variant: try #require(Variant(rawValue: v)), id: number(id), epoch: epoch,
          source: IPAddress(high: number(source.prefix(8)), low: number(source.suffix(8))))
      }
    }
    let cases: [Case]
  }

  /// The SP 800-108 counter mode of another library, at 400 random inputs.
  @Test func agreesWithAnotherImplementation() throws {
    let file = VectorFile.folder.appending(path: "data-key-kdf.json")
    let cases = try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).cases
    #expect(cases.count == 400)
    for known in cases {
      #expect(try derive([known.request()], under: master(known.masterKey)) == [padded(known.dataKey)])
    }
  }

  /// CMAC-AES-256 of one block (NIST SP 800-38B, appendix D.3, with its K1), which each of our blocks is.
  @Test func subkeyIsThatOfSP800() throws {
    let key = try #require([UInt8](hex: "603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4"))
    let master = try master(key)
    let subkey = (0..<16).map { master.subkey[$0] }
    #expect(subkey.hex == "cad1ed03299eedac2e9a99808621502f")
    let message = try #require([UInt8](hex: "6bc1bee22e409f96e93d7e117393172a"))
    var block = zip(message, subkey).map { $0 ^ $1 }
    block.withUnsafeMutableBytes { block in
      if let base = block.baseAddress { library.encryptBlocks(master.schedule, base, count: 1) }
    }
    #expect(block.hex == "28a7023f452e8f82bd4bf28d8c37c35c")
  }

  /// Bursts of every size around a pass's width, with all variants mixed, give what single derivations give.
  @Test(arguments: [1, 2, 3, 31, 63, 64, 65, 127, 128, 129, 200])
  func aBurstIsItsPackets(count: Int) throws {
    var random = SystemRandomNumberGenerator()
    let requests = try (0..<count).map { position in
      let variants = [0, 1, 4, 5, 8, 9, 10, 11, 12, 13] as [UInt8]
      return DataKeyRequest(
        variant: try #require(Variant(rawValue: variants[Int.random(in: 0..<10)])), id: random.next(),
        epoch: UInt16(truncatingIfNeeded: position), source: IPAddress(high: random.next(), low: random.next()))
    }
    let master = try master((0..<32).map { _ in UInt8.random(in: 0...255) })
    #expect(try derive(requests, under: master) == requests.flatMap { try derive([$0], under: master) })
  }

  @Test func everyInputCounts() throws {
    let master = try master([UInt8](repeating: 7, count: 32))
    let wide = Variant(context: .sourceAddress, suite: .aes256, isWide: true)
    let base = DataKeyRequest(variant: wide, id: 5, epoch: 9, source: IPAddress(high: 1, low: 2))
    var requests = [base]
    for variant in (0...15 as ClosedRange<UInt8>).compactMap(Variant.init(rawValue:)) where variant != wide {
      requests.append(DataKeyRequest(variant: variant, id: 5, epoch: 9, source: IPAddress(high: 1, low: 2)))
    }
    for bit in 0..<64 {
      requests.append(DataKeyRequest(variant: wide, id: 5 ^ 1 << bit, epoch: 9, source: base.source))
      requests.append(DataKeyRequest(variant: wide, id: 5, epoch: 9, source: IPAddress(high: 1 ^ 1 << bit, low: 2)))
      requests.append(DataKeyRequest(variant: wide, id: 5, epoch: 9, source: IPAddress(high: 1, low: 2 ^ 1 << bit)))
      if bit < 16 {
        requests.append(DataKeyRequest(variant: wide, id: 5, epoch: 9 ^ 1 << bit, source: base.source))
      }
    }
    let keys = try derive(requests, under: master)
    #expect(Set(keys.map { $0.prefix(16) }).count == requests.count)
    // The compiler's own == over all fields is not to be had where one is written out: compare by pairs.
    for (index, request) in requests.enumerated() {
      #expect(requests.count { $0 == request } == 1, "request \(index)")
    }
  }

  @Test func aSourceAddressCountsOnlyInItsContext() throws {
    let device = Variant(context: .device, suite: .aes128, isWide: false)
    let a = DataKeyRequest(variant: device, id: 1, epoch: 1, source: IPAddress(ipv4: 1))
    let b = DataKeyRequest(variant: device, id: 1, epoch: 1, source: IPAddress(ipv4: 2))
    #expect(a == b)
  }
}
