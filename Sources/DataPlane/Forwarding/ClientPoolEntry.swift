internal import Keys
internal import Wire

/// A group's clients as lcores see them: plain values.
struct ClientPoolEntry {
  /// The prefix's first address.
  var base: IPAddress
  /// The highest n that the prefix has an address for.
  var lastNumber: UInt64
  /// Connection IDs of the pool begin with it: the device ID in the upper half.
  var device: UInt64
  /// Index of the client's PeerEntry by slot; -1 for who may not speak.
  var peers: UnsafePointer<Int32>?
  var slotCount: UInt64

  /// A group without clients.
  static var none: ClientPoolEntry {
    ClientPoolEntry(base: .unspecifiedIPv6, lastNumber: 0, device: 0, peers: nil, slotCount: 0)
  }

  @inline(__always) private func peer(ofNumber number: UInt64) -> Int? {
    let slot = number >> UInt64(ConnectionNumber.slotShift)
    guard slot < slotCount, let peers, case let peer = Int(peers[Int(slot)]), peer >= 0 else { return nil }
    return peer
  }

  /// The connection that an inner destination belongs to, direction 1, and its client's peer.
  func client(at address: IPAddress) -> (id: UInt64, peer: Int)? {
    let number = address.low &- base.low
    guard address.high == base.high, number <= lastNumber, let peer = peer(ofNumber: number) else { return nil }
    return (device | number << 1 | 1, peer)
  }

  @inline(__always) private static func number(_ id: UInt64) -> UInt64 { id >> 1 & 0x7FFF_FFFF }

  /// Whether the client of this connection is let in.
  func serves(_ id: UInt64) -> Bool { Self.number(id) <= lastNumber && peer(ofNumber: Self.number(id)) != nil }

  /// Whether an inner source is the one address of this connection.
  func speaks(_ source: IPAddress, on id: UInt64) -> Bool {
    source.high == base.high && source.low == base.low &+ Self.number(id)
  }
}

extension ClientPoolEntry {
  /// - Parameter peers: by slot; outlives the entry.
  init(_ pool: GatewayPlan.ClientPool, deviceID: UInt64, peers: UnsafeMutableBufferPointer<Int32>) {
    base = pool.prefix.network.address
    lastNumber = 1 << UInt64(min(pool.prefix.hostBits, ConnectionNumber.bits)) - 1
    device = deviceID << 32
    self.peers = UnsafePointer(peers.baseAddress)
    slotCount = UInt64(peers.count)
  }
}

extension OpenItem {
  /// On a connection, in direction 0.
  @inline(__always) var isFromClient: Bool { header.variant.context == .connection && header.id & 1 == 0 }
}

extension Worker {
  /// Whether an opened packet's source is one that its sender may use: of a connection's client the one address base + n,
  /// of anyone else what its group may speak for.
  @inline(__always)
  func maySpeak(_ opened: OpenItem, from source: IPAddress, _ entry: PrefixEntry) -> Bool {
    if opened.isFromClient { return isClientsOwn(source, opened) }
    return view.maySpeak(group: opened.group, entry)
  }

  @inline(never)
  private func isClientsOwn(_ source: IPAddress, _ opened: OpenItem) -> Bool {
    view.clientPools[opened.group].speaks(source, on: opened.header.id)
  }

  /// To a client of this pool: the template's ID gives way to the connection's, as n is the destination's.
  @inline(never)
  mutating func encapsulateForClient(_ item: UnsafePointer<ClearItem>, sealing index: Int, port: Int) {
    let sealing = view.sealings + index
    guard let client = view.clientPools[sealing.pointee.group].client(at: item.pointee.flow.destination) else {
      return discard(item.pointee.mbuf, .noRoute)
    }
    let place = sealCount
    if sealing.pointee.mode == .transport {
      encapsulateTransport(item.pointee, sealing: index, port: port)
    } else {
      encapsulate(item, sealing: index, port: port, peer: client.peer, hash: item.pointee.flow.hash(flowKey))
    }
    guard sealCount > place else { return }
    forms[place].id = client.id
    sealItems[place].packet.storeBytes(
      of: client.id.bigEndian, toByteOffset: SecurityHeader.idOffset, as: UInt64.self)
  }

  /// On the gateway's own connection, where every other source would be refused by the pool.
  @inline(never)
  mutating func encapsulateOnConnection(_ item: UnsafePointer<ClearItem>, sealing index: Int, port: Int) {
    guard item.pointee.flow.source == view.sealings[index].source else {
      return discard(item.pointee.mbuf, .policyInner)
    }
    encapsulate(item, sealing: index, port: port)
  }
}

extension GatewayPlan {
  func connectionFilter(_ forwarding: ForwardingView) -> ConnectionFilter {
    if let connection { return ConnectionFilter(role: .client, id: connection.id.fromPool.rawValue) }
    guard let pool = clientPools.first else { return ConnectionFilter(role: .none) }
    return ConnectionFilter(
      role: .member, id: identity(towards: pool.group).deviceID << 32, pools: forwarding.clientPools)
  }

  /// What is wrong with the clients, or with the connection, of this plan.
  func connectionFault(_ groups: [TrustGroup]) -> String? {
    for (place, pool) in clientPools.enumerated() {
      guard groups.indices.contains(pool.group), groups[pool.group].grant == nil,
        !clientPools[..<place].contains(where: { $0.group == pool.group })
      else { return "clients.trust_group: found a group that cannot have clients, or has some already" }
      let deviceID = identity(towards: pool.group).deviceID
      guard deviceID >> 32 == 0 else {
        return "identity.device_id: found more than 8 hex digits, expected 8 in a pool that serves clients"
      }
      guard deviceID == identity(towards: clientPools[0].group).deviceID else {
        return "clients: found pools with two device IDs, expected one: a node serves one pool"
      }
      let bits = ConnectionNumber.slotShift...ConnectionNumber.bits
      guard bits.contains(pool.prefix.hostBits) else {
        return "clients.prefix: found \(pool.prefix), expected \(bits.lowerBound) to \(bits.upperBound) bits for hosts"
      }
      guard pool.sealing.mode != .ethernet, pool.clients.keys.allSatisfy({ $0 <= ConnectionNumber.lastSlot }) else {
        return "clients: found frames, or a slot beyond \(ConnectionNumber.lastSlot), which no connection has"
      }
    }
    for (place, group) in groups.enumerated() where group.grant != nil || connection?.group == place {
      guard let grant = group.grant, let connection, connection.group == place, connection.id == grant.id,
        clientPools.isEmpty
      else { return "connection: found keys of another connection than the plan's" }
    }
    if let connection {
      guard groups.indices.contains(connection.group) else { return "connection: found no group for it" }
      let sealings = routes.compactMap { if case .seal(let sealing) = $0.action { sealing } else { nil } }
      guard frames.isEmpty, sealings.allSatisfy({ $0.group == connection.group && $0.context == .connection }) else {
        return "routes: found traffic that is not for the pool, expected packets on the connection only"
      }
    }
    return nil
  }
}
