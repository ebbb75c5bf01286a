/// A 32-octet key in locked memory, zeroed when the last reference goes. Its octets reach no description, log or error.
package final class SecretKey: @unchecked Sendable, Equatable {
  package static let size = SecretArena.slotSize

  private let slot: UnsafeMutableRawPointer

  /// A key of 32 zero octets for `fill` to write.
  private init(fill: (UnsafeMutableRawPointer) -> Void) throws(LockedMemoryError) {
    slot = try SecretArena.take()
    fill(slot)
  }

  deinit { SecretArena.release(slot) }

  /// A key from the system's random numbers (getrandom).
  package static func random() throws(SecretKeyError) -> SecretKey {
    var generator = SystemRandomNumberGenerator()
    return try make { slot in
      for offset in stride(from: 0, to: size, by: 8) {
        slot.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
      }
    }
  }

  /// Copies exactly 32 octets; the caller erases its own copy.
  package static func copying(_ octets: UnsafeRawBufferPointer) throws(SecretKeyError) -> SecretKey {
    guard octets.count == size, let base = octets.baseAddress else { throw .wrongLength(octets.count) }
    return try make { $0.copyMemory(from: base, byteCount: size) }
  }

  /// Reads exactly 64 hex digits of either case.
  package static func parsing(hex text: some StringProtocol) throws(SecretKeyError) -> SecretKey {
    let count = text.utf8.count
    guard count == 2 * size else { throw .wrongDigitCount(count) }
    guard text.utf8.allSatisfy({ hexDigit($0) != nil }) else { throw .notHex }
    return try make { slot in
      for (position, digit) in text.utf8.enumerated() {
        let octet = slot.load(fromByteOffset: position / 2, as: UInt8.self)
        slot.storeBytes(of: octet << 4 | (hexDigit(digit) ?? 0), toByteOffset: position / 2, as: UInt8.self)
      }
    }
  }

  private static func make(_ fill: (UnsafeMutableRawPointer) -> Void) throws(SecretKeyError) -> SecretKey {
    do { return try SecretKey(fill: fill) } catch { throw .memory(error) }
  }

  /// Lends the 32 octets. Copies that the body makes are the body's to erase.
  package func withOctets<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(start: slot, count: Self.size)) }
  }

  /// Compares in constant time.
  package static func == (a: SecretKey, b: SecretKey) -> Bool {
    a.withOctets { a in
      b.withOctets { b in
        var difference: UInt8 = 0
        for position in 0..<size { difference |= a[position] ^ b[position] }
        return difference == 0
      }
    }
  }

  static func hexDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

extension SecretKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "SecretKey(redacted)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a key could not be made. Never carries what was given.
package enum SecretKeyError: Error, CustomStringConvertible, Equatable {
  case wrongLength(Int)
  case wrongDigitCount(Int)
  case notHex
  case memory(LockedMemoryError)

  package var description: String {
    switch self {
    case .wrongLength(let count): "found \(count) octets, expected 32"
    case .wrongDigitCount(let count): "found \(count) characters, expected 64 hex digits"
    case .notHex: "found a character that is not a hex digit, expected 64 hex digits"
    case .memory(let error): error.description
    }
  }
}
