internal import Keys
internal import Rotation
internal import Vault

/// Why an answer of a controller is not taken over. Nothing has changed then, and nothing is acknowledged.
struct OfferRefusal: Error, CustomStringConvertible {
  let description: String

  init(_ place: String, found: String, expected: String) {
    description = "\(place): found \(found), expected \(expected)"
  }

  init(_ place: String, _ reason: some CustomStringConvertible) { description = "\(place): \(reason)" }
}

/// A controller's answer with its keys unwrapped and checked: nothing of it has been held against what is there.
struct Offer: Sendable {
  struct Series: Sendable {
    var name: String
    var id: String
    var level: String
    var rotation: RotationOffer
    var keys: [UInt64: HeldGeneration]
  }

  var version: UInt64
  var series: [Series]
  var assignment: Assignment?
  var clients: [ClientRecord]

  /// The most root keys and clients that one controller may name.
  static let mostSeries = 1024
  static let mostClients = 65536

  /// Opens what was wrapped for `recipient`.
  init(_ set: KeySet, recipient: KeyRecipient) throws(OfferRefusal) {
    guard set.alg == KeySet.algorithm else {
      throw OfferRefusal("alg", found: Self.shown(set.alg), expected: KeySet.algorithm)
    }
    guard set.rootKeys.count <= Self.mostSeries, set.clients.count <= Self.mostClients else {
      throw OfferRefusal(
        "root_keys", found: "\(set.rootKeys.count) root keys and \(set.clients.count) clients",
        expected: "at most \(Self.mostSeries) and \(Self.mostClients)")
    }
    let delivery: KeyDelivery
    do { delivery = try recipient.agree(with: set.epk) } catch { throw OfferRefusal("epk", error) }
    version = set.version
    series = []
    for item in set.rootKeys {
      let next = try Self.series(item, delivery)
      if series.contains(where: { $0.id == next.id || $0.name == next.name }) {
        throw OfferRefusal(next.name, found: "its name or its ID twice", expected: "each root key once")
      }
      series.append(next)
    }
    if let assignment = set.assignment {
      guard assignment.deviceID.utf8.count == 8, Hex.decode(assignment.deviceID) != nil, assignment.member <= 63 else {
        throw OfferRefusal(
          "assignment", found: "device ID \(Self.shown(assignment.deviceID)), member \(assignment.member)",
          expected: "8 hex digits, and 0 to 63")
      }
    }
    assignment = set.assignment
    clients = set.clients
  }

  private static func series(_ item: KeySeries, _ delivery: KeyDelivery) throws(OfferRefusal) -> Series {
    guard (1...64).contains(item.name.utf8.count), item.name.utf8.allSatisfy({ (33...126).contains($0) }) else {
      throw OfferRefusal("root_keys", found: "the name \(shown(item.name))", expected: "1 to 64 printable characters")
    }
    guard let id = Hex.decode(item.id), RootKey.idLengths.contains(id.count) else {
      throw OfferRefusal(
        item.name, found: "the ID \(shown(item.id))", expected: "16, 20, 24, 28 or 32 octets in hex, lower case")
    }
    guard RootKeyLevel(item.level) != nil else {
      throw OfferRefusal(
        item.name, found: "the level \(shown(item.level))", expected: "trust-region, user-group or task-group")
    }
    var generations: [(role: GenerationRole, number: UInt64)] = []
    var fingerprints: [UInt64: Fingerprint] = [:]
    var keys: [UInt64: HeldGeneration] = [:]
    for key in item.keys {
      let place = "\(item.name) generation \(key.index)"
      guard !generations.contains(where: { $0.role == key.state || $0.number == key.index }) else {
        throw OfferRefusal(place, found: "its number or its state twice", expected: "each once")
      }
      keys[key.index] = try generation(key, of: item, at: place, delivery)
      generations.append((key.state, key.index))
      fingerprints[key.index] = key.fingerprint
    }
    let order = GenerationRole.allCases
    generations.sort { (order.firstIndex(of: $0.role) ?? 0) < (order.firstIndex(of: $1.role) ?? 0) }
    return Series(
      name: item.name, id: item.id, level: item.level,
      rotation: RotationOffer(generations: generations, floor: item.floor, fingerprints: fingerprints), keys: keys)
  }

