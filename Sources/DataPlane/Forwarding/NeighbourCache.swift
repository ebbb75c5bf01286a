internal import Wire

/// One lcore's copy of the neighbours that it sends to: a look takes a few cycles, where the shared map takes fifty.
///
/// A place has room for one neighbour, the last one asked for. All are forgotten as soon as anything in the map changes, which
/// `begin` asks once a round: so a packet never goes to a MAC address that was withdrawn before its round began.
struct NeighbourCache: ~Copyable {
  private struct Place {
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// Port and MAC address, 16 and 48 bits; no port has the number 0xFFFF.
    var value = UInt64.max
  }

  private static var placeBits: UInt64 { 7 }
  private let map: NeighbourMap
  private let places: UnsafeMutablePointer<Place>
  private var version: UInt64

  init(_ map: NeighbourMap) {
    self.map = map
    version = map.version
    places = .allocateLines(capacity: 1 << Self.placeBits)
    places.initialize(repeating: Place(), count: 1 << Self.placeBits)
  }

  deinit { places.deallocate() }

  /// Whether anything changed.
  @inline(__always) mutating func begin() -> Bool {
    let latest = map.version
    guard latest != version else { return false }
    forget(latest)
    return true
  }

  @inline(never) private mutating func forget(_ latest: UInt64) {
    version = latest
    places.update(repeating: Place(), count: 1 << Self.placeBits)
  }

  @inline(__always) func mac(of address: IPAddress, port: Int) -> MACAddress? {
    let number = UInt64(truncatingIfNeeded: port)
    // Addresses of one network differ in their low bits.
    let hash = (address.low ^ address.high &+ number) &* 0x9E37_79B9_7F4A_7C15
    let place = places + Int(truncatingIfNeeded: hash >> (64 &- Self.placeBits))
    if place.pointee.low == address.low, place.pointee.high == address.high, place.pointee.value >> 48 == number {
      return MACAddress(rawValue: place.pointee.value)
    }
    return look(address, port: port, number, place)
  }

  @inline(never)
  private func look(_ address: IPAddress, port: Int, _ number: UInt64, _ place: UnsafeMutablePointer<Place>)
    -> MACAddress?
  {
    guard let mac = map.mac(of: address, port: port) else { return nil }
    place.pointee = Place(high: address.high, low: address.low, value: number << 48 | mac.rawValue)
    return mac
  }
}
