import Keys
import Support
import Testing
import Wire

@Suite struct KeyTableTests {
  private let vectors: VectorFile
  private let library: LibcryptoPrimitives

  init() throws {
    vectors = try VectorFile.load()
    library = try primitives()
  }

  /// The raw key, which the library's "schedule" is.
  private func rawKey(_ master: MasterKey) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: master.schedule, count: 32))
  }

  @Test func findsTheMasterKeyOfEveryVector() throws {
    let groups = try vectors.positive.enumerated().map { index, vector in
      TrustGroup(
        name: vector.name, isDefault: false, maxCOffset: 255, maxIOffset: 15,
        rootKeys: try vector.rootKeys.map(RootKey.init))
    }
    for (index, vector) in vectors.positive.enumerated() {
      // Some vectors share IDs: then a table of all groups is refused, and each is looked up in one of its own.
      let table = try KeyTable([groups[index]], with: library)
      guard
        case .header(let header) = SecurityHeader.decode(
          vector.packet.span.bytes, overUDP: false, sourceIsMapped: false)
      else {
        Issue.record("\(vector.name) does not decode")
        continue
      }
      let found = vector.packet.withUnsafeBytes { packet -> MasterKey? in
        guard let base = packet.baseAddress else { return nil }
        if header.optionCount == 0 { return table.view.group(at: 0)?.pointee.master(reserve: header.reserve) }
        return table.view.group(namedBy: header, at: base)?.pointee.master(namedBy: header)
      }
      let master = try #require(found, "\(vector.name)")
      #expect(rawKey(master) == vector.masterKey, "\(vector.name)")
    }
  }

  /// A table made again has other serials and the same fingerprints: by them a replay window knows its key.
  @Test func fingerprintsOutliveTheTable() throws {
    let group = TrustGroup(
      name: "all", rootKeys: [try rootKey(.trustRegion, 1, first: 16), try rootKey(.userGroup, 2, first: 32)])
    func masters() throws -> [(fingerprint: UInt64, serial: UInt64)] {
      let table = try KeyTable([group], with: library)
      var all: [(UInt64, UInt64)] = []
      for first in 6...8 as ClosedRange<UInt64> {
        for second in 6...8 as ClosedRange<UInt64> {
          let master = try #require(table.master(ofGroup: 0, generations: [first, second]))
          all.append((master.fingerprint, master.serial))
        }
      }
      return all
    }
    let (one, two) = (try masters(), try masters())
    #expect(one.map(\.fingerprint) == two.map(\.fingerprint) && Set(one.map(\.fingerprint)).count == 9)
    #expect(Set(one.map(\.serial)).isDisjoint(with: two.map(\.serial)))
  }

  /// Three levels, nine generations, 27 master keys, all different, each found by its own options and by its Reserve.
  @Test func holdsEveryCombination() throws {
    let group = TrustGroup(
      name: "all",
      rootKeys: [
        try rootKey(.taskGroup, 3, first: 64, idLength: 20), try rootKey(.trustRegion, 1, first: 16),
        try rootKey(.userGroup, 2, first: 32, idLength: 32),
      ])
    let table = try KeyTable([group], with: library)
    let entry = try #require(table.view.group(at: 0))
    var seen: Set<[UInt8]> = []
    for a in 5...9 as ClosedRange<UInt8> {
      for b in 5...9 as ClosedRange<UInt8> {
        for c in 5...9 as ClosedRange<UInt8> {
          let named: [Named] = [
            (1, a, Array(repeating: 1, count: 16)), (2, b, Array(repeating: 2, count: 32)),
            (3, c, Array(repeating: 3, count: 20)),
          ]
          let (header, octets) = try #require(makeHeader(naming: named))
          let found = octets.withUnsafeBytes { octets in
            octets.baseAddress.flatMap { table.view.group(namedBy: header, at: $0) }
          }
          #expect(found == entry)
          let master = entry.pointee.master(namedBy: header)
          #expect((master != nil) == [a, b, c].allSatisfy { (6...8).contains($0) })
          let reserve = a & 3 | (b & 3) << 2 | (c & 3) << 4
          if let master {
            #expect(entry.pointee.master(reserve: reserve) == master)
            #expect(entry.pointee.master(reserve: reserve | 0xc0) == master, "the upper two bits are ignored")
            seen.insert(rawKey(master))
            #expect(table.serials.contains(master.serial))
          }
          // 5 and 9 mod 4 are the one residue that none of 6, 7, 8 has.
          #expect((entry.pointee.master(reserve: reserve) == nil) == [a, b, c].contains { $0 & 3 == 1 })
        }
      }
    }
    #expect(seen.count == 27)
    #expect(table.serials.count == 27)
  }

  @Test func numbersWrapInPackets() throws {
    var root = try rootKey(.userGroup, 2, first: 16)
    root.previous?.index = 255
    root.current.index = 256
    root.next?.index = 257
    let table = try KeyTable([TrustGroup(name: "wrap", rootKeys: [root])], with: library)
    let entry = try #require(table.view.group(at: 0))
    func master(_ index: UInt8) throws -> MasterKey? {
      let named: [Named] = [(2, index, root.id)]
      return entry.pointee.master(namedBy: try #require(makeHeader(naming: named)).header)
    }
    #expect(try master(0) == entry.pointee.sealing)
    #expect(try master(255) != nil)
    #expect(try master(1) != nil)
    #expect(try master(254) == nil)
    #expect(try master(2) == nil)
    // Absent levels' bits are ignored; user-group has bits 2 and 3.
    #expect(entry.pointee.master(reserve: 0b11_11_00_11) == entry.pointee.sealing)
    #expect(entry.pointee.master(reserve: 0b00_10_00) == nil)
  }

  @Test func saysWhatToSend() throws {
    let region = try rootKey(.trustRegion, 1, first: 16)
    let task = try rootKey(.taskGroup, 3, first: 32, idLength: 24)
    let table = try KeyTable([TrustGroup(name: "send", epochPeriod: 60, rootKeys: [task, region])], with: library)
    let entry = try #require(table.view.group(at: 0)).pointee
    let options = Array(UnsafeRawBufferPointer(start: entry.options, count: entry.optionsLength))
    #expect(options == [1, 18, 7, 0] + region.id + [3, 26, 7, 0] + task.id)
    #expect(entry.reserve == 0b11_00_11)
    #expect(entry.master(reserve: entry.reserve) == entry.sealing)
    let named: [Named] = [(1, 7, region.id), (3, 7, task.id)]
    #expect(entry.master(namedBy: try #require(makeHeader(naming: named)).header) == entry.sealing)
    #expect(entry.epochPeriod == 60)
    #expect((entry.maxCOffset, entry.maxIOffset) == (16, 0))
  }

  /// Hundreds of groups that share root keys: each is found by its own pairs, and by nothing less, more or else.
  @Test func findsExactlyTheNamedGroup() throws {
    let regions = try (0..<20).map { RootKey(level: .trustRegion, id: id($0), current: try generation(1, 1)) }
    let tasks = try (0..<25).map { RootKey(level: .taskGroup, id: id($0), current: try generation(1, 2)) }
    let groups = regions.enumerated().flatMap { i, region in
      tasks.enumerated().map { j, task in TrustGroup(name: "\(i).\(j)", rootKeys: [region, task]) }
    }
    let table = try KeyTable(groups, with: library)
    func found(_ named: [Named]) throws -> Int? {
      let (header, octets) = try #require(makeHeader(naming: named))
      return octets.withUnsafeBytes { octets in
        octets.baseAddress.flatMap { table.view.group(namedBy: header, at: $0)?.pointee.index }
      }
    }
    for i in 0..<20 {
      for j in 0..<25 {
        #expect(try found([(1, 1, id(i)), (3, 1, id(j))]) == i * 25 + j)
        #expect(table.index(ofGroup: "\(i).\(j)") == i * 25 + j)
      }
    }
    #expect(try found([(1, 1, id(0))]) == nil)
    #expect(try found([(1, 1, id(0)), (2, 1, id(0))]) == nil)
    #expect(try found([(1, 1, id(0)), (2, 1, id(1)), (3, 1, id(0))]) == nil)
    #expect(try found([(1, 1, id(21)), (3, 1, id(0))]) == nil)
    #expect(try found([(1, 1, id(0) + [0, 0, 0, 0]), (3, 1, id(0))]) == nil)
    for position in 0..<16 {
      var other = id(7)
      other[position] ^= 0x80
      #expect(try found([(1, 1, other), (3, 1, id(24))]) == nil)
    }
    #expect(table.view.group(at: 500) == nil)
    #expect(table.view.group(at: -1) == nil)
  }

  /// 16 octets that differ in the middle only, which is what a hash of the ends alone would not see as long.
  private func id(_ number: Int) -> [UInt8] {
    var id = [UInt8](repeating: 0xa5, count: 16)
    id[7] = UInt8(number)
    return id
  }

  @Test func serialsAreNeverUsedAgain() throws {
    let group = TrustGroup(name: "same", isDefault: true, rootKeys: [try rootKey(.trustRegion, 1, first: 16)])
    var used: Set<UInt64> = []
    for _ in 0..<10 {
      let table = try KeyTable([group], with: library)
      #expect(table.serials.count == 3)
      #expect(table.defaultGroup == 0)
      #expect(used.isDisjoint(with: table.serials))
      #expect(!table.serials.contains(0), "0 stands for no key")
      used.formUnion(table.serials)
    }
  }

  @Test func anEmptyTableFindsNothing() throws {
    let table = try KeyTable([], with: library)
    let named: [Named] = [(1, 1, id(0))]
    let (header, octets) = try #require(makeHeader(naming: named))
    octets.withUnsafeBytes { octets in
      if let base = octets.baseAddress { #expect(table.view.group(namedBy: header, at: base) == nil) }
    }
    #expect(table.defaultGroup == nil)
    #expect(table.serials.isEmpty)
  }

  @Test func refusesAsAWhole() throws {
    let good = TrustGroup(name: "good", rootKeys: [try rootKey(.trustRegion, 1, first: 16)])
    let bad = TrustGroup(name: "bad", rootKeys: [])
    let error = try #require(throws: KeyTableError.self) { try KeyTable([good, bad], with: library) }
    #expect(error.description.contains("trust_groups[1].root_keys: found 0, expected 1 to 3 root keys"))
  }

  /// Root keys, master keys and data keys are nowhere in the process's memory once everything that held them is gone.
  @Test func leavesNoKeyBehind() throws {
    var masks: [[UInt8]] = []
    func mask(_ octets: UnsafeRawBufferPointer) { masks.append(octets.map { $0 ^ 0x5a }) }
    func live(_ check: ([[UInt8]]) throws -> Void) throws {
      let generation = Generation(index: 1, key: try SecretKey.random())
      generation.key.withOctets(mask)
      let root = RootKey(level: .trustRegion, id: id(0), current: generation)
      let table = try KeyTable([TrustGroup(name: "gone", rootKeys: [root])], with: library)
      let master = try #require(table.view.group(at: 0)).pointee.sealing
      mask(UnsafeRawBufferPointer(start: master.schedule, count: 32))
      mask(UnsafeRawBufferPointer(start: master.schedule + 256, count: 16))
      let derivation = KeyDerivation()
      let keys = try LockedMemory(octets: 32)
      let variant = Variant(context: .sourceAddress, suite: .aes256, isWide: true)
      derivation.derive(
        DataKeyRequest(variant: variant, id: 1, epoch: 1, source: IPAddress(ipv4: 1)), under: master, with: library,
        into: keys.base)
      mask(UnsafeRawBufferPointer(start: keys.base, count: 32))
      try check(masks)
    }
    try live { (masks: [[UInt8]]) throws in
      for mask in masks { #expect(try !ProcessMemory.occurrences(masked: mask).isEmpty, "the scan finds a live key") }
    }
    #expect(masks.count == 4)
    for mask in masks {
      let left = try ProcessMemory.occurrences(masked: mask)
      #expect(left == [])
    }
  }
}
