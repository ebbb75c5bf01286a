internal import CDPDK
internal import Keys
internal import Wire

/// A security header ready but for offsets, epoch and counter, for one sealing of the forwarding table.
struct SealTemplate {
  /// The first field, so that a pointer to the template is a pointer to these octets.
  var octets: InlineArray<128, UInt8>
  var length: Int
  var header: SecurityHeader
  /// The node's number towards the group.
  var member: UInt8
  var master: MasterKey
  /// Seconds.
  var epochPeriod: UInt32
  /// Whether only some epochs' keys are there (a client's connection).
  var isGranted: Bool
}

/// Everything that control publishes to the lcores at once: keys, forwarding, and the headers that need both.
///
/// An lcore takes `storage` at the start of a burst and reports a quiescent state after it; the gateway keeps this
/// object until every lcore has passed (RCU), and its end erases the keys.
final class Snapshot: @unchecked Sendable {
  let keys: KeyTable
  let forwarding: ForwardingTable
  let storage: UnsafeMutablePointer<SnapshotStorage>
  private let templates: UnsafeMutableBufferPointer<SealTemplate>
  private let own: UnsafeMutableBufferPointer<OwnIdentity>
  private let replay: ReplayProtection?

  init(
    keys: KeyTable, forwarding: ForwardingTable, sealings: [GatewayPlan.Sealing], plan: GatewayPlan,
    replay table: ReplayTable?
  ) {
    self.keys = keys
    self.forwarding = forwarding
    let windows = keys.groups.indices.map { group in
      plan.policies.first { $0.group == group }?.replayWindow ?? 0
    }
    replay = windows.contains { $0 > 0 } ? table.map { ReplayProtection($0, windows: windows) } : nil
    templates = .copied(from: sealings.compactMap { Self.template($0, keys: keys, plan: plan) })
    own = .copied(
      from: keys.groups.indices.map { group in
        let identity = plan.identity(towards: group)
        return OwnIdentity(id: identity.deviceID, member: UInt64(identity.member))
      })
    let view = ForwardingView(forwarding)
    storage = .allocate(capacity: 1)
    storage.initialize(
      to: SnapshotStorage(
        keys: keys.view, forwarding: view,
        templates: UnsafePointer(templates.baseAddress.unsafelyUnwrapped), serials: keys.serials,
        own: UnsafePointer(own.baseAddress.unsafelyUnwrapped), connections: plan.connectionFilter(view),
        replay: replay?.view))
  }

  deinit {
    storage.deallocate()
    templates.deallocate()
    own.deallocate()
  }

  /// Octets of the security header that a sealing gives, which every later generation of its keys gives too.
  static func headerLength(_ sealing: GatewayPlan.Sealing, keys: KeyTable, plan: GatewayPlan) -> Int? {
    guard let group = keys.view.group(at: sealing.group) else { return nil }
    let variant = variant(sealing, plan: plan)
    return SecurityHeader.length(variant: variant, optionsLength: sealing.options ? group.pointee.optionsLength : 0)
  }

  private static func variant(_ sealing: GatewayPlan.Sealing, plan: GatewayPlan) -> Variant {
    Variant(
      context: sealing.context, suite: sealing.suite, isWide: plan.identity(towards: sealing.group).wideID)
  }

  /// A connection's ID is the client's own, or filled in per packet by the pool's member.
  private static func senderID(_ sealing: GatewayPlan.Sealing, plan: GatewayPlan) -> UInt64 {
    let id = plan.identity(towards: sealing.group).deviceID
    guard sealing.context == .connection else { return id }
    return plan.connection?.id.toPool.rawValue ?? id << 32 | 1
  }

  private static func template(_ sealing: GatewayPlan.Sealing, keys: KeyTable, plan: GatewayPlan) -> SealTemplate? {
    guard let group = keys.view.group(at: sealing.group) else { return nil }
    let header = SecurityHeader(
      variant: variant(sealing, plan: plan), reserve: sealing.options ? 0 : group.pointee.reserve,
      id: senderID(sealing, plan: plan))
    let options = UnsafeRawBufferPointer(
      start: group.pointee.options, count: sealing.options ? group.pointee.optionsLength : 0)
    var octets = [UInt8](repeating: 0, count: SecurityHeader.maximumLength)
    let length = octets.withUnsafeMutableBytes { buffer in
      var span = buffer.mutableBytes
      return header.write(encodedOptions: options.bytes, into: &span)
    }
    guard let length else { return nil }
    var template = SealTemplate(
      octets: InlineArray(repeating: 0), length: length, header: header,
      member: plan.identity(towards: sealing.group).member, master: group.pointee.sealing,
      epochPeriod: group.pointee.epochPeriod, isGranted: group.pointee.sealing.isGranted)
    for index in 0..<length { template.octets[index] = octets[index] }
    return template
  }
}

/// Who the node is towards a group: what the packets that it seals bear.
struct OwnIdentity {
  var id: UInt64
  var member: UInt64

  /// Whether a header is one of this node's own; on a connection the other side has other keys.
  @inline(__always) func sealed(_ header: SecurityHeader) -> Bool {
    sealed(header.variant, id: header.id, counter: header.counter)
  }

  /// - Parameter counter: in the low 48 bits.
  @inline(__always) func sealed(_ variant: Variant, id: UInt64, counter: UInt64) -> Bool {
    id == self.id && counter >> SealingCounter.memberShift & 63 == member && variant.context != .connection
  }
}

/// What an lcore holds of a snapshot: plain values.
struct SnapshotStorage {
  let keys: KeyTableView
  let forwarding: ForwardingView
  let templates: UnsafePointer<SealTemplate>
  let serials: Range<UInt64>
  /// By group.
  let own: UnsafePointer<OwnIdentity>
  let connections: ConnectionFilter
  /// Nil where no group has a window.
  let replay: ReplayView?
}
