import Foundation
import Rotation
import Testing

@Suite struct MemberRotationTests {
  private func offer(
    _ previous: UInt64?, _ current: UInt64?, _ next: UInt64?, floor: UInt64, mark: UInt8 = 0, bare: UInt64? = nil
  ) -> RotationOffer {
    let pairs: [(GenerationRole, UInt64?)] = [(.previous, previous), (.current, current), (.next, next)]
    let generations = pairs.compactMap { role, number in number.map { (role: role, number: $0) } }
    var keys: [UInt64: Fingerprint] = [:]
    for (_, number) in generations where number != bare { keys[number] = key(number, mark) }
    return RotationOffer(generations: generations, floor: floor, fingerprints: keys)
  }

  private func key(_ number: UInt64, _ mark: UInt8) -> Fingerprint? {
    Fingerprint([UInt8(truncatingIfNeeded: number), mark] + [UInt8](repeating: 7, count: 30))
  }

  /// previous 4, current 5, next 6.
  private func member() throws -> MemberRotation {
    var member = MemberRotation()
    let erased1 = try member.take(offer(4, 5, 6, floor: 4))
    #expect(erased1 == [])
    return member
  }

  private func refuses(_ offer: RotationOffer, _ refusal: RotationRefusal) throws {
    var member = try member()
    let before = member
    #expect(throws: refusal) { _ = try member.take(offer) }
    #expect(member == before, "a refused offer changes nothing")
    #expect(!refusal.description.isEmpty)
  }

  @Test func takesARotation() throws {
    var member = try member()
    #expect(member.acknowledgement == (6, 5))
    let erased2 = try member.take(offer(5, 6, nil, floor: 5))
    #expect(erased2 == [4])
    #expect(member.acknowledgement == (6, 6))
    let erased3 = try member.take(offer(5, 6, nil, floor: 5))
    #expect(erased3 == [], "the same again")
    let erased4 = try member.take(offer(nil, nil, nil, floor: 7))
    #expect(erased4 == [5, 6], "revoked, nothing staged")
    #expect(member.generations.isEmpty)
    #expect(member.acknowledgement == (6, 6), "no number that was never made")
    #expect(throws: RotationRefusal.floorRegression(held: 7, offered: 5)) {
      _ = try member.take(offer(5, 6, nil, floor: 5))
    }
    let erased5 = try member.take(offer(nil, nil, 7, floor: 7))
    #expect(erased5 == [])
    #expect(member.current == nil, "nothing is sealed before the promotion")
  }

  /// A member that was away for several rotations.
  @Test func catchesUp() throws {
    var member = try member()
    let erased6 = try member.take(offer(20, 21, 22, floor: 20))
    #expect(erased6 == [4, 5, 6])
    #expect(member.acknowledgement == (22, 21))
  }

  @Test func refusesRegressions() throws {
    try refuses(offer(3, 4, 5, floor: 3), .floorRegression(held: 4, offered: 3))
    try refuses(offer(nil, 4, 5, floor: 4), .generationRegression(held: 5, offered: 4))
    try refuses(offer(4, 5, 6, floor: 5), .belowFloor(generation: 4, floor: 5))
    try refuses(offer(4, 5, nil, floor: 4), .missingGeneration(6))
    try refuses(offer(4, 6, 7, floor: 4), .missingGeneration(5))
    try refuses(offer(6, 8, nil, floor: 6), .notConsecutive([6, 8]))
    try refuses(offer(5, 5, nil, floor: 4), .malformed)
    try refuses(offer(4, 5, 6, floor: 4, bare: 6), .malformed)
  }

  @Test func refusesAnotherKeyUnderANumber() throws {
    try refuses(offer(4, 5, 6, floor: 4, mark: 1), .changedKey(generation: 4))
    // Also of the newest one that is no longer held.
    var member = try member()
    member.expire(5)
    member.expire(6)
    #expect(member.generations.isEmpty)
    #expect(throws: RotationRefusal.changedKey(generation: 6)) {
      _ = try member.take(offer(nil, 6, nil, floor: 6, mark: 1))
    }
  }

  /// A generation whose life is over stays acknowledged, or nobody could rotate any more.
  @Test func expiry() throws {
    var member = try member()
    member.expire(5)
    #expect(member.generations == [6], "nothing older is used when the newer is over")
    #expect(member.acknowledgement == (6, 5))
    member.expire(6)
    #expect(member.generations.isEmpty)
    #expect(member.acknowledgement == (6, 5))
    #expect(throws: RotationRefusal.generationRegression(held: 5, offered: 4)) {
      _ = try member.take(offer(nil, 4, 5, floor: 4))
    }
    let erased7 = try member.take(offer(5, 6, nil, floor: 5))
    #expect(erased7 == [])
  }

  @Test func survivesTheSealedFile() throws {
    let member = try member()
    let copy = try JSONDecoder().decode(MemberRotation.self, from: JSONEncoder().encode(member))
    #expect(copy == member)
    #expect(copy.acknowledgement == member.acknowledgement)
  }

  @Test func fingerprints() throws {
    let text = String(repeating: "0123456789abcdef", count: 4)
    #expect(Fingerprint(text)?.description == text)
    for wrong in ["", String(text.dropLast()), text + "0", "g" + text.dropFirst(), "é" + text.dropFirst(2)] {
      #expect(Fingerprint(wrong) == nil, "\(wrong)")
    }
    #expect(Fingerprint([UInt8](repeating: 0, count: 31)) == nil)
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(Fingerprint.self, from: Data("\"00\"".utf8)) }
  }
}
