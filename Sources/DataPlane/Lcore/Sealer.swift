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

  init(template: UnsafePointer<SealTemplate>, source: IPAddress, coffset: UInt8, ioffset: UInt8) {
    self.template = template
    self.source = source
    let header = template.pointee.header
    id = header.id
    word = SecurityHeader.firstWord(
      length: template.pointee.length, variant: header.variant, reserve: header.reserve, coffset: coffset,
      ioffset: ioffset)
  }

  var offsets: PayloadOffsets { @inline(__always) get { PayloadOffsets(word: word) } }
}

/// One packet on its way through `Sealer`: the security header stands ready but for epoch and counter, the payload follows it,
/// and sixteen octets after the payload are free for the ICV.
struct SealItem {
  var packet: UnsafeMutableRawPointer
  var payloadLength: Int
  var form: UnsafeMutablePointer<SealForm>
  /// Epoch and Counter, as the header's last eight octets have them.
  var sequence: UInt64 = 0
  var drop: DropReason?
}

/// Seals bursts of packets. Wire format, sections 1 to 4:
///
/// 1. epoch and counter, each counter once, with the node's member number in the group; none left: `counter-exhausted`
/// 2. data keys of the burst: cached, or derived in one go
/// 3. AES-GCM over header and payload, ICV behind it
struct Sealer<Engine: AEADEngine>: ~Copyable {
  var dataKeys: DataKeys<Engine>
  var counter: SealingCounter
  private let aad: UnsafeMutableRawPointer

  init(dataKeys: consuming DataKeys<Engine>, counter: SealingCounter) {
    self.dataKeys = dataKeys
    self.counter = counter
    aad = .allocateLines(byteCount: SecurityHeader.maximumLength + 255 * 4)
  }

  deinit { aad.deallocate() }

  /// `count` is at most `DataKeys.width`.
  @inline(__always)
  mutating func seal(
    _ items: UnsafeMutablePointer<SealItem>, count: Int, board: SealingBoard, clock: StageClock = StageClock()
  ) {
    dataKeys.begin()
    counter.begin()
    // Packets of one burst that have a period in common have the epoch in common. No group has the period 0.
    var period: UInt32 = 0
    var current: UInt16?
    for index in 0..<count {
      let form = items[index].form
      let template = form.pointee.template
      if template.pointee.epochPeriod != period {
        period = template.pointee.epochPeriod
        current = board.sealEpoch(period: period).map { Epoch.onWire($0) }
      }
      guard let epoch = current, !template.pointee.isGranted || isGranted(template, epoch),
        let number = counter.next(member: template.pointee.member)
      else {
        items[index].drop = .counterExhausted
        continue
      }
      let length = template.pointee.length
      let sequence = SecurityHeader.sequenceWord(epoch: epoch, counter: number)
      items[index].sequence = sequence
      items[index].packet.storeBytes(
        of: sequence.bigEndian, toByteOffset: length &- SecurityHeader.sequenceLength, as: UInt64.self)
      if dataKeys.recall(index, form.pointee.key, epoch: epoch) { continue }
      let offsets = form.pointee.offsets
      dataKeys.request(
        index,
        DataKeyRequest(
          variant: template.pointee.header.variant, id: form.pointee.id, epoch: epoch, source: form.pointee.source),
        master: template.pointee.master, text: items[index].payloadLength &- offsets.clear,
        aad: length &+ offsets.covered, memo: &form.pointee.key)
    }
    dataKeys.resolve()
    clock.end(.keys)
    for index in 0..<count where items[index].drop == nil {
      protect(items + index, slot: dataKeys.slot(index))
      // A key for sending needs no proof from a packet before it may stay.
      dataKeys.keep(index)
    }
    dataKeys.end()
    clock.end(.cipher)
  }

  /// A client has keys for some epochs only.
  @inline(never)
  private func isGranted(_ template: UnsafePointer<SealTemplate>, _ epoch: UInt16) -> Bool {
    let header = template.pointee.header
    return template.pointee.master.grants(
      DataKeyRequest(variant: header.variant, id: header.id, epoch: epoch, source: .unspecifiedIPv6))
  }

  @inline(__always)
  private func protect(_ item: UnsafeMutablePointer<SealItem>, slot: UnsafeMutableRawPointer) {
    let form = item.pointee.form
    let template = form.pointee.template
    let length = template.pointee.length
    let offsets = form.pointee.offsets
    let payload = item.pointee.packet + length
    var nonce = Nonce(id: form.pointee.id, sequence: item.pointee.sequence)
    withUnsafeBytes(of: &nonce) { nonce in
      guard let nonce = nonce.baseAddress else { return }
      dataKeys.engine.seal(
        slot, suite: template.pointee.header.variant.suite, nonce: nonce,
        aad: offsets.protected(of: item.pointee.packet, headerLength: length, scratch: aad),
        aadLength: length &+ offsets.covered, text: payload + offsets.clear,
        length: item.pointee.payloadLength &- offsets.clear, tag: payload + item.pointee.payloadLength)
    }
  }
}
