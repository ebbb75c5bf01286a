internal import Keys
internal import Wire

/// What the packets of one flow have in common when they are sealed.
struct SealForm {
  var template: UnsafePointer<SealTemplate>
  /// The outer source address.
  var source: IPAddress
  /// The template's, unless the packets go to a client.
  var id: UInt64
  var key = KeyMemo()
  /// The security header's first four octets as a number, which has both offsets.
  var word: UInt32
  /// Octets of payload in clear, and of AAD.
  let clear: UInt16
  let aadLength: UInt16

  init(template: UnsafePointer<SealTemplate>, source: IPAddress, coffset: UInt8, ioffset: UInt8) {
    self.template = template
    self.source = source
    let header = template.pointee.header
    id = header.id
    word = SecurityHeader.firstWord(
      length: template.pointee.length, variant: header.variant, reserve: header.reserve, coffset: coffset,
      ioffset: ioffset)
    let offsets = PayloadOffsets(coffset: coffset, ioffset: ioffset)
    clear = UInt16(truncatingIfNeeded: offsets.clear)
    aadLength = UInt16(truncatingIfNeeded: template.pointee.length &+ offsets.covered)
  }
}

/// One packet on its way through `Sealer`: the security header stands ready but for epoch and counter, the payload follows it,
/// and sixteen octets after the payload are free for the ICV.
struct SealItem {
  /// The first field, as engines take a burst of them. Slot and nonce are the sealer's to set.
  fileprivate var call: AEADPacket
  fileprivate(set) var form: UnsafeMutablePointer<SealForm>
  fileprivate var drop: DropReason?

  /// Memory for the items of a burst.
  static func allocate(capacity: Int) -> UnsafeMutablePointer<SealItem> {
    let items = UnsafeMutablePointer<SealItem>.allocateLines(capacity: capacity)
    let place = UnsafeMutableRawPointer(items)
    items.initialize(
      repeating: SealItem(
        call: AEADPacket(
          slot: place, nonce: Nonce(id: 0, sequence: 0), aad: place, aadLength: 0, text: place, length: 0),
        form: place.assumingMemoryBound(to: SealForm.self)), count: capacity)
    return items
  }

  /// Another packet takes the place of one that was sealed. What the sealer sets stays: every store counts.
  ///
  /// - Parameter packet: the security header's first octet.
  @inline(__always)
  mutating func take(_ packet: UnsafeMutableRawPointer, payloadLength: Int, form: UnsafeMutablePointer<SealForm>) {
    let clear = Int(form.pointee.clear)
    call.aad = UnsafeRawPointer(packet)
    call.text = packet + (form.pointee.template.pointee.length &+ clear)
    call.aadLength = Int32(form.pointee.aadLength)
    call.length = Int32(truncatingIfNeeded: payloadLength &- clear)
    self.form = form
  }

  /// The security header's first octet, until the packet is sealed.
  var packet: UnsafeMutableRawPointer { @inline(__always) get { UnsafeMutableRawPointer(mutating: call.aad) } }

  fileprivate var suite: Suite { @inline(__always) get { form.pointee.template.pointee.header.variant.suite } }

  /// Why the packet was not sealed, if it was not.
  @inline(__always)
  mutating func takeDrop() -> DropReason? {
    guard let drop else { return nil }
    self.drop = nil
    return drop
  }
}

/// Seals bursts of packets. Wire format, sections 1 to 4:
///
/// 1. epoch and counter, each counter once, with the node's member number in the group; none left: `counter-exhausted`
/// 2. data keys of the burst: cached, or derived in one go
/// 3. AES-GCM over header and payload, ICV behind it
struct Sealer<Engine: AEADEngine>: ~Copyable {
  var dataKeys: DataKeys<Engine>
  var counter: SealingCounter
  /// For each packet of a burst, AAD that is not in one piece.
  private let aad: UnsafeMutableRawPointer
  private static var aadCapacity: Int { SecurityHeader.maximumLength + 255 * 4 }

  init(dataKeys: consuming DataKeys<Engine>, counter: SealingCounter) {
    self.dataKeys = dataKeys
    self.counter = counter
    aad = .allocateLines(byteCount: DataKeys<Engine>.width * Self.aadCapacity)
  }

  deinit { aad.deallocate() }

  /// `count` is at most `DataKeys.width`.
  @inline(__always)
  mutating func seal(
    _ items: UnsafeMutablePointer<SealItem>, count: Int, board: SealingBoard, clock: StageClock = StageClock()
  ) {
    // What stands in the first item then may be of a snapshot that is gone.
    guard count > 0 else { return }
    dataKeys.begin()
    counter.begin()
    let (dropped, differences) = number(items, count, board)
    dataKeys.resolve(packets: count &- dropped)
    clock.end(.keys)
    if dataKeys.misses | dropped | Int(differences) == 0 {
      encrypt(items, count)
    } else {
      encryptRuns(items, count)
    }
    dataKeys.end()
    clock.end(.cipher)
  }

