/// The pcapng file format (draft-ietf-opsawg-pcapng): sections, interfaces, packets; any other block is passed over.
struct Pcapng {
  private var order = FileOrder(isBig: true)
  private var interfaces: [PcapngInterface] = []

  /// A section header's block type, the same in both byte orders.
  static let magic: [UInt8] = [0x0A, 0x0D, 0x0D, 0x0A]

  private enum BlockType {
    static let section: UInt32 = 0x0A0D_0D0A
    static let interface: UInt32 = 1
    /// Obsolete, but tools of 2010 wrote it.
    static let packet: UInt32 = 2
    static let simplePacket: UInt32 = 3
    static let enhancedPacket: UInt32 = 6
  }

  /// Reads the first section header after its block type.
  init(_ file: CaptureFile) throws(CaptureDamage) {
    try readSection(file)
  }

  /// The next packet; nothing at the end of the file.
  mutating func next(_ file: CaptureFile) throws(CaptureDamage) -> CaptureRecord? {
    while let type = try file.readAllOrNone(4) {
      switch order.uint32(type, at: 0) {
      case BlockType.section:
        try readSection(file)
      case BlockType.interface:
        interfaces.append(try PcapngInterface(try readBody(file), order))
      case BlockType.enhancedPacket:
        let body = try readBody(file, atLeast: 20)
        return try packet(body, interface: Int(order.uint32(body, at: 0)), timeOffset: 4)
      case BlockType.packet:
        let body = try readBody(file, atLeast: 20)
        return try packet(body, interface: Int(order.uint16(body, at: 0)), timeOffset: 4)
      case BlockType.simplePacket:
        return try simplePacket(try readBody(file, atLeast: 4))
      default:
        _ = try readBody(file)
      }
    }
    return nil
  }

  /// A section has a byte order and interfaces of its own.
  private mutating func readSection(_ file: CaptureFile) throws(CaptureDamage) {
    let start = try file.readAll(8)
    switch Array(start[4...]) {
    case [0x1A, 0x2B, 0x3C, 0x4D]: order = FileOrder(isBig: true)
    case [0x4D, 0x3C, 0x2B, 0x1A]: order = FileOrder(isBig: false)
    default: throw CaptureDamage(description: "a section header without its byte-order magic")
    }
    interfaces = []
    _ = try readRest(file, length: Int(order.uint32(start, at: 0)), alreadyRead: 12, atLeast: 12)
  }

  /// A block's octets after its length and before the length at its end.
  private func readBody(_ file: CaptureFile, atLeast: Int = 0) throws(CaptureDamage) -> [UInt8] {
    let length = Int(order.uint32(try file.readAll(4), at: 0))
    return try readRest(file, length: length, alreadyRead: 8, atLeast: atLeast)
  }

  private func readRest(
    _ file: CaptureFile, length: Int, alreadyRead: Int, atLeast: Int
  ) throws(CaptureDamage) -> [UInt8] {
    let count = length - alreadyRead - 4
    guard count >= atLeast, length % 4 == 0 else {
      throw CaptureDamage(description: "a block of \(length) octets, which its type cannot have")
    }
    let body = try file.readAll(count)
    guard Int(order.uint32(try file.readAll(4), at: 0)) == length else {
      throw CaptureDamage(description: "a block whose two lengths differ")
    }
    return body
  }

  /// Interface, then time, captured length, original length and the octets (both kinds of full packet blocks).
  private func packet(_ body: [UInt8], interface: Int, timeOffset: Int) throws(CaptureDamage) -> CaptureRecord {
    let interface = try self.interface(interface)
    let count = Int(order.uint32(body, at: timeOffset + 8))
    let octets = body.dropFirst(timeOffset + 16)
    guard count <= octets.count else {
      throw CaptureDamage(description: "a packet of \(count) octets in a block that holds \(octets.count)")
    }
    let stamp = UInt64(order.uint32(body, at: timeOffset)) << 32 | UInt64(order.uint32(body, at: timeOffset + 4))
    let time = interface.time(stamp)
    return CaptureRecord(
      seconds: time.seconds, nanoseconds: time.nanoseconds, linkType: interface.linkType,
      originalLength: Int(order.uint32(body, at: timeOffset + 12)), octets: Array(octets.prefix(count)))
  }

  /// Original length and octets of the first interface, without a time.
  private func simplePacket(_ body: [UInt8]) throws(CaptureDamage) -> CaptureRecord {
    let interface = try self.interface(0)
    let length = Int(order.uint32(body, at: 0))
    let captured = interface.snapshotLength == 0 ? length : min(length, interface.snapshotLength)
    return CaptureRecord(
      seconds: 0, nanoseconds: 0, linkType: interface.linkType, originalLength: length,
      octets: Array(body.dropFirst(4).prefix(captured)))
  }

  private func interface(_ number: Int) throws(CaptureDamage) -> PcapngInterface {
    guard number < interfaces.count else {
      throw CaptureDamage(description: "a packet of interface \(number), of which nothing was said before")
    }
    return interfaces[number]
  }
}
