/// The KDF of data keys: SP 800-108r1 counter mode over CMAC-AES-256, for a whole burst at once.
///
/// The inputs are one block or two, so that CMAC is AES(K, M ^ K1) or AES(K, AES(K, M1) ^ M2 ^ K1): independent across
/// requests, one wide call for each of the two stages, in the place where the keys are wanted.
@usableFromInline package struct KeyDerivation: Sendable {
  /// The octets of one derived key's place, of which an AES-128 key uses the first 16 and the rest is zero.
  @inlinable package static var keySize: Int { 32 }

  package init() {}

  /// Derives one key: 32 octets at `key`, of which AES-128 uses the first 16.
  @inlinable package func derive(
    _ request: DataKeyRequest, under master: MasterKey, with primitives: some KeyPrimitives,
    into key: UnsafeMutableRawPointer
  ) {
    withUnsafePointer(to: request) { derive($0, count: 1, under: master, with: primitives, into: key) }
  }

  /// Derives the keys of `count` requests under one master key into places of 32 octets each. Nothing of them stays
  /// anywhere else.
  @inlinable package func derive(
    _ requests: UnsafePointer<DataKeyRequest>, count: Int, under master: MasterKey,
    with primitives: some KeyPrimitives, into keys: UnsafeMutableRawPointer
  ) {
    if master.isGranted { return master.copyGranted(requests, count: count, into: keys) }
    let subkey = master.subkey
    var chained = 0
    var short = 0
    for position in 0..<count {
      let request = requests + position
      if request.pointee.isFromSourceAddress {
        Self.write(request.pointee.firstBlock, to: keys + position &* Self.keySize)
        chained &+= 1
      } else {
        Self.write(request.pointee.onlyBlock ^ subkey, to: keys + position &* Self.keySize)
      }
      if request.pointee.isShort { short &+= 1 }
    }
    primitives.encryptBlocks(master.schedule, keys, count: count &* 2)
    if chained > 0 { chain(requests, count: count, under: master, with: primitives, into: keys) }
    guard short > 0 else { return }
    for position in 0..<count where requests[position].isShort {
      (keys + position &* Self.keySize).storeBytes(of: SIMD16<UInt8>(), toByteOffset: 16, as: SIMD16<UInt8>.self)
    }
  }

  /// The second blocks of the inputs that have them, one call per run of such inputs.
  @usableFromInline func chain(
    _ requests: UnsafePointer<DataKeyRequest>, count: Int, under master: MasterKey,
    with primitives: some KeyPrimitives, into keys: UnsafeMutableRawPointer
  ) {
    var first = 0
    while first < count {
      var end = first
      while end < count, requests[end].isFromSourceAddress {
        let second = requests[end].secondBlock ^ master.subkey
        for offset in [end &* Self.keySize, end &* Self.keySize &+ 16] {
          let block = keys.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
          keys.storeBytes(of: block ^ second, toByteOffset: offset, as: SIMD16<UInt8>.self)
        }
        end &+= 1
      }
      if end > first {
        primitives.encryptBlocks(
          master.schedule, keys + first &* Self.keySize, count: (end &- first) &* 2)
      }
      first = end &+ 1
    }
  }

  /// A block with i = 1, and the same with i = 2. AES-128 needs the first only; a block costs less than telling apart.
  @inlinable static func write(_ block: SIMD16<UInt8>, to place: UnsafeMutableRawPointer) {
    place.storeBytes(of: block, as: SIMD16<UInt8>.self)
    place.storeBytes(of: block ^ DataKeyRequest.nextCounter, toByteOffset: 16, as: SIMD16<UInt8>.self)
  }
}