  /// Step 1, and the requests for step 2. Gives the number of packets that are dropped, and bits in which variants differ.
  @inline(never)
  private mutating func number(
    _ items: UnsafeMutablePointer<SealItem>, _ count: Int, _ board: SealingBoard
  ) -> (dropped: Int, differences: UInt8) {
    // Packets of a burst that have the template in common have the epoch in common.
    var last: UnsafePointer<SealTemplate>?
    var current: UInt16?
    var dropped = 0
    // Bits in which packets' variants differ from the first one's.
    var differences: UInt8 = 0
    let variant = items.pointee.form.pointee.template.pointee.header.variant.rawValue
    for index in 0..<count {
      let item = items + index
      let form = item.pointee.form
      let template = form.pointee.template
      if template != last {
        last = template
        differences |= template.pointee.header.variant.rawValue ^ variant
        current = Self.epoch(template, board)
      }
      guard let epoch = current, let number = counter.next(member: template.pointee.member) else {
        item.pointee.drop = .counterExhausted
        dropped &+= 1
        continue
      }
      let length = template.pointee.length
      let sequence = SecurityHeader.sequenceWord(epoch: epoch, counter: number)
      item.pointee.packet.storeBytes(
        of: sequence.bigEndian, toByteOffset: length &- SecurityHeader.sequenceLength, as: UInt64.self)
      item.pointee.call.nonce = Nonce(id: form.pointee.id, sequence: sequence)
      let offsets = PayloadOffsets(word: form.pointee.word)
      if offsets.unprotected > 0 {
        item.pointee.call.aad = offsets.protected(
          of: item.pointee.packet, headerLength: length, scratch: aad + index &* Self.aadCapacity)
      }
      if let slot = dataKeys.recall(index, form.pointee.key, epoch: epoch) ?? request(item, index, epoch) {
        item.pointee.call.slot = slot
      }
    }
    return (dropped, differences)
  }

  /// In a function of its own, so that packets whose keys are remembered have the registers.
  @inline(never)
  private mutating func request(_ item: UnsafeMutablePointer<SealItem>, _ index: Int, _ epoch: UInt16)
    -> UnsafeMutableRawPointer?
  {
    let form = item.pointee.form
    let template = form.pointee.template
    return dataKeys.request(
      index,
      DataKeyRequest(
        variant: template.pointee.header.variant, id: form.pointee.id, epoch: epoch, source: form.pointee.source),
      master: template.pointee.master, text: Int(item.pointee.call.length), aad: Int(item.pointee.call.aadLength),
      memo: &form.pointee.key)
  }

  /// Packets that differ in their suites, that have no keys yet, or that were dropped among others.
  @inline(never)
  private mutating func encryptRuns(_ items: UnsafeMutablePointer<SealItem>, _ count: Int) {
    var first = 0
    for index in 0..<count {
      let item = items + index
      guard item.pointee.drop == nil else {
        encrypt(items + first, index &- first)
        first = index &+ 1
        continue
      }
      let isMissing = dataKeys.isMissing(index)
      // A key that is expanded now takes the place of other packets'.
      if item.pointee.suite != items[first].suite || isMissing && !dataKeys.isExpanded(index) {
        encrypt(items + first, index &- first)
        first = index
      }
      if isMissing {
        item.pointee.call.slot = dataKeys.slot(index)
        // A key for sending needs no proof from a packet before it may stay.
        dataKeys.keep(index)
      }
    }
    encrypt(items + first, count &- first)
  }

  /// Packets of one suite.
  @inline(__always)
  private func encrypt(_ items: UnsafeMutablePointer<SealItem>, _ count: Int) {
    guard count > 0 else { return }
    dataKeys.engine.seal(items, stride: MemoryLayout<SealItem>.stride, count: count, suite: items.pointee.suite)
  }

  /// The epoch to seal in; nothing while there is none.
  @inline(__always)
  private static func epoch(_ template: UnsafePointer<SealTemplate>, _ board: SealingBoard) -> UInt16? {
    guard let epoch = board.sealEpoch(period: template.pointee.epochPeriod).map({ Epoch.onWire($0) }),
      !template.pointee.isGranted || isGranted(template, epoch)
    else { return nil }
    return epoch
  }

  /// A client has keys for some epochs only.
  @inline(never)
  private static func isGranted(_ template: UnsafePointer<SealTemplate>, _ epoch: UInt16) -> Bool {
    let header = template.pointee.header
    return template.pointee.master.grants(
      DataKeyRequest(variant: header.variant, id: header.id, epoch: epoch, source: .unspecifiedIPv6))
  }
}
