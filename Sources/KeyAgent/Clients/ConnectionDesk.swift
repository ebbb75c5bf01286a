internal import Foundation
package import Identity
package import Keys
package import Rotation
internal import Synchronization
internal import Vault
package import Wire

/// What a pool's member serves outside clients with.
package struct ClientServiceSettings: Sendable {
  /// Where its HTTPS listens.
  package var host: String
  package var port: Int
  /// The group that the clients' data keys are of.
  package var group: String
  /// Inner addresses: base + n.
  package var prefix: IPPrefix
  /// Where the pool's members take packets, for the clients to know.
  package var members: [String]
  /// Who this node is, where no identity controller says so.
  package var node: PoolNode?

  package init(host: String, port: Int, group: String, prefix: IPPrefix, members: [String], node: PoolNode?) {
    self.host = host
    self.port = port
    self.group = group
    self.prefix = prefix
    self.members = members
    self.node = node
  }
}

/// A member's numbers in its pool.
package struct PoolNode: Sendable, Equatable {
  package var device: UInt32
  package var member: UInt8

  package init(device: UInt32, member: UInt8) {
    self.device = device
    self.member = member
  }

  package init?(_ assignment: Assignment) {
    guard let device = UInt32(assignment.deviceID, radix: 16), assignment.member < 64 else { return nil }
    self.init(device: device, member: assignment.member)
  }
}

/// What the desk needs of the agent.
package protocol ConnectionLedger: Sendable {
  var view: KeyView { get }
  func section(_ name: String) -> [UInt8]?
  /// Durable when it returns.
  func keep(_ octets: [UInt8], as section: String) throws
}

extension KeyAgent: ConnectionLedger {}

/// Why a request is not met: the status and body of the answer.
package struct ConnectionRefusal: Error, Sendable, Equatable {
  package var status: Int
  package var error: APIError

  init(_ status: Int, _ error: String, _ message: String) {
    self.status = status
    self.error = APIError(error: error, message: message)
  }
}

