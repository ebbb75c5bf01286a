/// What a member holds of one root key, and what it takes from the key's controller. Numbers and fingerprints only: the
/// octets are elsewhere, but a number stands here exactly when its octets are held.
package struct MemberRotation: Codable, Equatable, Sendable {
  package private(set) var previous: UInt64?
  package private(set) var current: UInt64?
  package private(set) var next: UInt64?
  /// The lowest generation that is ever taken again; never falls.
  package private(set) var floor: UInt64
  /// Nothing older is ever sealed with again; never falls, also when what is sealed with comes to its end.
  private var sealsFrom: UInt64
  /// The newest generation that was held; never falls.
  private var newest: UInt64
  /// SHA-256 over the octets of each generation held, and of the newest that was: one number never has two keys.
  package private(set) var fingerprints: [UInt64: Fingerprint]

  /// Nothing held yet.
  package init() {
    floor = 0
    sealsFrom = 0
    newest = 0
    fingerprints = [:]
  }

  package var generations: [UInt64] { [previous, current, next].compactMap(\.self) }

  /// What to report once this is in the sealed file and on every lcore (wire format, section 2; docs/keys.md).
  ///
  /// STAGE of the newest, PROMOTE of the oldest that may be sealed with. A generation whose life is over stays
  /// acknowledged: else members that outlived it would hold up the rotation that they wait for.
  package var acknowledgement: (staged: UInt64, promoted: UInt64) { (newest, min(sealsFrom, newest)) }

  /// Takes an offer over, or refuses it whole and changes nothing.
  ///
  /// - Returns: the generations whose octets are to be erased.
  package mutating func take(_ offer: RotationOffer) throws(RotationRefusal) -> [UInt64] {
    guard offer.floor >= floor else { throw .floorRegression(held: floor, offered: offer.floor) }
    var numbers: [UInt64] = []
    for (role, number) in offer.generations {
      guard number >= floor, number >= offer.floor else {
        throw .belowFloor(generation: number, floor: max(floor, offer.floor))
      }
      guard !numbers.contains(number), offer.fingerprints[number] != nil else { throw .malformed }
      if let known = fingerprints[number], known != offer.fingerprints[number] {
        throw .changedKey(generation: number)
      }
      numbers.append(number)
      // The controller's current generation never goes back: a sender would use what others have erased.
      if role == .current, number < sealsFrom { throw .generationRegression(held: sealsFrom, offered: number) }
    }
    // What is held ends by the floor only: an offer that came late must not take a staged generation away, which others
    // may seal with as soon as it was acknowledged.
    for number in generations where number >= offer.floor && !numbers.contains(number) {
      throw .missingGeneration(number)
    }
    guard numbers == numbers.sorted(), zip(numbers, numbers.dropFirst()).allSatisfy({ $1 == $0 + 1 }) else {
      throw .notConsecutive(numbers)
    }
    let erased = generations.filter { !numbers.contains($0) }
    previous = offer.generation(.previous)
    current = offer.generation(.current)
    next = offer.generation(.next)
    floor = offer.floor
    sealsFrom = max(sealsFrom, current ?? floor)
    newest = max(newest, numbers.last ?? 0)
    for number in numbers { fingerprints[number] = offer.fingerprints[number] }
    fingerprints = fingerprints.filter { numbers.contains($0.key) || $0.key == newest }
    return erased
  }

  /// Lets go of a generation whose life is over.
  package mutating func expire(_ generation: UInt64) {
    if previous == generation { previous = nil }
    if current == generation {
      // Nothing older may be used when the newer is over.
      previous = nil
      current = nil
    }
    if next == generation { next = nil }
  }
}

/// What a controller offers of one root key: roles, numbers and fingerprints.
package struct RotationOffer: Equatable, Sendable {
  /// Oldest first.
  package var generations: [(role: GenerationRole, number: UInt64)]
  package var floor: UInt64
  package var fingerprints: [UInt64: Fingerprint]

  package init(
    generations: [(role: GenerationRole, number: UInt64)], floor: UInt64, fingerprints: [UInt64: Fingerprint]
  ) {
    self.generations = generations
    self.floor = floor
    self.fingerprints = fingerprints
  }

  package func generation(_ role: GenerationRole) -> UInt64? { generations.first { $0.role == role }?.number }

  package static func == (a: Self, b: Self) -> Bool {
    a.floor == b.floor && a.fingerprints == b.fingerprints
      && a.generations.map(\.number) == b.generations.map(\.number)
      && a.generations.map(\.role) == b.generations.map(\.role)
  }
}

extension RotationState {
  /// What members are offered, given the fingerprints of its generations.
  package func offer(_ fingerprints: [UInt64: Fingerprint]) -> RotationOffer {
    RotationOffer(
      generations: GenerationRole.allCases.compactMap { role in
        let number =
          switch role {
          case .previous: previous
          case .current: current
          case .next: next
          }
        return number.map { (role, $0) }
      }, floor: floor, fingerprints: fingerprints)
  }
}

/// Why a member does not take what a controller offers. Its keys stay as they are, and the controller sees no
/// acknowledgement.
package enum RotationRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  case malformed
  case notConsecutive([UInt64])
  case floorRegression(held: UInt64, offered: UInt64)
  case generationRegression(held: UInt64, offered: UInt64)
  case belowFloor(generation: UInt64, floor: UInt64)
  case changedKey(generation: UInt64)
  case missingGeneration(UInt64)

  package var description: String {
    switch self {
    case .malformed: "found a generation twice or without a fingerprint, expected each once, with its own"
    case .notConsecutive(let numbers):
      "found generations \(numbers.map(String.init).joined(separator: ", ")), expected consecutive numbers"
    case .floorRegression(let held, let offered):
      "found \(offered) as the lowest acceptable generation, expected \(held) or more: the controller may have been set back"
    case .generationRegression(let held, let offered):
      "found generation \(offered) as current, expected \(held) or later: the controller may have been set back"
    case .belowFloor(let generation, let floor):
      "found generation \(generation), expected \(floor) or later: it was ended before"
    case .changedKey(let generation):
      "found other octets under generation \(generation), expected those that it had: two controllers may disagree, "
        + "or one was set back"
    case .missingGeneration(let generation):
      "found no generation \(generation), expected it, since it is held and was not ended: the offer may be an old one"
    }
  }
}

/// SHA-256 of a root key's octets: tells two keys apart and gives nothing away, as the keys are random.
package struct Fingerprint: Hashable, Sendable, Codable, CustomStringConvertible {
  /// 32 octets.
  package let octets: [UInt8]

  package init?(_ octets: [UInt8]) {
    guard octets.count == 32 else { return nil }
    self.octets = octets
  }

  /// The first 32 of the octets, zeros where there are fewer: for a hash, which always has them.
  package init(hash octets: [UInt8]) { self.octets = Array((octets + [UInt8](repeating: 0, count: 32)).prefix(32)) }

  /// 64 hex digits.
  package init?(_ text: String) {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count == 64, text.utf8.count == 64 else { return nil }
    octets = stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  package var description: String {
    octets.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let value = Self(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "expected 64 hex digits"))
    }
    self = value
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
