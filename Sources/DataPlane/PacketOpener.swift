package import Keys
package import Wire

/// Opens packets one at a time, without lcores, ports or an identity: both directions of connections, no `policy-inner`.
package final class PacketOpener {
  /// What became of a packet; opened, its payload is clear in place.
  package enum Verdict: Sendable {
    case drop(DropReason)
    case open(SecurityHeader)
  }

  private let keys: KeyTable
  private let engine: any PacketOpening
  private let epochs = SealingBoardMemory()
  private let replay: ReplayProtection?
  private var seconds: UInt64?
  /// Memory of its own: Swift 6.3.1 drops the stores to a local item that goes `inout` through a protocol and then as a pointer.
  private let item = UnsafeMutablePointer<OpenItem>.allocate(capacity: 1)

  /// - Parameter replay: the table of windows, each of its largest size for every group; nil lets everything pass.
  /// - Throws: what is wrong with the groups, the engine or the memory for keys, as sentences.
  package init(groups: [TrustGroup], engine choice: EngineChoice = .auto, replay shape: ReplayShape? = nil) throws {
    (keys, engine) = try choice.decide().engine.run(Making(groups: groups))
    replay = shape.map {
      ReplayProtection(
        ReplayTable($0, start: 0), windows: [Int](repeating: $0.largestWindow, count: groups.count))
    }
  }

  /// Packets that were opened without a window, as none was free.
  package var untrackedCount: Int { engine.untrackedCount }

  /// - Parameters:
  ///   - packet: from the security header to the ICV; opened in place, and garbage after some drops.
  ///   - sourceIsMapped: whether the outer source is an IPv6 address inside ::ffff:0:0/96.
  ///   - time: the receiver's clock in Unix seconds; nil accepts every epoch.
  package func open(
    _ packet: UnsafeMutableRawBufferPointer, overUDP: Bool, source: IPAddress, sourceIsMapped: Bool, time: UInt64?
  ) -> Verdict {
    guard let base = packet.baseAddress else { return .drop(.malformed) }
    if let time, time != seconds {
      epochs.setOpenEpochs(at: time)
      seconds = time
    }
    item.initialize(
      to: OpenItem(
        packet: base, length: packet.count, source: source, sourceIsMapped: sourceIsMapped, overUDP: overUDP,
        defaultGroup: keys.defaultGroup ?? -1))
    engine.open(item, keys: keys.view, board: time == nil ? nil : epochs.board, replay: replay?.view)
    if let drop = item.pointee.drop { return .drop(drop) }
    return .open(item.pointee.header)
  }

  deinit { item.deallocate() }
}

/// An opener whose engine was chosen at run time.
private protocol PacketOpening: AnyObject {
  func open(_ item: UnsafeMutablePointer<OpenItem>, keys: KeyTableView, board: SealingBoard?, replay: ReplayView?)
  var untrackedCount: Int { get }
}

private final class EnginePacketOpener<Engine: AEADEngine>: PacketOpening {
  private var opener: Opener<Engine>

  init(_ engine: Engine) throws {
    opener = Opener(dataKeys: try DataKeys(engine: engine, octets: 64 << 10))
  }

  func open(_ item: UnsafeMutablePointer<OpenItem>, keys: KeyTableView, board: SealingBoard?, replay: ReplayView?) {
    opener.open(
      item, count: 1, keys: keys, board: board, connections: ConnectionFilter(role: .observer), replay: replay)
  }

  var untrackedCount: Int { opener.untracked.tableFull + opener.untracked.connectionFull }
}

private struct Making: EngineUser {
  let groups: [TrustGroup]

  func use<Engine: LcoreEngine>(_: Engine.Type) throws -> (KeyTable, any PacketOpening) {
    let engine = try Engine()
    return (try KeyTable(groups, with: engine), try EnginePacketOpener(engine))
  }
}
