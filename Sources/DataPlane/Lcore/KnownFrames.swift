internal import CDPDK
internal import Keys
internal import Wire

/// What came of a frame's headers up to the payload: that it is for this gateway, which group it names, under which master key.
/// Frames with the same headers, but for the fields that each packet has for itself, come to the same.
struct KnownFrame {
  private typealias Vector = SIMD2<UInt64>
  /// The longest headers: a tagged frame's, 18; IPv6, 40; UDP, 8; security header, 128.
  private static var most: Int { 13 }

  /// Vectors of 16 octets that are compared; 0: nothing is known.
  private var count: Int
  /// The octets that every frame has, and which of their bits count.
  private var octets: InlineArray<13, Vector>
  private var mask: InlineArray<13, Vector>
  private(set) var layout: FrameLayout
  /// Octets from the frame's first to the security header, and of that header.
  private(set) var start: Int
  private(set) var length: Int
  private(set) var variant: Variant
  private(set) var group: UnsafePointer<GroupEntry>
  private(set) var master: MasterKey
  /// The last sender's key.
  var sender = Sender()

  struct Sender {
    var id: UInt64 = 0
    var source = IPAddress(high: 0, low: 0)
    var key = KeyMemo()
  }

  /// Of a frame whose packet was opened.
  init(
    _ frame: UnsafeRawPointer, _ layout: FrameLayout, _ header: SecurityHeader, group: UnsafePointer<GroupEntry>,
    master: MasterKey
  ) {
    self.layout = layout
    start = layout.securityHeader
    length = Int(header.length)
    variant = header.variant
    self.group = group
    self.master = master
    octets = InlineArray(repeating: Vector())
    mask = InlineArray(repeating: Vector(repeating: .max))
    let end = start &+ length
    count = min((end &+ 15) >> 4, Self.most)
    for index in 0..<count {
      octets[index] = frame.loadUnaligned(fromByteOffset: 16 &* index, as: Vector.self)
    }
    free(end, 16 &* Self.most &- end)
    free(EthernetHeader.sourceOffset, 6)
    // A tag's priority.
    if layout.ip > EthernetHeader.minimumLength { free(EthernetHeader.typeOffset &+ 2, bits: 0xF0) }
    freeIP(layout)
    if layout.isUDP {
      free(layout.upper &+ UDPHeader.sourcePortOffset, 2)
      free(layout.upper &+ UDPHeader.lengthOffset, 4)
    }
    // COffset, and with options Reserve before it: half octets at both ends. IOffset is 0.
    if header.optionCount > 0 {
      free(start &+ 1, bits: 0x0F)
      free(start &+ 2)
    } else {
      free(start &+ 2, bits: 0x0F)
    }
    free(start &+ 3, bits: 0xF0)
    free(start &+ SecurityHeader.idOffset, header.variant.idLength)
    free(end &- SecurityHeader.sequenceLength, SecurityHeader.sequenceLength)
  }

  private mutating func freeIP(_ layout: FrameLayout) {
    if layout.isIPv4 {
      // Class, length, identification.
      free(layout.ip &+ IPv4Header.trafficClassOffset, 5)
      // "Don't fragment", and the bit before it.
      free(layout.ip &+ IPv4Header.fragmentOffset, bits: 0xC0)
      free(layout.ip &+ IPv4Header.ttlOffset)
      // And the source.
      free(layout.ip &+ IPv4Header.checksumOffset, 6)
    } else {
      // Class, flow label, length.
      free(layout.ip, bits: 0x0F)
      free(layout.ip &+ 1, 5)
      free(layout.ip &+ IPv6Header.hopLimitOffset)
      free(layout.ip &+ IPv6Header.sourceOffset, 16)
    }
  }

  /// These bits of so many octets may differ: they are looked at in each packet, or nobody looks at them.
  private mutating func free(_ place: Int, _ count: Int = 1, bits: UInt8 = 0xFF) {
    withUnsafeMutableBytes(of: &mask) { mask in
      for index in place..<place &+ count { mask[index] &= ~bits }
    }
  }

  /// The headers of nearly all frames: no tag, IPv4, UDP, one option.
  private static var usual: Int { 6 }

  /// By pointer: to read one of the vectors, the compiler would copy all.
  ///
  /// - Parameter available: octets of the frame.
  @inline(__always)
  static func isLike(_ known: UnsafePointer<KnownFrame>, _ frame: UnsafeRawPointer, available: Int) -> Bool {
    guard known.pointee.start &+ known.pointee.length &+ SecurityHeader.icvLength <= available,
      known.pointee.count > 0
    else { return false }
    guard known.pointee.count <= usual, available >= 16 &* usual else { return isLikeInAll(known, frame) }
    // What a frame has beyond the headers has no bit in the mask.
    let difference =
      difference(known, frame, 0) | difference(known, frame, 16) | difference(known, frame, 32)
      | difference(known, frame, 48) | difference(known, frame, 64) | difference(known, frame, 80)
    return difference.x | difference.y == 0
  }

  @inline(never)
  private static func isLikeInAll(_ known: UnsafePointer<KnownFrame>, _ frame: UnsafeRawPointer) -> Bool {
    var difference = Vector()
    for index in 0..<known.pointee.count { difference |= Self.difference(known, frame, 16 &* index) }
    return difference.x | difference.y == 0
  }

