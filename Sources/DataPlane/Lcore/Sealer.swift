internal import Keys
internal import Wire

/// One packet on its way through `Sealer`: the security header stands ready but for offsets, epoch and counter, the
/// payload follows it, and sixteen octets after the payload are free for the ICV.
struct SealItem {
  var packet: UnsafeMutableRawPointer
  var payloadLength: Int
  /// The outer source address.
  var source: IPAddress
  var template: UnsafePointer<SealTemplate>
  var coffset: UInt8
  var ioffset: UInt8
  /// The template's, unless the packet goes to a client.
  var id: UInt64
  var epoch: UInt16 = 0
  var counter: UInt64 = 0
  var drop: DropReason?

  init(
    packet: UnsafeMutableRawPointer, payloadLength: Int, source: IPAddress, template: UnsafePointer<SealTemplate>,
    coffset: UInt8, ioffset: UInt8
  ) {
    self.packet = packet
    self.payloadLength = payloadLength
    self.source = source
    self.template = template
    self.coffset = coffset
    self.ioffset = ioffset
    id = template.pointee.header.id
    drop = nil
  }

  /// The template's, with what differs from packet to packet. Made where it is used: as a whole it would be copied in pieces
  /// that a processor cannot forward from its latest stores.
  var header: SecurityHeader {
    @inline(__always) get {
      var header = template.pointee.header
      header.id = id
      header.epoch = epoch
      header.counter = counter
      header.coffset = coffset
      header.ioffset = ioffset
      return header
    }
  }
}

/// Seals bursts of packets. Wire format, sections 1 to 4:
///
/// 1. epoch and counter, each counter once, with the node's member number in the group; none left: `counter-exhausted`
/// 2. the header's last fields: offsets, epoch, counter
/// 3. data keys of the burst: cached, or derived in one go
/// 4. AES-GCM over header and payload, ICV behind it
struct Sealer<Engine: AEADEngine>: ~Copyable {
  var dataKeys: DataKeys<Engine>
  var counter: SealingCounter
  private let aad: UnsafeMutableRawPointer

  init(dataKeys: consuming DataKeys<Engine>, counter: SealingCounter) {
    self.dataKeys = dataKeys
    self.counter = counter
    aad = .allocate(byteCount: SecurityHeader.maximumLength + 255 * 4, alignment: 16)
  }

  deinit { aad.deallocate() }

  /// `count` is at most `DataKeys.width`.
  @inline(__always)
  mutating func seal(_ items: UnsafeMutablePointer<SealItem>, count: Int, board: SealingBoard) {
    dataKeys.begin()
    counter.begin()
    for index in 0..<count {
      let template = items[index].template
      guard let epoch = board.sealEpoch(period: template.pointee.epochPeriod),
        !template.pointee.isGranted || isGranted(template, Epoch.onWire(epoch)),
        let number = counter.next(member: template.pointee.member)
      else {
        items[index].drop = .counterExhausted
        continue
      }
      items[index].epoch = Epoch.onWire(epoch)
      items[index].counter = number
      complete(items + index, length: template.pointee.length)
      let header = items[index].header
      dataKeys.request(
        index, master: template.pointee.master, header: header, source: items[index].source,
        text: items[index].payloadLength &- header.clearLength,
        aad: template.pointee.length &+ header.clearLength &- header.unprotectedLength)
    }
    dataKeys.resolve()
    for index in 0..<count where items[index].drop == nil {
      protect(items + index, slot: dataKeys.slot(index))
      // A key for sending needs no proof from a packet before it may stay.
      dataKeys.keep(index)
    }
    dataKeys.end()
  }

  /// A client has keys for some epochs only.
  @inline(never)
  private func isGranted(_ template: UnsafePointer<SealTemplate>, _ epoch: UInt16) -> Bool {
    let header = template.pointee.header
    return template.pointee.master.grants(
      DataKeyRequest(variant: header.variant, id: header.id, epoch: epoch, source: .unspecifiedIPv6))
  }

  @inline(__always)
  private func complete(_ item: UnsafeMutablePointer<SealItem>, length: Int) {
    let header = item.pointee.header
    let packet = item.pointee.packet
    let word = SecurityHeader.firstWord(
      length: length, variant: header.variant, reserve: header.reserve, coffset: header.coffset, ioffset: header.ioffset
    )
    packet.storeBytes(of: word.bigEndian, as: UInt32.self)
    packet.storeBytes(
      of: SecurityHeader.sequenceWord(epoch: header.epoch, counter: header.counter).bigEndian,
      toByteOffset: length &- SecurityHeader.sequenceLength, as: UInt64.self)
  }

  @inline(__always)
  private func protect(_ item: UnsafeMutablePointer<SealItem>, slot: UnsafeMutableRawPointer) {
    let header = item.pointee.header
    let length = item.pointee.template.pointee.length
    let payload = item.pointee.packet + length
    let clear = header.clearLength
    var nonce = Nonce(header)
    withUnsafeBytes(of: &nonce) { nonce in
      guard let nonce = nonce.baseAddress else { return }
      dataKeys.engine.seal(
        slot, suite: header.variant.suite, nonce: nonce,
        aad: protectedHeader(item.pointee.packet, header, length: length, scratch: aad),
        aadLength: length &+ clear &- header.unprotectedLength, text: payload + clear,
        length: item.pointee.payloadLength &- clear, tag: payload + item.pointee.payloadLength)
    }
  }
}
