/// A VLAN tag: its type and its control information.
@usableFromInline
package struct VLANTag: Hashable, Sendable, BitwiseCopyable {
  /// 0x8100 or 0x88A8.
  @usableFromInline package let type: UInt16
  /// Priority (3 bits), drop eligible (1), VLAN number (12).
  @usableFromInline package let control: UInt16

  @inlinable package init(type: UInt16 = EtherType.vlan, control: UInt16) {
    self.type = type
    self.control = control
  }

  /// The VLAN's number, 0 to 4095; 0 carries a priority only.
  @inlinable package var number: UInt16 { control & 0x0FFF }
  @inlinable package var priority: UInt8 { UInt8(truncatingIfNeeded: control >> 13) }
  @inlinable package static var length: Int { 4 }

  @inlinable package static func isTag(_ type: UInt16) -> Bool {
    type == EtherType.vlan || type == EtherType.serviceVLAN
  }
}

/// A borrowed Ethernet frame, without FCS.
@usableFromInline
package struct EthernetView: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// 0 to 2 tags.
  @usableFromInline package let vlanCount: Int
  /// The type after the tags; a third tag stays a type of its own.
  @usableFromInline package let etherType: UInt16

  /// Nothing when the addresses, the tags that are announced or the type after them are cut.
  @_lifetime(copy bytes)
  @inlinable @inline(__always) package init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= EthernetHeader.minimumLength else { return nil }
    var count = 0
    var type = bytes.uint16(at: EthernetHeader.typeOffset)
    while count < 2, VLANTag.isTag(type) {
      count &+= 1
      guard bytes.byteCount >= EthernetHeader.minimumLength &+ count &* VLANTag.length else { return nil }
      type = bytes.uint16(at: EthernetHeader.typeOffset &+ count &* VLANTag.length)
    }
    self.bytes = bytes
    vlanCount = count
    etherType = type
  }

  @inlinable package var destination: MACAddress { bytes.macAddress(at: EthernetHeader.destinationOffset) }
  @inlinable package var source: MACAddress { bytes.macAddress(at: EthernetHeader.sourceOffset) }
  @inlinable package var headerLength: Int { EthernetHeader.minimumLength &+ vlanCount &* VLANTag.length }
  @inlinable package var outerTag: VLANTag? { tag(0) }
  @inlinable package var innerTag: VLANTag? { tag(1) }

  @inlinable @inline(__always) func tag(_ index: Int) -> VLANTag? {
    guard index < vlanCount else { return nil }
    let offset = EthernetHeader.typeOffset &+ index &* VLANTag.length
    return VLANTag(type: bytes.uint16(at: offset), control: bytes.uint16(at: offset &+ 2))
  }

  @inlinable package var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(droppingFirst: headerLength) }
  }
}

/// An Ethernet header to write.
@usableFromInline
package struct EthernetHeader: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package var destination: MACAddress
  @usableFromInline package var source: MACAddress
  @usableFromInline package var outerTag: VLANTag?
  /// Only beside an outer tag.
  @usableFromInline package var innerTag: VLANTag?
  @usableFromInline package var etherType: UInt16

  @inlinable package static var minimumLength: Int { 14 }
  @inlinable package static var destinationOffset: Int { 0 }
  @inlinable package static var sourceOffset: Int { 6 }
  @inlinable package static var typeOffset: Int { 12 }

  @inlinable package init(
    destination: MACAddress, source: MACAddress, outerTag: VLANTag? = nil, innerTag: VLANTag? = nil, etherType: UInt16
  ) {
    self.destination = destination
    self.source = source
    self.outerTag = outerTag ?? innerTag
    self.innerTag = outerTag == nil ? nil : innerTag
    self.etherType = etherType
  }

  /// 14, 18 or 22 octets.
  @inlinable package var length: Int {
    EthernetHeader.minimumLength &+ (outerTag == nil ? 0 : VLANTag.length) &+ (innerTag == nil ? 0 : VLANTag.length)
  }

  /// Returns the offset after the header; nothing, and no octet written, when it does not fit.
  @inlinable package func write(into bytes: inout MutableRawSpan, at offset: Int = 0) -> Int? {
    guard bytes.hasRoom(for: length, at: offset) else { return nil }
    bytes.store(destination, at: offset &+ EthernetHeader.destinationOffset)
    bytes.store(source, at: offset &+ EthernetHeader.sourceOffset)
    var next = offset &+ EthernetHeader.typeOffset
    if let outerTag {
      bytes.store(UInt32(outerTag.type) << 16 | UInt32(outerTag.control), at: next)
      next &+= VLANTag.length
    }
    if let innerTag {
      bytes.store(UInt32(innerTag.type) << 16 | UInt32(innerTag.control), at: next)
      next &+= VLANTag.length
    }
    bytes.store(etherType, at: next)
    return next &+ 2
  }
}
