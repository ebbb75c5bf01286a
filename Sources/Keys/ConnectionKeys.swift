internal import Wire

/// Derives data keys of connections for parties outside a group, where the group's root keys are.
package protocol ConnectionKeys: Sendable {
  /// One key for each request, under the group's master key of these generations.
  func keys(for requests: [ConnectionKeyRequest], of group: TrustGroup) throws -> [SecretKey]
}

package struct ConnectionKeyRequest: Sendable {
  /// In the order in which options name them.
  package var generations: [UInt64]
  package var request: DataKeyRequest

  package init(generations: [UInt64], request: DataKeyRequest) {
    self.generations = generations
    self.request = request
  }
}

extension KeyTable {
  /// The data keys of the table's first group.
  package static func connectionKeys(
    for requests: [ConnectionKeyRequest], of group: TrustGroup, with primitives: some KeyPrimitives
  ) throws -> [SecretKey] {
    var group = group
    group.isDefault = false
    let table = try KeyTable([group], with: primitives)
    let derivation = KeyDerivation()
    let scratch = try LockedMemory(octets: KeyDerivation.keySize)
    return try requests.map { wanted in
      guard let master = table.master(ofGroup: 0, generations: wanted.generations), !master.isGranted else {
        throw KeyProblem(path: group.name, message: "found no keys of the generations \(wanted.generations)")
      }
      derivation.derive(wanted.request, under: master, with: primitives, into: scratch.base)
      return try SecretKey.copying(UnsafeRawBufferPointer(start: scratch.base, count: KeyDerivation.keySize))
    }
  }
}
