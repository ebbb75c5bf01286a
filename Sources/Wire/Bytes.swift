/// Big-endian loads and stores, the only door from Wire's codecs to memory. Every view checks its length once, when it
/// is made, so that these never meet an offset outside; the checks that the loads keep are the second line of defence, and
/// vanish where they are inlined behind the view's own (which is why they, and the views, always are).
extension RawSpan {
  @inlinable @inline(__always) package func uint8(at offset: Int) -> UInt8 {
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }

  @inlinable @inline(__always) package func uint16(at offset: Int) -> UInt16 {
    unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inlinable @inline(__always) package func uint32(at offset: Int) -> UInt32 {
    unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inlinable @inline(__always) package func uint64(at offset: Int) -> UInt64 {
    unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// The 48 bits of a MAC address, as two loads because a 64-bit one could reach past the end.
  @inlinable @inline(__always) package func macAddress(at offset: Int) -> MACAddress {
    MACAddress(rawValue: UInt64(uint16(at: offset)) << 32 | UInt64(uint32(at: offset &+ 2)))
  }

  @inlinable @inline(__always) package func ipv6Address(at offset: Int) -> IPAddress {
    IPAddress(high: uint64(at: offset), low: uint64(at: offset &+ 8))
  }

  /// The octets of `range`, or nothing when they are not all inside.
  @_lifetime(copy self)
  @inlinable package func part(from start: Int, to end: Int) -> RawSpan? {
    guard start >= 0, start <= end, end <= byteCount else { return nil }
    return extracting(start..<end)
  }
}

extension MutableRawSpan {
  /// Whether `count` octets can be written at `offset`.
  @inlinable package func hasRoom(for count: Int, at offset: Int) -> Bool {
    offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount &- offset
  }

  @_lifetime(self: copy self)
  @inlinable @inline(__always) package mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value, at offset: Int
  ) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
  }

  @_lifetime(self: copy self)
  @inlinable package mutating func store(_ address: MACAddress, at offset: Int) {
    store(UInt16(truncatingIfNeeded: address.rawValue >> 32), at: offset)
    store(UInt32(truncatingIfNeeded: address.rawValue), at: offset &+ 2)
  }

  /// Writes all sixteen octets, whatever the family.
  @_lifetime(self: copy self)
  @inlinable package mutating func store(ipv6 address: IPAddress, at offset: Int) {
    store(address.high, at: offset)
    store(address.low, at: offset &+ 8)
  }

  /// Copies `source`; the caller has checked that it fits.
  @_lifetime(self: copy self)
  @inlinable package mutating func store(_ source: RawSpan, at offset: Int) {
    var index = 0
    while index &+ 8 <= source.byteCount {
      unsafe storeBytes(
        of: source.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self), toByteOffset: offset &+ index,
        as: UInt64.self)
      index &+= 8
    }
    while index < source.byteCount {
      store(source.uint8(at: index), at: offset &+ index)
      index &+= 1
    }
  }
}
