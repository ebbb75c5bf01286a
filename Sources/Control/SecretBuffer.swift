internal import Foundation
internal import Keys

/// Octets of a keys file on their way in or out, zeroed when the last reference goes. They never become a String.
final class SecretBuffer {
  private let storage: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(capacity: Int) {
    storage = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit {
    if let base = storage.baseAddress { eraseOctets(base, count: storage.count) }
    storage.deallocate()
  }

  var octets: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: storage[..<count]) }
  private var room: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: storage[count...]) }

  /// Reads from a descriptor until its end or until the buffer is full; -1 and errno when reading fails.
  func read(from descriptor: Int32) -> Int {
    while !room.isEmpty {
      let got = Foundation.read(descriptor, room.baseAddress, room.count)
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { return -1 }
      guard got > 0 else { break }
      count += got
    }
    return count
  }

  /// Writes everything; false and errno when that fails.
  func write(to descriptor: Int32) -> Bool {
    var written = 0
    while written < count {
      let rest = UnsafeRawBufferPointer(rebasing: octets[written...])
      let put = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if put < 0 && errno == EINTR { continue }
      guard put > 0 else { return false }
      written += put
    }
    return true
  }

  /// Appends as much as there is room for.
  func append(_ text: String) { append(text.utf8) }

  func append(_ octets: some Sequence<UInt8>) {
    for octet in octets where count < storage.count {
      storage[count] = octet
      count += 1
    }
  }

  /// Two digits per octet, without an array of them in between.
  func append(hex octets: some Sequence<UInt8>) {
    for octet in octets {
      append(CollectionOfOne(Self.digit(octet >> 4)))
      append(CollectionOfOne(Self.digit(octet & 15)))
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
