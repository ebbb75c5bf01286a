extension SecurityHeader {
  /// Writes the header at `offset`, with `encodedOptions` made by `MasterKeyOption.write`, and returns its length: nothing, and
  /// no octet written, when it does not fit there, above 128 octets, or when the fields contradict each other.
  ///
  /// `id` above 32 bits needs a wide variant; the counter is 48 bits wide.
  package func write(
    encodedOptions: RawSpan = RawSpan(), into bytes: inout MutableRawSpan, at offset: Int = 0
  ) -> Int? {
    let optionsLength = encodedOptions.byteCount
    guard optionsLength % 4 == 0, ioffset <= 15, ioffset <= coffset, counter >> 48 == 0,
      variant.isWide || id >> 32 == 0,
      let length = SecurityHeader.length(variant: variant, optionsLength: optionsLength),
      bytes.hasRoom(for: length, at: offset)
    else { return nil }
    bytes.store(
      SecurityHeader.firstWord(
        length: length, variant: variant, reserve: reserve, coffset: coffset, ioffset: ioffset), at: offset)
    if variant.isWide {
      bytes.store(id, at: offset + SecurityHeader.idOffset)
    } else {
      bytes.store(UInt32(truncatingIfNeeded: id), at: offset + SecurityHeader.idOffset)
    }
    bytes.store(encodedOptions, at: offset + optionsOffset)
    let end = length - SecurityHeader.sequenceLength
    if optionsOffset + optionsLength < end {
      bytes.store(UInt32(0), at: offset + optionsOffset + optionsLength)
    }
    bytes.store(SecurityHeader.sequenceWord(epoch: epoch, counter: counter), at: offset + end)
    return length
  }
}