  private static func generation(
    _ key: KeyObject, of item: KeySeries, at place: String, _ delivery: KeyDelivery
  ) throws(OfferRefusal) -> HeldGeneration {
    guard key.kty == "oct", key.enc == "A256KW" else {
      throw OfferRefusal(place, found: "\(shown(key.kty)), \(shown(key.enc))", expected: "oct, A256KW")
    }
    guard key.level == item.level, key.kid == "\(item.id).\(key.index)" else {
      throw OfferRefusal(place, found: "the key of \(shown(key.kid)), \(shown(key.level))", expected: "its own")
    }
    // Bounds for arithmetic; the life itself is held against the epochs that use it.
    guard key.nbf >= 0, key.exp > key.nbf, key.exp < 1 << 40 else {
      throw OfferRefusal(place, found: "a life from \(key.nbf) to \(key.exp)", expected: "Unix seconds, in that order")
    }
    let secret: SecretKey
    do { secret = try delivery.unwrap(key.k) } catch { throw OfferRefusal(place, error) }
    guard Fingerprint(of: secret) == key.fingerprint else {
      throw OfferRefusal(place, found: "octets of another fingerprint", expected: "those of \(key.fingerprint)")
    }
    return HeldGeneration(key: secret, kid: key.kid, notBefore: key.nbf, expires: key.exp)
  }

  /// A text of the other side, for people: short, and nothing that moves a cursor.
  static func shown(_ text: String) -> String {
    let shown = text.unicodeScalars.prefix(200).map { (32...126).contains($0.value) ? String($0) : "?" }.joined()
    return "\"\(shown)\(text.unicodeScalars.count > 200 ? "..." : "")\""
  }
}

extension HeldController {
  /// What is held after an offer was taken over; or why it is not.
  ///
  /// - Parameters:
  ///   - time: Unix seconds.
  ///   - lifetime: the longest life of a generation of the named root key, in seconds.
  func taking(
    _ offer: Offer, at time: Int64, lifetime: (String) -> Int64?
  ) throws(OfferRefusal) -> HeldController {
    guard offer.version >= version else {
      throw OfferRefusal(
        "version", found: "\(offer.version)",
        expected: "\(version) or more: the controller was set back to an older state; restore its newest store")
    }
    var new = self
    new.version = offer.version
    for index in new.series.indices where !offer.series.contains(where: { $0.id == new.series[index].id }) {
      new.series[index].end()
    }
    for item in offer.series {
      var held = new.series.first { $0.id == item.id } ?? HeldSeries(name: item.name, id: item.id, level: item.level)
      guard held.level == item.level else {
        throw OfferRefusal(item.name, found: "level \(item.level)", expected: "\(held.level), as before")
      }
      held.name = item.name
      held.isOffered = true
      try held.take(item, at: time, lifetime: lifetime(item.name))
      if let index = new.series.firstIndex(where: { $0.id == item.id }) {
        new.series[index] = held
      } else {
        new.series.append(held)
      }
    }
    guard new.series.count <= 2 * Offer.mostSeries else {
      throw OfferRefusal(
        "root_keys", found: "\(new.series.count) root keys in all that it ever offered",
        expected: "at most \(2 * Offer.mostSeries); it changes their IDs again and again")
    }
    return new
  }
}

extension HeldSeries {
  mutating func take(_ item: Offer.Series, at time: Int64, lifetime: Int64?) throws(OfferRefusal) {
    do { _ = try rotation.take(item.rotation) } catch { throw OfferRefusal(name, error) }
    var keys: [UInt64: HeldGeneration] = [:]
    for (number, generation) in item.keys {
      if let lifetime, generation.expires - generation.notBefore >= lifetime {
        throw OfferRefusal(
          "\(name) generation \(number)", found: "a life of \(generation.expires - generation.notBefore) s",
          expected: "less than \(lifetime) s, 2^15 epoch periods: its epochs would come round again")
      }
      // The same octets, as their fingerprint is the same; a life is never made longer.
      if var old = self.keys[number] {
        old.expires = min(old.expires, generation.expires)
        keys[number] = old
      } else {
        keys[number] = generation
      }
    }
    self.keys = keys
    expire(at: time)
  }
}
