internal import Foundation
package import Keys
package import Rotation
internal import Vault
package import Wire

/// Why an answer of a pool's member is not taken over. Nothing has changed then.
struct AnswerRefusal: Error, CustomStringConvertible {
  let description: String

  init(_ place: String, found: String, expected: String) {
    description = "\(place): found \(found), expected \(expected)"
  }
}

/// What a client holds of its connection: the data keys that were granted, of all answers that still count.
package struct HeldConnection: Sendable {
  package private(set) var id: ConnectionID
  /// The inner address, base + n.
  package private(set) var address: IPAddress
  package private(set) var issued: [String: UInt64]
  package private(set) var group: ConnectionGroup
  package private(set) var members: [String]
  /// Unix seconds: when to renew at the latest, and the end of the last epoch with keys to seal with.
  package private(set) var renew, expires: Int64
  private var roots: [Root]
  private var keys: [GrantedKey]

  private struct Root: Sendable, Equatable {
    var level: RootKeyLevel
    var id: [UInt8]
    var current: UInt64
    var next: UInt64?
  }

  private static let mostKeys = 1024

  /// - Parameter old: of a renewal: what is held, of which the keys that still count stay.
  init(
    _ answer: ConnectionAnswer, recipient: KeyRecipient, renewing old: HeldConnection? = nil, at time: Int64
  ) throws {
    guard answer.alg == KeySet.algorithm else {
      throw AnswerRefusal("alg", found: Offer.shown(answer.alg), expected: KeySet.algorithm)
    }
    guard answer.id.utf8.count == 16, let value = UInt64(answer.id, radix: 16),
      case let id = ConnectionID(rawValue: value), !id.isFromPool, old.map({ $0.id == id }) ?? true
    else {
      throw AnswerRefusal(
        "id", found: Offer.shown(answer.id),
        expected: old.map { "\(ConnectionText.id($0.id)), which is renewed" } ?? "16 hex digits, direction 0")
    }
    // The address is the prefix's base + n: its last bits are n's.
    guard let address = IPAddress(answer.address), address.low & 0xFFF == UInt64(id.number.rawValue) & 0xFFF,
      old.map({ $0.address == address }) ?? true
    else {
      throw AnswerRefusal("address", found: Offer.shown(answer.address), expected: "the connection's inner address")
    }
    let group = answer.group
    guard TrustGroup.epochPeriods.contains(group.epochPeriod), TrustGroup.cOffsets.contains(group.maxCOffset),
      TrustGroup.iOffsets.contains(group.maxIOffset), old.map({ $0.group.epochPeriod == group.epochPeriod }) ?? true
    else {
      throw AnswerRefusal(
        "group",
        found: "epoch_period \(group.epochPeriod), max_coffset \(group.maxCOffset), max_ioffset "
          + "\(group.maxIOffset)", expected: "what a group can have, and the period that it had")
    }
    roots = try answer.rootKeys.map(Self.root)
    guard TrustGroup.rootKeyCounts.contains(roots.count), answer.keys.count <= Self.mostKeys, answer.renew >= 0,
      answer.expires >= 0, answer.expires < 1 << 40, answer.members.count <= 64
    else {
      throw AnswerRefusal(
        "keys", found: "\(roots.count) root keys and \(answer.keys.count) keys", expected: "1 to 3, and fewer keys")
    }
    (self.id, self.address, self.group, issued) = (id, address, group, old?.issued ?? answer.issued)
    (members, renew, expires) = (answer.members, answer.renew, answer.expires)
    keys = []
    let delivery = try recipient.agree(with: answer.epk)
    let epoch = UInt64(max(time, 0)) / UInt64(group.epochPeriod)
    for object in answer.keys {
      let key = try Self.key(object, roots, delivery, near: epoch)
      try add(key)
    }
    for key in old?.keys ?? [] where isHeld(key.generations) { try add(key) }
    expire(at: time)
    guard keys.contains(where: { $0.generations == current }) else {
      throw AnswerRefusal("keys", found: "none of the current generations", expected: "one at least")
    }
  }

  private static func root(_ key: ConnectionRootKey) throws -> Root {
    guard let level = RootKeyLevel(key.level), let id = Hex.decode(key.id), RootKey.idLengths.contains(id.count),
      key.next.map({ $0 > 0 && $0 - 1 == key.current }) ?? true
    else {
      throw AnswerRefusal(
        "root_keys", found: "\(Offer.shown(key.level)) \(Offer.shown(key.id)) \(key.current)",
        expected: "level, ID and numbers of a root key")
    }
    return Root(level: level, id: id, current: key.current, next: key.next)
  }

  private static func key(
    _ object: DataKeyObject, _ roots: [Root], _ delivery: KeyDelivery, near epoch: UInt64
  ) throws -> GrantedKey {
    guard object.kty == "oct", object.enc == "A256KW",
      let suite = DataKeyObject.algorithms.firstIndex(of: object.alg).flatMap({ Suite(rawValue: UInt8($0)) })
    else {
      throw AnswerRefusal(
        "keys", found: "\(Offer.shown(object.kty)), \(Offer.shown(object.enc)), \(Offer.shown(object.alg))",
        expected: "oct, A256KW, A256GCM or A128GCM")
    }
    // Bounds, so that a broken member cannot fill the memory with keys of other times.
    guard object.generations.count == roots.count, object.epoch < 1 << 40, object.epoch + 2 >= epoch,
      object.epoch <= epoch + 2
    else {
      throw AnswerRefusal(
        "keys", found: "epoch \(object.epoch), \(object.generations.count) generations",
        expected: "epoch \(epoch) or one beside it, \(roots.count) generations; compare the clocks")
    }
    let options = zip(roots, object.generations).map { ConnectionText.option($0.level, $0.id, $1) }.joined()
    guard object.options == options else {
      throw AnswerRefusal("options", found: Offer.shown(object.options), expected: options)
    }
    return GrantedKey(
      generations: object.generations, isFromPool: object.direction == .fromPool, epoch: object.epoch, suite: suite,
      key: try delivery.unwrap(object.k))
  }

  /// A key that is there already must be the same: two under one nonce sequence would be a disaster.
  private mutating func add(_ key: GrantedKey) throws {
    let twin = keys.first {
      $0.generations == key.generations && $0.isFromPool == key.isFromPool && $0.epoch == key.epoch
        && $0.suite == key.suite
    }
    guard let twin else { return keys.append(key) }
    guard twin.key == key.key else {
      throw AnswerRefusal(
        "keys", found: "other octets for epoch \(key.epoch), generations \(key.generations)",
        expected: "the same from every member: their root keys differ")
    }
  }

  private var current: [UInt64] { roots.map(\.current) }

  /// Whether a table can have these: previous, current or next of each root key.
  private func isHeld(_ generations: [UInt64]) -> Bool {
    generations.count == roots.count
      && zip(roots, generations).allSatisfy { root, number in
        number == root.current || number == root.next || root.current > 0 && number == root.current - 1
      }
  }

  /// Lets go of keys more than one epoch back.
  ///
  /// - Returns: whether any went.
  @discardableResult mutating func expire(at time: Int64) -> Bool {
    let before = keys.count
    let epoch = UInt64(max(time, 0)) / UInt64(group.epochPeriod)
    keys.removeAll { $0.epoch + 1 < epoch }
    return keys.count != before
  }

  /// Whether there is something to seal with in this second.
  func canSeal(at time: Int64) -> Bool {
    let epoch = UInt64(max(time, 0)) / UInt64(group.epochPeriod)
    return keys.contains { !$0.isFromPool && $0.epoch == epoch && $0.generations == current }
  }

  /// For a key table: numbers of root keys, and the granted data keys.
  ///
  /// - Parameter name: what the client's configuration calls the group.
  package func trustGroup(named name: String) throws -> TrustGroup {
    let rootKeys = try roots.enumerated().map { place, root in
      let hasPrevious = root.current > 0 && keys.contains { $0.generations[place] == root.current - 1 }
      return RootKey(
        level: root.level, id: root.id, previous: hasPrevious ? try .numbered(root.current - 1) : nil,
        current: try .numbered(root.current), next: try root.next.map { try .numbered($0) })
    }
    return TrustGroup(
      name: name, isDefault: true, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset,
      maxIOffset: group.maxIOffset, rootKeys: rootKeys, grant: ConnectionGrant(id: id, keys: keys))
  }
}
