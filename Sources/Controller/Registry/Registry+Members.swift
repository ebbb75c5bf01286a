internal import Foundation
internal import Glibc
internal import Identity
internal import Rotation

extension Registry {
  // MARK: Who is who

  /// Both the name and one of the keys must be right: an authority alone cannot make a member.
  func isMember(_ peer: PeerIdentity) -> Bool {
    state.members[peer.id.description]?.pins.contains(peer.pin) ?? false
  }

  nonisolated func isAdministrator(_ peer: PeerIdentity) -> Bool {
    settings.administrators.contains { $0.id == peer.id && $0.pins.contains(peer.pin) }
  }

  // MARK: Members

  func enrol(_ enrolment: Enrolment, by administrator: String) async throws -> MemberReport {
    let id = try spiffeID(enrolment.id)
    let pins = try pins(enrolment.publicKeys)
    let names = settings.rootKeys.map(\.name)
    for name in enrolment.rootKeys where !names.contains(name) {
      throw Refusal.bad("found the root key \(quoted(name)), expected one of \(names.joined(separator: ", "))")
    }
    guard Set(enrolment.rootKeys).count == enrolment.rootKeys.count else {
      throw Refusal.bad("found a root key twice, expected each once")
    }
    if let pool = enrolment.pool {
      guard settings.isIdentityAuthority else {
        throw Refusal.bad("found a pool, expected none: this controller assigns no numbers; enrol at the one that does")
      }
      guard isName(pool) else {
        throw Refusal.bad("found the pool \(quoted(pool)), expected 1 to 32 letters, digits, dots, dashes, underscores")
      }
    }
    let isAuthority = settings.isIdentityAuthority
    let firstDeviceID = settings.firstDeviceID
    try await change { state in
      guard state.clients[id] == nil else {
        throw Refusal(409, "client", "found \(id) among the outside clients, expected another name; remove it there")
      }
      let old = state.members[id]
      var member = MemberRecord(
        pins: pins, rootKeys: enrolment.rootKeys,
        known: Array(Set((old?.known ?? []) + enrolment.rootKeys)).sorted(), pool: enrolment.pool,
        assignment: old?.assignment)
      if isAuthority {
        if let old, old.pool != enrolment.pool {
          state.takeBack(id, old, until: nil)
          member.assignment = nil
        }
        if member.assignment == nil {
          member.assignment = try state.assign(id, pool: enrolment.pool, from: firstDeviceID)
          // Of what it knew under the earlier number, nothing is said here.
          member.known = enrolment.rootKeys
        }
      }
      state.members[id] = member
      var details = [
        "keys": pins.map(\.description).joined(separator: ","), "root_keys": enrolment.rootKeys.joined(separator: ","),
      ]
      if let assignment = member.assignment { details["device"] = "\(assignment.deviceID).\(assignment.member)" }
      state.note(AuditEntry(state.time, by: administrator, old == nil ? "enrol" : "change-member", id, details))
    }
    guard let report = memberReports(id).first else { throw Refusal.unknown("member", id) }
    return report
  }

  func removeMember(_ id: String, by administrator: String) async throws {
    try await change { state in
      guard let member = state.members[id] else { throw Refusal.unknown("member", id) }
      if member.assignment != nil { state.takeBack(id, member, until: nil) }
      if state.isConnected(id) { state.passGate() }
      state.members[id] = nil
      state.leases[id] = nil
      state.acknowledgements[id] = nil
      state.note(AuditEntry(state.time, by: administrator, "remove-member", id))
    }
    lastSeen[id] = nil
  }

  /// After two instances were seen, or a state that was set back: the next instance that asks is let in.
  func resetMember(_ id: String, by administrator: String) async throws {
    try await change { state in
      guard state.members[id] != nil else { throw Refusal.unknown("member", id) }
      if var lease = state.leases[id] {
        lease.isReset = true
        lease.problem = nil
        lease.expires = 0
        lease.isAnswered = false
        state.leases[id] = lease
        state.passGate()
      }
      if var acknowledgements = state.acknowledgements[id] {
        acknowledgements.problem = nil
        state.acknowledgements[id] = acknowledgements
      }
      state.note(AuditEntry(state.time, by: administrator, "reset-member", id))
    }
  }

