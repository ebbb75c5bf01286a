import Testing
import Wire

/// `FlowTable`, which is the data plane's own: compiled a second time with these tests, by a link to its file.
@Suite struct FlowTableTests {
  /// A UDP flow between IPv4 hosts.
  private static func id(_ number: Int, origin: FlowOrigin = .port(0), shape: UInt8 = 0) -> FlowID {
    let packet = Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", []) + [0, 0, 0, 0]
    return packet.withUnsafeBytes {
      guard let base = $0.baseAddress else { fatalError("no octets") }
      return FlowID(
        base, isIPv4: true, ports: UInt32(number), protocolNumber: 17, shape: shape, origin: origin)
    }
  }

  private static func id6(_ octet: Int) -> FlowID {
    var packet = Packet.ipv6(from: "2001:db8::1", to: "2001:db8::2", [])
    if octet >= 0 { packet[8 + octet] ^= 0x80 }
    return packet.withUnsafeBytes {
      guard let base = $0.baseAddress else { fatalError("no octets") }
      return FlowID(base, isIPv4: false, origin: .group(0))
    }
  }

  @Test func everyFieldTellsFlowsApart() {
    var table = FlowTable<Int>(placeBits: 0)
    table.enter(Self.id(1), 1)
    #expect(table.find(Self.id(1))?.pointee == 1)
    for other in [
      Self.id(2), Self.id(1 << 31 | 1), Self.id(1, origin: .port(1)), Self.id(1, origin: .group(0)),
      Self.id(1, shape: 5),
      Self.id6(-1),
    ] {
      #expect(table.find(other) == nil)
    }
    var wide = FlowTable<Int>(placeBits: 0)
    wide.enter(Self.id6(-1), 6)
    #expect(wide.find(Self.id6(-1))?.pointee == 6)
    for octet in 0..<32 { #expect(wide.find(Self.id6(octet)) == nil, "address octet \(octet)") }
  }

  /// What is found may be changed where it is.
  @Test func aFoundWayIsTheTables() {
    var table = FlowTable<Int>(placeBits: 4)
    table.enter(Self.id(1), 1)
    table.find(Self.id(1))?.pointee = 17
    #expect(table.find(Self.id(1))?.pointee == 17)
  }

  @Test func forgets() {
    var table = FlowTable<Int>(placeBits: 4)
    for number in 0..<8 { table.enter(Self.id(number), number) }
    let known = (0..<8).count { table.find(Self.id($0)) != nil }
    #expect(known > 4)
    table.forget()
    for number in 0..<8 { #expect(table.find(Self.id(number)) == nil) }
    table.enter(Self.id(3), 33)
    #expect(table.find(Self.id(3))?.pointee == 33)
  }

  /// After 2^32 times of forgetting, what was entered before the first is not there again.
  @Test func generationsThatWrap() {
    var table = FlowTable<Int>(placeBits: 0)
    table.enter(Self.id(1), 1)
    table.forget()
    table.enter(Self.id(2), 2)
    #expect(Self.generation(&table) == 2)
    // Where 2^32 - 3 more would have brought it.
    Self.set(&table, generation: .max)
    #expect(table.find(Self.id(1)) == nil && table.find(Self.id(2)) == nil)
    table.enter(Self.id(3), 3)
    #expect(table.find(Self.id(3))?.pointee == 3)
    table.forget()
    #expect(Self.generation(&table) == 1, "no flow's number is 0")
    for number in 1...3 { #expect(table.find(Self.id(number)) == nil, "\(number)") }
    table.enter(Self.id(4), 4)
    #expect(table.find(Self.id(4))?.pointee == 4)
  }

  /// The table's last field.
  private static func generation(_ table: inout FlowTable<Int>) -> UInt32 {
    withUnsafeMutableBytes(of: &table) { $0.load(fromByteOffset: $0.count - 4, as: UInt32.self) }
  }
  private static func set(_ table: inout FlowTable<Int>, generation: UInt32) {
    withUnsafeMutableBytes(of: &table) { $0.storeBytes(of: generation, toByteOffset: $0.count - 4, as: UInt32.self) }
  }

  /// A place with two flows takes a third when it comes 33 times in a row, and no flow of a packet each.
  @Test func fullPlaces() {
    var table = FlowTable<Int>(placeBits: 0)
    table.enter(Self.id(1), 1)
    table.enter(Self.id(2), 2)
    for number in 3..<1000 { table.enter(Self.id(number), number) }
    #expect(table.find(Self.id(1))?.pointee == 1 && table.find(Self.id(2))?.pointee == 2)
    #expect((3..<1000).allSatisfy { table.find(Self.id($0)) == nil })
    // The last one waits: it may come in, and pushes out one.
    for _ in 1..<32 { table.enter(Self.id(999), 999) }
    #expect(table.find(Self.id(999)) == nil)
    table.enter(Self.id(999), 999)
    #expect(table.find(Self.id(999))?.pointee == 999)
    #expect((1...2).count { table.find(Self.id($0)) != nil } == 1)
    // In turns, nobody comes in.
    for _ in 0..<10 {
      table.enter(Self.id(5), 5)
      table.enter(Self.id(6), 6)
    }
    #expect(table.find(Self.id(999))?.pointee == 999 && table.find(Self.id(5)) == nil && table.find(Self.id(6)) == nil)
    // Forgotten flows make room at once.
    table.forget()
    table.enter(Self.id(7), 7)
    table.enter(Self.id(8), 8)
    #expect(table.find(Self.id(7))?.pointee == 7 && table.find(Self.id(8))?.pointee == 8)
  }

  /// At random, against a dictionary: what is found is what was entered last.
  @Test func neverAnothersWay() {
    var table = FlowTable<Int>(placeBits: 5)
    var entered: [Int: Int] = [:]
    var random = RepeatableGenerator(seed: 3)
    var found = 0
    for step in 0..<200_000 {
      let number = Int.random(in: 0..<150, using: &random)
      if let way = table.find(Self.numbered[number]) {
        found += 1
        if way.pointee != entered[number] { Issue.record("flow \(number) in step \(step)") }
      } else {
        table.enter(Self.numbered[number], step)
        entered[number] = step
      }
      if step % 5000 == 4999 {
        table.forget()
        entered = [:]
      }
    }
    #expect(found > 10_000)
  }
  private static let numbered = (0..<150).map { id($0) }
}

extension FlowTable {
  fileprivate mutating func enter(_ id: FlowID, _ way: Way) { enter(id)?.initialize(to: way) }
}
