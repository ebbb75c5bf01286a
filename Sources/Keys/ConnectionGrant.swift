package import Wire

/// What a party outside the trust group holds of a group: data keys of one connection, no root or master key (wire format,
/// section 5).
package struct ConnectionGrant: Sendable {
  /// Direction 0.
  package var id: ConnectionID
  package var keys: [GrantedKey]

  package init(id: ConnectionID, keys: [GrantedKey]) {
    self.id = id
    self.keys = keys
  }

  /// Drops what an epoch more than one before `epoch` left.
  package mutating func expire(before epoch: UInt64) { keys.removeAll { $0.epoch + 1 < epoch } }
}

/// One data key of a connection.
package struct GrantedKey: Sendable {
  /// The generation of each root key, in the order in which options name them.
  package var generations: [UInt64]
  package var isFromPool: Bool
  /// Not reduced.
  package var epoch: UInt64
  package var suite: Suite
  /// AES-128 uses the first 16 octets.
  package var key: SecretKey

  package init(generations: [UInt64], isFromPool: Bool, epoch: UInt64, suite: Suite, key: SecretKey) {
    self.generations = generations
    self.isFromPool = isFromPool
    self.epoch = epoch
    self.suite = suite
    self.key = key
  }

  /// What a member of the group derives this key from.
  package func request(_ id: ConnectionID) -> DataKeyRequest {
    DataKeyRequest(
      variant: Variant(context: .connection, suite: suite, isWide: true),
      id: isFromPool ? id.fromPool.rawValue : id.toPool.rawValue, epoch: Epoch.onWire(epoch), source: .unspecifiedIPv6)
  }
}

extension Generation {
  /// The number of a generation whose key is not held. What stands in the key's place is random, so that it is nobody's.
  package static func numbered(_ index: UInt64) throws(SecretKeyError) -> Generation {
    Generation(index: index, key: try SecretKey.random())
  }
}