  func memberReports(_ only: String? = nil) -> [MemberReport] {
    state.time = Self.now
    let ids = only.map { [$0] } ?? state.members.names.sorted()
    return ids.compactMap { id in
      guard let member = state.members[id] else { return nil }
      return MemberReport(
        id: id, publicKeys: member.pins.map(\.description), rootKeys: member.rootKeys, pool: member.pool,
        assignment: member.assignment, connected: state.isConnected(id), lastSeen: lastSeen[id].map { $0 / 1000 },
        acknowledgements: state.acknowledgementList(id),
        problem: state.leases[id]?.problem ?? state.acknowledgements[id]?.problem)
    }
  }

  func acknowledgementReports() -> [AcknowledgementReport] {
    state.time = Self.now
    return state.members.names.sorted().map { id in
      AcknowledgementReport(
        id: id, connected: state.isConnected(id), acknowledgements: state.acknowledgementList(id))
    }
  }

  // MARK: Outside clients

  func enrolClient(_ client: ClientRecord, by administrator: String) async throws -> ClientRecord {
    guard settings.isIdentityAuthority else {
      throw Refusal.bad(
        "found an outside client, expected none: this controller has no pools; name it at the one that does")
    }
    let id = try spiffeID(client.id)
    let pins = try pins(client.publicKeys)
    var octets = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET, client.address, &octets) == 1 || inet_pton(AF_INET6, client.address, &octets) == 1 else {
      throw Refusal.bad("found the address \(quoted(client.address)), expected an IPv4 or IPv6 address of one host")
    }
    guard client.slot == nil else { throw Refusal.bad("found a slot, expected none: the controller gives it") }
    let record = try await change { state in
      guard state.members[id] == nil else {
        throw Refusal(409, "member", "found \(id) among the members, expected another name; remove it there")
      }
      guard var pool = state.pools[client.pool] else { throw Refusal.unknown("pool", quoted(client.pool)) }
      let old = state.clients[id]
      let slot: UInt32
      if let old, old.pool == client.pool {
        slot = old.slot
      } else {
        if let old { state.takeBackSlot(id, old) }
        guard
          let free = PoolRecord.free(
            pool.slots, of: PoolRecord.slotNumbers, at: state.time, roots: { state.roots[$0] })
        else {
          throw Refusal(
            409, "full", "found every place of \(client.pool) in use, expected a free one; rotate the root keys")
        }
        slot = free
        pool.slots[slot] = PoolRecord.Holder(id: id, quarantine: nil)
      }
      // Also when only an address or a key changed: the pool's members are told by the pool's version.
      pool.changes &+= 1
      state.pools[client.pool] = pool
      let stored = ClientStored(pins: pins, pool: client.pool, address: client.address, slot: slot)
      state.clients[id] = stored
      state.note(
        AuditEntry(
          state.time, by: administrator, old == nil ? "enrol-client" : "change-client", id,
          ["pool": client.pool, "slot": "\(slot)", "address": client.address]))
      return stored
    }
    return record.report(id)
  }

  func removeClient(_ id: String, by administrator: String) async throws {
    try await change { state in
      guard let client = state.clients[id] else { throw Refusal.unknown("client", id) }
      state.takeBackSlot(id, client)
      state.clients[id] = nil
      state.note(AuditEntry(state.time, by: administrator, "remove-client", id, ["slot": "\(client.slot)"]))
    }
  }

  func clientRecords() -> [ClientRecord] {
    state.clients.rows.map { $0.value.value.report($0.key) }.sorted { $0.id < $1.id }
  }

  // MARK: Reading

  private nonisolated func spiffeID(_ text: String) throws -> String {
    guard let id = SPIFFEID(text) else {
      throw Refusal.bad("found the ID \(quoted(text)), expected \(SPIFFEID.expected)")
    }
    return id.description
  }

  private nonisolated func pins(_ texts: [String]) throws -> [PublicKeyPin] {
    guard (1...8).contains(texts.count) else {
      throw Refusal.bad("found \(texts.count) public keys, expected 1 to 8: the pins of its certificates' keys")
    }
    return try texts.map { text in
      guard let pin = PublicKeyPin(text) else {
        throw Refusal.bad("found the public key \(quoted(text)), expected \(PublicKeyPin.expected)")
      }
      return pin
    }
  }

  private nonisolated func isName(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count)
      && text.utf8.allSatisfy { octet in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(octet | 0x20)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) || "._-".utf8.contains(octet)
      }
  }
}

