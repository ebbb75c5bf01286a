internal import Keys
internal import Wire

/// What security headers name, kept for the packets after them whose headers are the same, octet for octet, but for offsets, ID,
/// epoch and counter: the steps of `Opener` that need no more than those need not be taken again.
struct KnownHeader {
  /// Octets; 0: nothing is known.
  private(set) var length: Int
  /// The first four octets without the offsets and, where it is ignored, Reserve.
  private var word: UInt32
  private var wordMask: UInt32
  /// The octets from the ninth to the epoch, eight at a time; the second half of a wide ID is left out.
  private var words: InlineArray<14, UInt64>
  private var firstMask: UInt64
  private var defaultGroup: Int
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

  /// - Parameter octets: the header's, which is `header`.
  init(
    _ header: SecurityHeader, at octets: UnsafeRawPointer, defaultGroup: Int, group: UnsafePointer<GroupEntry>,
    master: MasterKey
  ) {
    length = Int(header.length)
    wordMask = header.optionCount > 0 ? 0xFFF0_0000 : 0xFFFF_F000
    word = UInt32(bigEndian: octets.loadUnaligned(as: UInt32.self)) & wordMask
    firstMask = header.variant.isWide ? UInt64(0xFFFF_FFFF).bigEndian : .max
    words = InlineArray(repeating: 0)
    self.defaultGroup = defaultGroup
    variant = header.variant
    self.group = group
    self.master = master
    for index in 0..<wordCount {
      let mask = index == 0 ? firstMask : .max
      words[index] = octets.loadUnaligned(fromByteOffset: 8 &+ 8 &* index, as: UInt64.self) & mask
    }
  }

  private var wordCount: Int { @inline(__always) get { (length &- 16) &>> 3 } }

  /// By pointer: to read one of the words, the compiler would copy all.
  ///
  /// - Parameter octets: at least `length` of them.
  @inline(__always)
  static func isLike(
    _ header: UnsafePointer<KnownHeader>, _ first: UInt32, at octets: UnsafeRawPointer, defaultGroup: Int
  ) -> Bool {
    guard first & header.pointee.wordMask == header.pointee.word, defaultGroup == header.pointee.defaultGroup else {
      return false
    }
    let count = header.pointee.wordCount
    guard count > 0 else { return true }
    let words = UnsafeRawPointer(header).advanced(by: MemoryLayout<KnownHeader>.offset(of: \.words) ?? 0)
    var difference =
      octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self) & header.pointee.firstMask
      ^ words.load(as: UInt64.self)
    var offset = 8
    while offset < 8 &* count {
      difference |=
        octets.loadUnaligned(fromByteOffset: 8 &+ offset, as: UInt64.self)
        ^ words.load(fromByteOffset: offset, as: UInt64.self)
      offset &+= 8
    }
    return difference == 0
  }
}

/// One lcore's known headers. They are of one key table: with it they are forgotten.
struct KnownHeaders: ~Copyable {
  private static var placeBits: UInt64 { 5 }
  private let places: UnsafeMutablePointer<KnownHeader>

  init() {
    let octets = MemoryLayout<KnownHeader>.stride << Self.placeBits
    let memory = UnsafeMutableRawPointer.allocate(byteCount: octets, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: octets)
    places = memory.bindMemory(to: KnownHeader.self, capacity: 1 << Self.placeBits)
  }

  deinit { UnsafeMutableRawPointer(places).deallocate() }

  func forget() {
    UnsafeMutableRawPointer(places).initializeMemory(
      as: UInt8.self, repeating: 0, count: MemoryLayout<KnownHeader>.stride << Self.placeBits)
  }

  /// What is known of a packet's header.
  ///
  /// - Parameter count: octets from the header's first to the end of the ICV.
  @inline(__always)
  func find(_ first: UInt32, at octets: UnsafeRawPointer, count: Int, defaultGroup: Int)
    -> UnsafeMutablePointer<KnownHeader>?
  {
    let length = SecurityHeader.length(first)
    guard length &+ SecurityHeader.icvLength <= count else { return nil }
    let place = place(first, length, octets)
    guard place.pointee.length == length,
      KnownHeader.isLike(place, first, at: octets, defaultGroup: defaultGroup)
    else { return nil }
    return place
  }

  func enter(_ header: KnownHeader, _ first: UInt32, at octets: UnsafeRawPointer) {
    place(first, header.length, octets).pointee = header
  }

  /// By variant and, where there are options, the end of the last root key's ID.
  @inline(__always)
  private func place(_ first: UInt32, _ length: Int, _ octets: UnsafeRawPointer) -> UnsafeMutablePointer<KnownHeader> {
    let last = length >= 40 ? octets.loadUnaligned(fromByteOffset: length &- 16, as: UInt64.self) : 0
    let hash = (last ^ UInt64(first >> 20)) &* 0x9E37_79B9_7F4A_7C15
    return places + Int(truncatingIfNeeded: hash >> (64 &- Self.placeBits))
  }
}
