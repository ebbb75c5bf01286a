internal import CDPDK
internal import Keys
internal import Wire

/// What a gateway takes from DPDK before its lcores exist. If anything fails, what was opened is closed.
struct GatewayParts<Engine: AEADEngine> {
  let engine: Engine
  let pool: UnsafeMutableRawPointer
  let ports: [LivePort]
  let neighbours: NeighbourMap
  let punted: UnsafeMutableRawPointer
  let returned: UnsafeMutableRawPointer
  let qsbr: UnsafeMutableRawPointer
  let wholes: UnsafeMutableRawPointer
  /// Of both pools.
  let bufferCount: Int

  private static var ringSize: UInt32 { 1024 }
  private static var descriptors: Int { 1024 }
  /// Octets that sealing adds at most: Ethernet with a tag, IPv6, UDP, security header, Payload Info Header, ICV.
  private static var overhead: Int { 18 + 40 + 8 + 128 + 4 + 16 }
  private static var headroom: Int { 128 }
  private static var wholeBuffers: Int { 255 }
  /// Mebibytes: forwarding tables of 32 + 64, twice during a reload, and what DPDK itself takes.
  private static var fixedMemory: Int { 288 }

  init(settings: GatewaySettings, plan: GatewayPlan) throws {
    let largest = plan.ports.map { Int($0.mtu) }.max() ?? 1500
    let interfaces = plan.ports.count { PortDevice.isInterface($0.device) }
    // The packet socket's driver wants buffers as large as its ring's frames.
    let frame =
      plan.ports.filter { PortDevice.isInterface($0.device) }
      .map { PacketRings(mtu: $0.mtu, queues: settings.lcores, interfaces: interfaces).frameSize }.max() ?? 0
    let room = Self.headroom + max(22 + largest, frame) + Self.overhead
    let wanted = max(8191, plan.ports.count * settings.lcores * 2 * Self.descriptors + 4095)
    let count = largest > 4096 ? wanted / 2 : wanted
    // A datagram of eight fragments, the most that reassembly takes, as long as a buffer can be.
    let whole = min(65535, Self.headroom + Self.overhead + 8 * largest)
    let captured = settings.capture == nil ? 0 : CaptureFile.buffers * (largest + 512)

    var eal = EAL.Settings()
    eal.lcores = settings.lcores
    eal.cores = settings.isDedicated ? settings.cores : []
    eal.pciAddresses = plan.ports.map(\.device).filter(PortDevice.isPCIAddress)
    eal.memory = Self.fixedMemory + (count * (room + 256) + Self.wholeBuffers * whole + captured) >> 20
    try EAL.start(eal)
    engine = try Engine()
    let name = "\(plan.name.prefix(12))"
    guard room <= 65535,
      let pool = dpdk_pktmbuf_pool_create("kw-\(name)", UInt32(count), 256, UInt16(room))
    else {
      throw GatewayError(
        "no memory for \(count) packet buffers of \(room) octets: \(String(cString: dpdk_last_error())). Run `keyweave doctor`."
      )
    }
    guard let wholes = dpdk_pktmbuf_pool_create("kw-\(name)-whole", UInt32(Self.wholeBuffers), 0, UInt16(whole)),
      let neighbours = NeighbourMap(name: "kw-\(name)"),
      let punted = dpdk_ring_create("kw-\(name)-punted", Self.ringSize, false, true),
      let returned = dpdk_ring_create("kw-\(name)-returned", Self.ringSize, true, true),
      let qsbr = dpdk_rcu_qsbr_create(UInt32(settings.lcores))
    else { throw GatewayError("no memory for tables: \(String(cString: dpdk_last_error())). Run `keyweave doctor`.") }
    self.pool = pool
    self.wholes = wholes
    bufferCount = Int(dpdk_mempool_avail_count(pool) + dpdk_mempool_avail_count(wholes))
    self.neighbours = neighbours
    self.punted = punted
    self.returned = returned
    self.qsbr = qsbr
    var opened: [LivePort] = []
    do {
      for (index, port) in plan.ports.enumerated() {
        let device = PortDevice(
          port.device, index: index, mtu: port.mtu, queues: settings.lcores, interfaces: interfaces)
        opened.append(
          try LivePort(
            port: port, device: device, queues: settings.lcores, descriptors: UInt16(Self.descriptors), pool: pool))
      }
    } catch {
      opened.forEach { $0.close() }
      throw error
    }
    ports = opened
  }

  func reassembler(counters: Counters) throws -> Reassembler {
    guard let reassembler = Reassembler(pool: wholes, counters: counters) else {
      throw GatewayError("no memory for a reassembly table: \(String(cString: dpdk_last_error()))")
    }
    return reassembler
  }
}
