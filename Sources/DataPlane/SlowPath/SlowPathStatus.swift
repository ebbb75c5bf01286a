package import Wire

/// A BFD session for people and tools to see. Times in nanoseconds.
package struct BFDStatus: Sendable {
  package var key: NeighbourKey
  package var local: IPAddress
  package var state: BFDPacket.State
  package var diagnostic: BFDPacket.Diagnostic
  /// What the other end said last; nothing after a detection time without packets.
  package var remoteState: BFDPacket.State?
  package var localDiscriminator: UInt32
  package var remoteDiscriminator: UInt32
  /// Between packets sent, before jitter.
  package var transmitInterval: UInt64
  package var detectionTime: UInt64?
  package var multiplier: UInt8
  /// Since the state last changed.
  package var age: UInt64
  /// How often it has left Up, and why it did last.
  package var flaps: UInt64
  package var lastFailure: BFDPacket.Diagnostic?
  package var received: UInt64
  package var sent: UInt64
}

/// A shared address, and whether this gateway answers for it.
package struct SharedStatus: Hashable, Sendable {
  package var key: NeighbourKey
  package var isActive: Bool
}

extension SlowPath {
  /// Every BFD session, by port and address.
  package func bfdStatus(now: UInt64) -> [BFDStatus] {
    bfd.sorted { $0.key < $1.key }.map { key, entry in
      let session = entry.session
      return BFDStatus(
        key: key, local: entry.local, state: session.state, diagnostic: session.diagnostic,
        remoteState: session.remote?.state, localDiscriminator: session.discriminator,
        remoteDiscriminator: session.remote?.discriminator ?? 0,
        transmitInterval: UInt64(session.transmitInterval) &* 1000, detectionTime: session.detectionTime,
        multiplier: session.settings.multiplier, age: now &- session.changed, flaps: session.flaps,
        lastFailure: session.lastFailure, received: entry.received, sent: entry.sent)
    }
  }

  package var sharedStatus: [SharedStatus] {
    ports.values.sorted { $0.index < $1.index }.flatMap { port in
      port.shared.map {
        SharedStatus(
          key: NeighbourKey(port: port.index, address: $0.address), isActive: port.active.contains($0.address))
      }
    }
  }
}