/// Decides who gets which connection and which keys; the HTTP around it is `ClientService`.
package final class ConnectionDesk: Sendable {
  static let section = "connections"

  private let settings: ClientServiceSettings
  private let ledger: any ConnectionLedger
  private let keys: any ConnectionKeys
  private let serials: Mutex<ConnectionSerials>

  package init(_ settings: ClientServiceSettings, ledger: any ConnectionLedger, keys: any ConnectionKeys) throws {
    self.settings = settings
    self.ledger = ledger
    self.keys = keys
    let kept = try ledger.section(Self.section).map { octets in
      do {
        return try JSONDecoder().decode(ConnectionSerials.self, from: Data(octets))
      } catch {
        throw KeyAgentError(
          "the sealed file's connections: found a list that cannot be read, expected one that keyweave wrote; "
            + "restore the file")
      }
    }
    serials = Mutex(kept ?? ConnectionSerials())
  }

  /// This member's state was set back: until the root keys have been rotated often enough, others make connections.
  package func distrust() throws {
    try serials.withLock { serials in
      var next = serials
      next.forget()
      try keep(next)
      serials = next
    }
  }

  /// A new connection for a client.
  package func open(
    _ request: ConnectionRequest, from peer: PeerIdentity, at time: Int64
  ) throws(ConnectionRefusal) -> ConnectionAnswer {
    let (group, node, view) = try state()
    let slot = try slot(of: peer, view)
    let delivery = try delivery(request)
    let serial = try serial(slot: slot, group, living: Set(clients(view).compactMap(\.slot)), at: time)
    guard let number = ConnectionNumber(slot: slot, member: node.member, serial: serial) else {
      throw ConnectionRefusal(
        500, "slot", "found a slot or member that no connection ID holds: \(slot), \(node.member)")
    }
    return try answer(
      ConnectionID(device: node.device, number: number), ConnectionSerials.current(group), group, view, delivery, time)
  }

  /// More keys for a connection, whichever member of the pool made it.
  package func renew(
    _ id: String, _ request: ConnectionRequest, from peer: PeerIdentity, at time: Int64
  ) throws(ConnectionRefusal) -> ConnectionAnswer {
    let (group, node, view) = try state()
    let slot = try slot(of: peer, view)
    guard id.utf8.count == 16, let value = UInt64(id, radix: 16), case let connection = ConnectionID(rawValue: value),
      !connection.isFromPool, connection.device == node.device, connection.number.slot == slot
    else {
      throw ConnectionRefusal(
        403, "unauthorized", "found a connection that is not this client's in this pool; ask for a new one")
    }
    guard let issued = request.issued, ConnectionSerials.isAlive(issued, group) else {
      throw ConnectionRefusal(
        409, "ended",
        "found a connection older than \(ConnectionSerials.lifetime) rotations, or of other root keys; ask for a new one"
      )
    }
    return try answer(connection, issued, group, view, try delivery(request), time)
  }

  // MARK: Steps

  private func state() throws(ConnectionRefusal) -> (TrustGroup, PoolNode, KeyView) {
    let view = ledger.view
    guard let group = view.groups.first(where: { $0.name == settings.group }) else {
      throw ConnectionRefusal(
        503, "unavailable", "found no keys of the group in force at this member; ask another member, or again later")
    }
    guard let node = view.assignments[settings.group].flatMap(PoolNode.init) ?? settings.node else {
      throw ConnectionRefusal(503, "unavailable", "this member has no place in its pool yet; ask another member")
    }
    return (group, node, view)
  }

  private func clients(_ view: KeyView) -> [ClientRecord] { view.clients[settings.group] ?? [] }

  /// By name and key: who holds the certificate authority alone cannot make a client.
  private func slot(of peer: PeerIdentity, _ view: KeyView) throws(ConnectionRefusal) -> UInt32 {
    let pin = peer.pin.description
    let record = clients(view).first { $0.id == peer.id.description && $0.publicKeys.contains(pin) }
    guard let record, let slot = record.slot, slot <= ConnectionNumber.lastSlot else {
      throw ConnectionRefusal(
        403, "unauthorized",
        "\(peer.id) with the key \(pin) is no client of this pool; enrol it at the identity controller")
    }
    return slot
  }

  private func delivery(
    _ request: ConnectionRequest
  ) throws(ConnectionRefusal) -> (delivery: KeyDelivery, epk: PublicKeyJWK) {
    do {
      let sender = try KeySender()
      return (try sender.agree(with: request.recipient), sender.publicKey)
    } catch {
      throw ConnectionRefusal(400, "recipient", "\(error)")
    }
  }

  private func serial(
    slot: UInt32, _ group: TrustGroup, living: Set<UInt32>, at time: Int64
  ) throws(ConnectionRefusal) -> Int {
    let outcome: Result<Int?, any Error> = serials.withLock { serials in
      var next = serials
      next.prune(keeping: living, group)
      let serial = next.issue(slot: slot, of: group, at: time)
      // Durable first: a number that was told and then forgotten could be told again.
      return Result {
        if next != serials { try keep(next) }
        serials = next
        return serial
      }
    }
    switch outcome {
    case .success(let serial?): return serial
    case .success(nil):
      throw ConnectionRefusal(
        409, "exhausted",
        "found all \(ConnectionNumber.serials) connections of this client at this member in use or unknown; ask another "
          + "member, or rotate a root key of the group \(ConnectionSerials.lifetime + 2) times")
    case .failure(let error):
      throw ConnectionRefusal(503, "unavailable", "the connection could not be made durable: \(error)")
    }
  }

  private func keep(_ serials: ConnectionSerials) throws {
    try ledger.keep(Array(try JSONEncoder().encode(serials)), as: Self.section)
  }

  /// Keys for the running epoch and, in its last quarter, the next, for every combination of current and next.
  private func answer(
    _ id: ConnectionID, _ issued: [String: UInt64], _ group: TrustGroup, _ view: KeyView,
    _ wrapping: (delivery: KeyDelivery, epk: PublicKeyJWK), _ time: Int64
  ) throws(ConnectionRefusal) -> ConnectionAnswer {
    guard let address = settings.prefix.address(of: id.number) else {
      throw ConnectionRefusal(
        409, "prefix", "found no address for this client in \(settings.prefix): give the pool a shorter client prefix")
    }
    let period = Int64(group.epochPeriod)
    let epoch = time / period
    let lastQuarter = (epoch + 1) * period - period / 4
    let epochs = time >= lastQuarter ? [epoch, epoch + 1] : [epoch]
    var wanted: [GrantedKey] = []
    let roots = group.orderedKeys
    do {
      let none = try SecretKey.random()
      for generations in Self.combinations(roots) {
        for epoch in epochs {
          for suite in Suite.allCases {
            for isFromPool in [false, true] {
              wanted.append(
                GrantedKey(
                  generations: generations, isFromPool: isFromPool, epoch: UInt64(epoch), suite: suite, key: none))
            }
          }
        }
      }
      let derived = try keys.keys(
        for: wanted.map { ConnectionKeyRequest(generations: $0.generations, request: $0.request(id)) }, of: group)
      let objects = try zip(wanted, derived).map { wanted, key in
        let ends = zip(roots, wanted.generations).compactMap { view.expiries[Hex.encode($0.id)]?[$1] }
        return DataKeyObject(
          alg: DataKeyObject.algorithms[Int(wanted.suite.rawValue)], wrapped: try wrapping.delivery.wrap(key),
          direction: wanted.isFromPool ? .fromPool : .toPool, epoch: wanted.epoch, generations: wanted.generations,
          options: Self.options(roots, wanted.generations), notBefore: Int64(wanted.epoch) * period,
          // A packet may be opened in the epoch after its own.
          expires: min(Int64(wanted.epoch + 2) * period, ends.min() ?? .max))
      }
      return ConnectionAnswer(
        id: ConnectionText.id(id), address: "\(address)",
        group: ConnectionGroup(
          name: group.name, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset, maxIOffset: group.maxIOffset),
        rootKeys: roots.map {
          ConnectionRootKey(
            level: "\($0.level)", id: Hex.encode($0.id), current: $0.current.index, next: $0.next?.index)
        },
        issued: issued, members: settings.members, epk: wrapping.epk, keys: objects,
        time: time, renew: lastQuarter > time ? lastQuarter : lastQuarter + period,
        expires: (epochs.last.map { $0 + 1 } ?? 0) * period)
    } catch {
      throw ConnectionRefusal(500, "keys", "the keys could not be made: \(error)")
    }
  }

  /// Current and staged next generations of every root key.
  private static func combinations(_ roots: [RootKey]) -> [[UInt64]] {
    roots.reduce([[]]) { partial, root in
      partial.flatMap { chosen in [root.current, root.next].compactMap { $0.map { chosen + [$0.index] } } }
    }
  }

  static func options(_ roots: [RootKey], _ generations: [UInt64]) -> String {
    zip(roots, generations).map { ConnectionText.option($0.level, $0.id, $1) }.joined()
  }
}

enum ConnectionText {
  static func id(_ id: ConnectionID) -> String {
    let digits = String(id.rawValue, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// A master key option in hex (wire format, section 1).
  static func option(_ level: RootKeyLevel, _ id: [UInt8], _ generation: UInt64) -> String {
    Hex.encode(
      [level.rawValue, UInt8(truncatingIfNeeded: 2 + id.count), UInt8(truncatingIfNeeded: generation), 0] + id)
  }
}
