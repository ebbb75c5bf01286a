/// The KDF of data keys: SP 800-108r1 counter mode over CMAC-AES-256, for a whole burst at once.
///
/// The inputs are one block or two, so that CMAC is AES(K, M ^ K1) or AES(K, AES(K, M1) ^ M2 ^ K1): independent across
/// requests, one wide call for each of the two stages.
@usableFromInline package struct KeyDerivation: ~Copyable {
  /// Requests per pass; more are taken in several passes.
  @inlinable static var width: Int { 64 }
  /// The octets of one derived key's place, of which an AES-128 key uses the first 16 and the rest is zero.
  @inlinable package static var keySize: Int { 32 }

  @usableFromInline let scratch: LockedMemory

  /// Locks one page for the blocks.
  package init() throws(LockedMemoryError) {
    scratch = try LockedMemory(octets: Self.width * Self.keySize)
  }

  /// Derives one key: 32 octets at `key`, of which AES-128 uses the first 16.
  @inlinable package borrowing func derive(
    _ request: DataKeyRequest, under master: MasterKey, with primitives: some KeyPrimitives,
    into key: UnsafeMutableRawPointer
  ) {
    withUnsafePointer(to: request) { derive($0, count: 1, under: master, with: primitives, into: key) }
  }

  /// Derives the keys of `count` requests under one master key into places of 32 octets each. Nothing of them stays
  /// behind.
  @inlinable package borrowing func derive(
    _ requests: UnsafePointer<DataKeyRequest>, count: Int, under master: MasterKey,
    with primitives: some KeyPrimitives, into keys: UnsafeMutableRawPointer
  ) {
    if master.isGranted { return master.copyGranted(requests, count: count, into: keys) }
    var first = 0
    while first < count {
      let width = min(count &- first, Self.width)
      derivePass(
        requests + first, count: width, under: master, with: primitives, into: keys + first &* Self.keySize)
      first &+= width
    }
  }

  @inlinable borrowing func derivePass(
    _ requests: UnsafePointer<DataKeyRequest>, count: Int, under master: MasterKey,
    with primitives: some KeyPrimitives, into keys: UnsafeMutableRawPointer
  ) {
    let blocks = scratch.base.assumingMemoryBound(to: SIMD16<UInt8>.self)
    let subkey = master.subkey

    // Stage 1: first blocks of the two-block inputs, then the one-block inputs.
    var used = 0
    for position in 0..<count where requests[position].isFromSourceAddress {
      for i in 1...requests[position].blocks {
        blocks[used] = requests[position].firstBlock(i)
        used &+= 1
      }
    }
    let chained = used
    for position in 0..<count where !requests[position].isFromSourceAddress {
      for i in 1...requests[position].blocks {
        blocks[used] = requests[position].onlyBlock(i) ^ subkey
        used &+= 1
      }
    }
    primitives.encryptBlocks(master.schedule, blocks, count: used)

    // Stage 2: the second blocks, chained in place.
    if chained > 0 {
      used = 0
      for position in 0..<count where requests[position].isFromSourceAddress {
        let second = requests[position].secondBlock ^ subkey
        for _ in 0..<requests[position].blocks {
          blocks[used] ^= second
          used &+= 1
        }
      }
      primitives.encryptBlocks(master.schedule, blocks, count: chained)
    }

    // The blocks are the keys: hand them out in the order in which they were written.
    var fromSource = 0
    var other = chained
    let out = keys.assumingMemoryBound(to: UInt8.self)
    used = 0
    for position in 0..<count {
      let place = UnsafeMutableRawPointer(out + position &* Self.keySize)
      let from = requests[position].isFromSourceAddress ? fromSource : other
      let taken = requests[position].blocks
      place.storeBytes(of: blocks[from], as: SIMD16<UInt8>.self)
      (place + 16).storeBytes(of: taken == 2 ? blocks[from &+ 1] : SIMD16<UInt8>(), as: SIMD16<UInt8>.self)
      if requests[position].isFromSourceAddress { fromSource &+= taken } else { other &+= taken }
      used &+= taken
    }
    eraseOctets(scratch.base, count: used &* 16)
  }
}