/// What a caller wrote, short and on one line.
func quoted(_ text: String) -> String {
  "\"" + text.unicodeScalars.prefix(80).map { $0.value < 32 || $0.value == 127 ? "?" : String($0) }.joined() + "\""
}

extension ClientStored {
  func report(_ id: String) -> ClientRecord {
    ClientRecord(id: id, publicKeys: pins.map(\.description), pool: pool, address: address, slot: slot)
  }
}

extension ControllerState {
  /// A device ID of its own, or the pool's with a free member number (wire format, section 4).
  mutating func assign(_ id: String, pool name: String?, from first: UInt32) throws -> Assignment {
    guard let name else { return Assignment(deviceID: try newDeviceID(from: first), member: 0) }
    var pool = try pools[name] ?? PoolRecord(deviceID: newDeviceID(from: first))
    let number = PoolRecord.free(pool.members, of: PoolRecord.memberNumbers, at: time, roots: { roots[$0] })
    guard let number, let member = UInt8(exactly: number) else {
      throw Refusal(
        409, "full",
        "found all \(PoolRecord.memberNumbers.count) member numbers of \(name) in use or in quarantine, expected a free one; "
          + "rotate the root keys of members that were removed until their generations are erased")
    }
    pool.members[number] = PoolRecord.Holder(id: id, quarantine: nil)
    pools[name] = pool
    return Assignment(deviceID: pool.deviceID, member: member)
  }

  /// Never the same twice: the counter only rises.
  private mutating func newDeviceID(from first: UInt32) throws -> String {
    let counter = counters["device"] ?? CounterRecord(next: first)
    guard let next = counter.next else {
      throw Refusal(409, "exhausted", "found no device ID left, expected one; they are never assigned twice")
    }
    counters["device"] = CounterRecord(next: next == UInt32.max ? nil : next + 1)
    let digits = String(next, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// The number goes into quarantine; a device ID outside a pool is simply never given again.
  mutating func takeBack(_ id: String, _ member: MemberRecord, until: Int64?) {
    guard let name = member.pool, var pool = pools[name], let number = member.assignment?.member else { return }
    pool.members[UInt32(number)] = PoolRecord.Holder(
      id: nil, quarantine: Quarantine(until: until, generations: newest(member.known)))
    pools[name] = pool
  }

  mutating func takeBackSlot(_ id: String, _ client: ClientStored) {
    guard var pool = pools[client.pool] else { return }
    let names = roots.names.filter { !(roots[$0]?.isRetired ?? true) }
    pool.slots[client.slot] = PoolRecord.Holder(
      id: nil, quarantine: Quarantine(until: nil, generations: newest(Array(names))))
    pools[client.pool] = pool
  }

  private func newest(_ names: [String]) -> [String: UInt64] {
    Dictionary(names.compactMap { name in roots[name].map { (name, $0.rotation.newest) } }) { $1 }
  }

  func acknowledgementList(_ id: String) -> [Acknowledgement] {
    (acknowledgements[id]?.entries ?? [:]).sorted { $0.key < $1.key }.map {
      Acknowledgement(id: $0.key, staged: $0.value.staged, promoted: $0.value.promoted)
    }
  }
}
