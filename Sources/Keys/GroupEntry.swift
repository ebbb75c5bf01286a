public import Wire  // public: what uses it is inlined into the lcore loop

/// One trust group as lcores see it: plain values and pointers into its `KeyTable`, which outlives every use.
@usableFromInline package struct GroupEntry: @unchecked Sendable {
  /// One (level, root key ID) pair and its accepted generations.
  @usableFromInline struct Pair {
    @usableFromInline var level: UInt8 = 0
    @usableFromInline var idLength: UInt8 = 0
    /// Where the ID lies in `options`.
    @usableFromInline var idOffset: UInt8 = 0
    /// The oldest accepted generation, mod 256; the others follow it.
    @usableFromInline var oldest: UInt8 = 0
    @usableFromInline var generations: UInt8 = 0
    /// Master keys between two neighbouring generations of this pair.
    @usableFromInline var stride: UInt8 = 0

    @usableFromInline init() {}
  }

  /// The group's place in the table and in the array that the table was made from.
  @usableFromInline package var index: Int
  /// Seconds.
  @usableFromInline package var epochPeriod: UInt32
  /// In 4-octet units.
  @usableFromInline package var maxCOffset: UInt8
  @usableFromInline package var maxIOffset: UInt8
  @usableFromInline var pairCount: Int
  @usableFromInline var pairs: InlineArray<3, Pair>
  @usableFromInline var masters: UnsafeRawPointer

  /// The master key to seal under: every pair's current generation.
  @usableFromInline package var sealing: MasterKey
  /// The options that name `sealing`, ready to copy into a header, and their length: 20 to 108 octets.
  @usableFromInline package var options: UnsafeRawPointer
  @usableFromInline package var optionsLength: Int
  /// The Reserve octet that names `sealing` where no options are sent.
  @usableFromInline package var reserve: UInt8

  init(index: Int, group: TrustGroup, masters: UnsafeRawPointer, options: UnsafeMutableRawPointer) {
    self.index = index
    epochPeriod = UInt32(clamping: group.epochPeriod)
    maxCOffset = UInt8(clamping: group.maxCOffset)
    maxIOffset = UInt8(clamping: group.maxIOffset)
    self.masters = masters
    pairs = InlineArray(repeating: Pair())
    reserve = 0
    optionsLength = 0
    let keys = group.orderedKeys
    pairCount = keys.count
    var current = 0
    var stride = 1
    for (position, root) in keys.enumerated().reversed() {
      let generations = root.generations
      pairs[position].level = root.level.rawValue
      pairs[position].idLength = UInt8(truncatingIfNeeded: root.id.count)
      pairs[position].oldest = UInt8(truncatingIfNeeded: generations.first?.index ?? 0)
      pairs[position].generations = UInt8(truncatingIfNeeded: generations.count)
      pairs[position].stride = UInt8(truncatingIfNeeded: stride)
      current += stride * (root.previous == nil ? 0 : 1)
      stride *= generations.count
      reserve |= UInt8(truncatingIfNeeded: root.current.index & 3) << (2 * (root.level.rawValue - 1))
    }
    for (position, root) in keys.enumerated() {
      pairs[position].idOffset = UInt8(truncatingIfNeeded: optionsLength + MasterKeyOption.prefixLength)
      optionsLength += root.writeOption(index: root.current.index, to: options + optionsLength)
    }
    self.options = UnsafeRawPointer(options)
    sealing = MasterKey(at: masters + current * MasterKey.stride)
  }

  /// The master key of the generations that the options name; nil is `unknown-key`. Only after `KeyTableView.group`
  /// matched them.
  @inlinable package func master(namedBy header: borrowing SecurityHeader) -> MasterKey? {
    guard Int(header.optionCount) == pairCount else { return nil }
    var position = 0
    for pair in 0..<min(pairCount, 3) {
      let generation = header.option(pair).index &- pairs[pair].oldest
      guard generation < pairs[pair].generations else { return nil }
      position &+= Int(generation) &* Int(pairs[pair].stride)
    }
    return MasterKey(at: masters + position &* MasterKey.stride)
  }

  /// The master key of the generations mod 4 in Reserve, for a packet without options; nil is `unknown-key`.
  ///
  /// The upper two bits and those of absent levels are ignored (wire format, section 2).
  @inlinable package func master(reserve: UInt8) -> MasterKey? {
    var position = 0
    for pair in 0..<min(pairCount, 3) {
      let named = reserve &>> (2 &* (pairs[pair].level &- 1))
      let generation = (named &- pairs[pair].oldest) & 3
      guard generation < pairs[pair].generations else { return nil }
      position &+= Int(generation) &* Int(pairs[pair].stride)
    }
    return MasterKey(at: masters + position &* MasterKey.stride)
  }

  /// Whether the options name exactly this group's pairs, whatever the generations.
  @inlinable func isNamed(by header: borrowing SecurityHeader, at octets: UnsafeRawPointer) -> Bool {
    guard Int(header.optionCount) == pairCount else { return false }
    for pair in 0..<min(pairCount, 3) {
      let option = header.option(pair)
      guard option.level == pairs[pair].level, option.idLength == pairs[pair].idLength else { return false }
      let found = octets + Int(option.idOffset)
      let expected = options + Int(pairs[pair].idOffset)
      var difference: UInt32 = 0
      for word in 0..<Int(option.idLength &>> 2) {
        difference |=
          found.loadUnaligned(fromByteOffset: 4 &* word, as: UInt32.self)
          ^ expected.loadUnaligned(fromByteOffset: 4 &* word, as: UInt32.self)
      }
      guard difference == 0 else { return false }
    }
    return true
  }

  /// Combinations of generations, each with a master key; their serials follow one another.
  var masterCount: Int { pairCount > 0 ? Int(pairs[0].stride) * Int(pairs[0].generations) : 0 }
  var firstSerial: UInt64 { MasterKey(at: masters).serial }

  /// The master key of the combination at a place of `TrustGroup.combinations`.
  func master(at position: Int) -> MasterKey { MasterKey(at: masters + position * MasterKey.stride) }

  /// The place in the hash table where a search for this group begins.
  var home: UInt64 {
    (0..<pairCount).reduce(KeyTableView.hashStart) { hash, pair in
      KeyTableView.hash(
        hash, pairs[pair].level, options + Int(pairs[pair].idOffset), Int(pairs[pair].idLength))
    }
  }
}
