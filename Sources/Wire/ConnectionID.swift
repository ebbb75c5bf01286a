/// The ID of a connection with a party outside the trust group: the pool's device ID (32 bits), n (31), the direction
/// (wire format, section 5).
@usableFromInline
package struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
  @usableFromInline package let rawValue: UInt64

  @inlinable package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Direction 0, from the client to the pool.
  package init(device: UInt32, number: ConnectionNumber) {
    rawValue = UInt64(device) << 32 | UInt64(number.rawValue) << 1
  }

  @inlinable package var device: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
  package var number: ConnectionNumber { ConnectionNumber(masked: UInt32(truncatingIfNeeded: rawValue >> 1)) }
  @inlinable package var isFromPool: Bool { rawValue & 1 == 1 }
  @inlinable package var toPool: ConnectionID { ConnectionID(rawValue: rawValue & ~1) }
  @inlinable package var fromPool: ConnectionID { ConnectionID(rawValue: rawValue | 1) }
}

/// n: the client's slot, the pool member that issued the connection (6 bits), and that member's serial (6 bits), so that
/// every member finds the client from n alone and no two members issue the same.
package struct ConnectionNumber: Hashable, Sendable {
  /// 31 bits.
  package let rawValue: UInt32

  package static let bits = 31
  package static let slotShift = 12
  package static let serials = 64
  /// The largest slot that n holds: 19 bits.
  package static let lastSlot: UInt32 = 1 << (31 - 12) - 1

  init(masked number: UInt32) { rawValue = number & 0x7FFF_FFFF }

  /// Nothing for a slot, member or serial that its bits cannot hold.
  package init?(slot: UInt32, member: UInt8, serial: Int) {
    guard slot <= Self.lastSlot, member < 64, (0..<Self.serials).contains(serial) else { return nil }
    rawValue = slot << UInt32(Self.slotShift) | UInt32(member) << 6 | UInt32(serial)
  }

  package var slot: UInt32 { rawValue >> UInt32(Self.slotShift) }
  package var member: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 6 & 63) }
  package var serial: Int { Int(rawValue & 63) }
}

extension IPPrefix {
  /// Bits after the prefix.
  package var hostBits: Int { Int(address.bitWidth) - Int(length) }

  /// base + n; nothing when n needs more bits than the prefix leaves.
  package func address(of number: ConnectionNumber) -> IPAddress? {
    guard hostBits < 64, UInt64(number.rawValue) >> UInt64(hostBits) == 0 else { return nil }
    return IPAddress(high: network.address.high, low: network.address.low | UInt64(number.rawValue))
  }
}