  @inline(__always)
  private static func difference(
    _ known: UnsafePointer<KnownFrame>, _ frame: UnsafeRawPointer, _ offset: Int
  ) -> Vector {
    let octets = UnsafeRawPointer(known) + (MemoryLayout<KnownFrame>.offset(of: \.octets) ?? 0)
    let mask = UnsafeRawPointer(known) + (MemoryLayout<KnownFrame>.offset(of: \.mask) ?? 0)
    let found = frame.loadUnaligned(fromByteOffset: offset, as: Vector.self)
    return (found ^ octets.load(fromByteOffset: offset, as: Vector.self))
      & mask.load(fromByteOffset: offset, as: Vector.self)
  }
}

/// Where the headers of a frame lie that has neither IPv4 options nor extension headers.
struct FrameLayout {
  /// Octets from the frame's first to its IP header.
  let ip: Int
  let isIPv4: Bool
  let isUDP: Bool

  /// As it would be, if it is such a frame; 20 octets at least from the IP header on.
  @inline(__always) init(_ frame: UnsafeRawPointer, ip: Int) {
    self.ip = ip
    isIPv4 = frame.load(fromByteOffset: ip, as: UInt8.self) >> 4 == 4
    let place = ip &+ (isIPv4 ? IPv4Header.protocolOffset : IPv6Header.nextHeaderOffset)
    isUDP = frame.load(fromByteOffset: place, as: UInt8.self) == IPProtocol.udp
  }

  var upper: Int { @inline(__always) get { ip &+ (isIPv4 ? IPv4Header.minimumLength : IPv6Header.length) } }
  var securityHeader: Int { @inline(__always) get { upper &+ (isUDP ? UDPHeader.length : 0) } }

  @inline(__always) func source(of frame: UnsafeRawPointer) -> IPAddress {
    if isIPv4 {
      let address = frame.loadUnaligned(fromByteOffset: ip &+ IPv4Header.sourceOffset, as: UInt32.self)
      return IPAddress(ipv4: UInt32(bigEndian: address))
    }
    let octets = frame + ip + IPv6Header.sourceOffset
    return IPAddress(
      high: UInt64(bigEndian: octets.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }
}

/// One lcore's known frames. They are of one snapshot: with it they are forgotten.
struct KnownFrames: ~Copyable {
  private static var placeBits: UInt64 { 5 }
  private let places: UnsafeMutablePointer<KnownFrame>
  /// By port; before the first, one of which nothing is known.
  private let latest: UnsafeMutablePointer<UnsafeMutablePointer<KnownFrame>>

  init() {
    let octets = MemoryLayout<KnownFrame>.stride << Self.placeBits
    let memory = UnsafeMutableRawPointer.allocateLines(byteCount: octets)
    places = memory.bindMemory(to: KnownFrame.self, capacity: 1 << Self.placeBits)
    latest = .allocateLines(capacity: Counters.maxPorts)
    latest.initialize(repeating: places, count: Counters.maxPorts)
    forget()
  }

  deinit {
    UnsafeMutableRawPointer(places).deallocate()
    latest.deallocate()
  }

  func forget() {
    UnsafeMutableRawPointer(places).initializeMemory(
      as: UInt8.self, repeating: 0, count: MemoryLayout<KnownFrame>.stride << Self.placeBits)
  }

  /// What is known of frames like this one: most often what was known of the last.
  ///
  /// - Parameters:
  ///   - ip: octets from the frame's first to its IP header.
  ///   - available: octets of the frame.
  ///   - port: where it came in.
  @inline(__always)
  func find(_ frame: UnsafeRawPointer, ip: Int, available: Int, port: Int) -> UnsafeMutablePointer<KnownFrame>? {
    let last = latest[port]
    if KnownFrame.isLike(last, frame, available: available) { return last }
    return search(frame, ip: ip, available: available, port: port)
  }

  @inline(never)
  private func search(
    _ frame: UnsafeRawPointer, ip: Int, available: Int, port: Int
  ) -> UnsafeMutablePointer<KnownFrame>? {
    // The longest headers before the security header, and its first word.
    guard available >= ip &+ IPv6Header.length &+ UDPHeader.length &+ 4 else { return nil }
    let start = FrameLayout(frame, ip: ip).securityHeader
    let length = SecurityHeader.length(frame.load(fromByteOffset: start, as: UInt8.self))
    guard start &+ length &+ SecurityHeader.icvLength <= available else { return nil }
    let known = place(frame + start, length, port)
    guard KnownFrame.isLike(known, frame, available: available) else { return nil }
    latest[port] = known
    return known
  }

  func enter(_ frame: KnownFrame, _ octets: UnsafeRawPointer, port: Int) {
    place(octets + frame.start, frame.length, port).pointee = frame
  }

  /// By the security header's length and, where there are options, the end of the last root key's ID.
  @inline(__always)
  private func place(_ header: UnsafeRawPointer, _ length: Int, _ port: Int) -> UnsafeMutablePointer<KnownFrame> {
    let last = length >= 40 ? header.loadUnaligned(fromByteOffset: length &- 16, as: UInt64.self) : 0
    let hash = (last ^ UInt64(truncatingIfNeeded: port &<< 8 | length)) &* 0x9E37_79B9_7F4A_7C15
    return places + Int(truncatingIfNeeded: hash >> (64 &- Self.placeBits))
  }
}
