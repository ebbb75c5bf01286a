import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import Testing
import Vault
import Wire

/// Who gets which connection, and which keys (wire format, section 5).
@Suite struct ConnectionDeskTests {
  private static func desk(_ ledger: TestLedger) throws -> ConnectionDesk {
    try ConnectionDesk(ClientLab.settings(), ledger: ledger, keys: TestKeys())
  }

  private static func request(_ issued: [String: UInt64]? = nil) throws -> (ConnectionRequest, KeyRecipient) {
    let recipient = try KeyRecipient()
    return (ConnectionRequest(recipient: recipient.publicKey, issued: issued), recipient)
  }

  private static func status(_ body: () throws -> ConnectionAnswer) -> Int {
    do {
      _ = try body()
      return 200
    } catch let refusal as ConnectionRefusal {
      return refusal.status
    } catch {
      return -1
    }
  }

  @Test func answersWithDataKeysOnly() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group()))
    let (request, recipient) = try Self.request()
    let answer = try Self.desk(ledger).open(request, from: ClientLab.peer(), at: ClientLab.start + 10)
    // slot 3, member 2, serial 0: n = 3 x 4096 + 2 x 64.
    #expect(answer.id == "00002a02" + "00006100" && answer.address == "10.128.48.128")
    #expect(answer.rootKeys.map(\.current) == [7, 7] && answer.rootKeys.map(\.next) == [8, 8])
    // Four combinations, two directions, two suites, one epoch.
    #expect(answer.keys.count == 16 && Set(answer.keys.map(\.epoch)) == [UInt64(ClientLab.epoch)])
    #expect(Set(answer.keys.map(\.generations)) == [[7, 7], [7, 8], [8, 7], [8, 8]])
    #expect(answer.renew == ClientLab.start + 450 && answer.expires == ClientLab.start + 600)
    // What it unwraps to is what a member derives, and none of them is a root key.
    let id = ConnectionID(rawValue: 0x0000_2a02_0000_6100)
    let group = try ClientLab.group()
    let roots = group.rootKeys.flatMap(\.generations).map(\.key)
    for object in answer.keys {
      let key = try recipient.open(object.k, from: answer.epk)
      let suite: Suite = object.alg == "A256GCM" ? .aes256 : .aes128
      let granted = GrantedKey(
        generations: object.generations, isFromPool: object.direction == .fromPool, epoch: object.epoch, suite: suite,
        key: key)
      let expected = try TestKeys().keys(
        for: [ConnectionKeyRequest(generations: granted.generations, request: granted.request(id))], of: group)
      #expect(key == expected[0] && !roots.contains(key))
      let options = object.generations.enumerated().map { place, generation in
        "0\(place == 0 ? 1 : 3)120\(generation)00" + String(repeating: place == 0 ? "01" : "11", count: 16)
      }
      #expect(object.options == options.joined())
    }
  }

  @Test func lastQuarterHasTheNextEpoch() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group(next: false)))
    let desk = try Self.desk(ledger)
    for (offset, epochs, renew) in [(449, 1, 450), (450, 2, 1050), (599, 2, 1050), (600, 1, 1050)]
      as [(Int64, Int, Int64)]
    {
      let answer = try desk.open(Self.request().0, from: ClientLab.peer(), at: ClientLab.start + offset)
      #expect(Set(answer.keys.map(\.epoch)).count == epochs && answer.renew == ClientLab.start + renew)
    }
  }

  @Test func onlyListedClients() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group()))
    let desk = try Self.desk(ledger)
    let time = ClientLab.start
    let other = "spiffe://region1.example/client/two"
    let wrongPin = "sha256:" + String(repeating: "cd", count: 32)
    #expect(Self.status { try desk.open(Self.request().0, from: ClientLab.peer(other), at: time) } == 403)
    #expect(Self.status { try desk.open(Self.request().0, from: ClientLab.peer(pin: wrongPin), at: time) } == 403)
    let answer = try desk.open(Self.request().0, from: ClientLab.peer(), at: time)
    let renewal = try Self.request(answer.issued).0
    #expect(Self.status { try desk.renew(answer.id, renewal, from: ClientLab.peer(), at: time) } == 200)
    // Somebody else's connection, another pool's, the other direction, and no number at all.
    ledger.change { $0.clients["train"]?.append(ClientLab.record(other, slot: 4)) }
    #expect(Self.status { try desk.renew(answer.id, renewal, from: ClientLab.peer(other), at: time) } == 403)
    for id in ["00002a0300006100", "00002a0200006101", "", "zz", "0000000000000000" + answer.id] {
      #expect(Self.status { try desk.renew(id, renewal, from: ClientLab.peer(), at: time) } == 403)
    }
    // Removed: refused at once.
    ledger.change { $0.clients = [:] }
    #expect(Self.status { try desk.renew(answer.id, renewal, from: ClientLab.peer(), at: time) } == 403)
    #expect(Self.status { try desk.open(Self.request().0, from: ClientLab.peer(), at: time) } == 403)
    // Without keys in force, nothing.
    ledger.change {
      $0.clients = ["train": [ClientLab.record()]]
      $0.groups = []
    }
    #expect(Self.status { try desk.renew(answer.id, renewal, from: ClientLab.peer(), at: time) } == 503)
  }

  @Test func anyMemberRenews() throws {
    let one = TestLedger(ClientLab.view(try ClientLab.group(), member: 2))
    let two = TestLedger(ClientLab.view(try ClientLab.group(), member: 9))
    let (request, recipient) = try Self.request()
    let answer = try Self.desk(one).open(request, from: ClientLab.peer(), at: ClientLab.start)
    let (again, newRecipient) = try Self.request(answer.issued)
    let renewed = try Self.desk(two).renew(answer.id, again, from: ClientLab.peer(), at: ClientLab.start + 1)
    #expect(renewed.id == answer.id && renewed.address == answer.address && renewed.issued == answer.issued)
    for (old, new) in zip(answer.keys, renewed.keys) {
      #expect(try recipient.open(old.k, from: answer.epk) == newRecipient.open(new.k, from: renewed.epk))
    }
    // A new one of the other member's is another number.
    let other = try Self.desk(two).open(again, from: ClientLab.peer(), at: ClientLab.start)
    #expect(other.id == "00002a0200006480")
  }

  /// Serials are durable before they are told, and never come again under the same generations.
  @Test func serials() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group()))
    var desk = try Self.desk(ledger)
    var ids: Set<String> = []
    func open(at time: Int64 = ClientLab.start) -> Int {
      Self.status {
        let answer = try desk.open(Self.request().0, from: ClientLab.peer(), at: time)
        #expect(ids.insert(answer.id).inserted)
        return answer
      }
    }
    ledger.isBroken = true
    #expect(open() == 503)
    ledger.isBroken = false
    for number in 0..<64 {
      #expect(open() == 200)
      // As if restarted: what was told is remembered.
      if number % 9 == 0 { desk = try Self.desk(ledger) }
    }
    #expect(ids.count == 64 && open() == 409)
    // Not after an epoch, not after as many rotations as a connection may see.
    #expect(open(at: ClientLab.start + 10_000) == 409)
    ledger.change { $0.groups = [(try? ClientLab.group(7 + 17)) ?? $0.groups[0]] }
    #expect(open(at: ClientLab.start + 10_000) == 409)
    ledger.change { $0.groups = [(try? ClientLab.group(7 + 18)) ?? $0.groups[0]] }
    ids = []
    #expect(open(at: ClientLab.start + 10_000) == 200 && ids == ["00002a0200006100"])
  }

  /// A connection lives through sixteen rotations, then its client is told to ask for a new one.
  @Test func lifeOfAConnection() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group()))
    let desk = try Self.desk(ledger)
    let answer = try desk.open(Self.request().0, from: ClientLab.peer(), at: ClientLab.start)
    for (index, status) in [(8, 200), (22, 200), (23, 409)] as [(UInt64, Int)] {
      ledger.change { $0.groups = [(try? ClientLab.group(index)) ?? $0.groups[0]] }
      #expect(
        Self.status {
          try desk.renew(answer.id, Self.request(answer.issued).0, from: ClientLab.peer(), at: ClientLab.start)
        } == status)
    }
    #expect(
      Self.status { try desk.renew(answer.id, Self.request().0, from: ClientLab.peer(), at: ClientLab.start) } == 409)
  }

  /// A member whose state was set back does not know what it gave out.
  @Test func distrust() throws {
    let ledger = TestLedger(ClientLab.view(try ClientLab.group()))
    var desk = try Self.desk(ledger)
    let answer = try desk.open(Self.request().0, from: ClientLab.peer(), at: ClientLab.start)
    try desk.distrust()
    desk = try Self.desk(ledger)
    #expect(Self.status { try desk.open(Self.request().0, from: ClientLab.peer(), at: ClientLab.start) } == 409)
    #expect(
      Self.status {
        try desk.renew(answer.id, Self.request(answer.issued).0, from: ClientLab.peer(), at: ClientLab.start)
      } == 200)
  }
}
