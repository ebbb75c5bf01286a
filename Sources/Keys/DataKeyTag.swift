internal import Wire

/// Everything that finds a data key: what it was derived from and its master key's serial (wire format, section 2).
@usableFromInline package struct DataKeyTag: Equatable, Sendable {
  /// `MasterKey.serial`; 0 stands for no entry.
  @usableFromInline package var serial: UInt64
  @usableFromInline package var request: DataKeyRequest

  @inlinable package init(serial: UInt64, request: DataKeyRequest) {
    self.serial = serial
    self.request = request
  }

  /// Written out, as the one that the compiler would make does not inline into other modules.
  @inlinable package static func == (left: DataKeyTag, right: DataKeyTag) -> Bool {
    left.serial == right.serial && left.request == right.request
  }

  /// The tag of an entry that holds no key.
  @usableFromInline static let none = DataKeyTag(
    serial: 0,
    request: DataKeyRequest(
      variant: Variant(context: .device, suite: .aes256, isWide: false), id: 0, epoch: 0,
      source: IPAddress(high: 0, low: 0)))
}
