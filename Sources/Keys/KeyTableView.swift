public import Wire  // public: what uses it is inlined into the lcore loop

/// A key table as lcores read it: pointers into a `KeyTable` that outlives the use; copying it touches no reference
/// count.
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

  /// The group whose pairs the options name exactly; nil is `unknown-key`. Generations are looked at later, after the
  /// epoch and the offsets (wire format, section 6).
  ///
  /// - Parameters:
  ///   - header: as decoded from `octets`, with one option at least; without any the port's default group counts.
  ///   - octets: the security header's first.
  @inlinable package func group(
    namedBy header: borrowing SecurityHeader, at octets: UnsafeRawPointer
  ) -> UnsafePointer<GroupEntry>? {
    var hash = Self.hashStart
    for position in 0..<Int(header.optionCount) {
      let option = header.option(position)
      hash = Self.hash(hash, option.level, octets + Int(option.idOffset), Int(option.idLength))
    }
    for step in 0...max(longestProbe, 0) {
      let slot = Int(slots[Self.slot(hash, step, mask)])
      guard slot >= 0, slot < groupCount else { return nil }
      if entries[slot].isNamed(by: header, at: octets) { return entries + slot }
    }
    return nil
  }

  /// The epoch period in seconds of the group that has the master key with this serial; nil for another table's.
  package func epochPeriod(ofSerial serial: UInt64) -> UInt32? {
    for index in 0..<groupCount where serial &- entries[index].firstSerial < UInt64(entries[index].masterCount) {
      return entries[index].epochPeriod
    }
    return nil
  }

  @inlinable static var hashStart: UInt64 { 0x9e37_79b9_7f4a_7c15 }

  /// Takes in the first and last eight octets of an ID of at least 16: a table holds the operator's groups only, so
  /// nobody else can make its chains long.
  @inlinable static func hash(_ hash: UInt64, _ level: UInt8, _ id: UnsafeRawPointer, _ length: Int) -> UInt64 {
    guard length >= 16 else { return hash }
    let first = (hash ^ id.loadUnaligned(as: UInt64.self) ^ UInt64(level)) &* 0xff51_afd7_ed55_8ccd
    let last = id.loadUnaligned(fromByteOffset: length &- 8, as: UInt64.self)
    return (first ^ first &>> 32 ^ last) &* 0xc4ce_b9fe_1a85_ec53
  }

  @inlinable static func slot(_ hash: UInt64, _ step: Int, _ mask: Int) -> Int {
    (Int(truncatingIfNeeded: hash &>> 32) &+ step) & mask
  }
}
