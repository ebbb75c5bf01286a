/// A key table as lcores read it: pointers into a `KeyTable` that outlives the use; copying it touches no reference count.
@usableFromInline package struct KeyTableView: @unchecked Sendable {
  @usableFromInline let entries: UnsafePointer<GroupEntry>
  @usableFromInline let slots: UnsafePointer<Int32>
  /// The number of slots less one; slots are a power of two, and at least four times the groups.
  @usableFromInline let mask: Int
  /// The longest way from a group's home slot to its own: no search goes further.
  @usableFromInline let longestProbe: Int
  @usableFromInline package let groupCount: Int

  init(
    entries: UnsafePointer<GroupEntry>, groupCount: Int, slots: UnsafePointer<Int32>, mask: Int, longestProbe: Int
  ) {
    self.entries = entries
    self.groupCount = groupCount
    self.slots = slots
    self.mask = mask
    self.longestProbe = longestProbe
  }

  /// The group at a place of the table; nil outside it.
  @inlinable package func group(at index: Int) -> UnsafePointer<GroupEntry>? {
    guard index >= 0, index < groupCount else { return nil }
    return entries + index
  }

  /// The group whose pairs the options name exactly; nil is `unknown-key`. Generations are looked at later, after the epoch
  /// and the offsets (wire format, section 6).
  ///
  /// - Parameters:
  ///   - named: offsets that the codec has checked against the header's length.
  ///   - header: the security header's first octet.
  @inlinable package func group(
    named: borrowing NamedPairs, in header: UnsafeRawPointer
  ) -> UnsafePointer<GroupEntry>? {
    let home = Self.hash(named, in: header)
    for step in 0...max(longestProbe, 0) {
      let slot = Int(slots[(home &+ step) & mask])
      guard slot >= 0, slot < groupCount else { return nil }
      if entries[slot].isNamed(by: named, in: header) { return entries + slot }
    }
    return nil
  }

  /// A hash of the first and last eight octets of every ID: a table holds the operator's groups only, so nobody else can
  /// make its chains long.
  @inlinable static func hash(_ named: borrowing NamedPairs, in header: UnsafeRawPointer) -> Int {
    var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
    for pair in 0..<min(named.count, 3) {
      let id = header + Int(named.pairs[pair].idOffset)
      let length = Int(named.pairs[pair].idLength)
      guard length >= 16 else { continue }
      let first = id.loadUnaligned(as: UInt64.self)
      let last = id.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self)
      hash = (hash ^ first ^ UInt64(named.pairs[pair].level)) &* 0xff51_afd7_ed55_8ccd
      hash = (hash ^ hash &>> 32 ^ last) &* 0xc4ce_b9fe_1a85_ec53
    }
    return Int(truncatingIfNeeded: hash &>> 32)
  }
}
