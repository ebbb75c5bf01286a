internal import CDPDK
internal import Glibc
internal import Synchronization
internal import Wire

/// A port of the plan, opened.
final class LivePort: @unchecked Sendable {
  struct Failure: Error, CustomStringConvertible { let description: String }

  let dpdkPort: UInt16
  let mac: MACAddress
  let driver: String
  private let vdevName: String?
  /// The kernel interface behind a packet socket.
  private let interface: String?
  /// The packet sockets behind its queues, and what they lost because their rings were full.
  private let sockets: [Int32]
  private let lost = Mutex<UInt64>(0)
  private var isClosed = false

  var isVirtual: Bool { vdevName != nil }

  init(port: GatewayPlan.Port, device: PortDevice, queues: Int, descriptors: UInt16, pool: UnsafeMutableRawPointer)
    throws(Failure)
  {
    interface = PortDevice.isInterface(port.device) ? port.device : nil
    let number: Int32
    switch device {
    case .pci(let address):
      number = dpdk_eth_dev_get_port_by_name(address)
      vdevName = nil
    case .vdev(let name, let arguments):
      number = dpdk_vdev_init(name, arguments)
      vdevName = name
    case .existing(let existing):
      number = Int32(existing)
      vdevName = nil
    }
    sockets = [Int32](unsafeUninitializedCapacity: 64) { buffer, count in
      count = Int(dpdk_af_packet_take_sockets(buffer.baseAddress, 64))
    }
    guard number >= 0 else {
      throw Failure(
        description:
          "port \(port.name): device \(port.device) did not open: \(String(cString: dpdk_last_error())). \(device.hint)"
      )
    }
    dpdkPort = UInt16(number)
    var info = dpdk_port_info()
    var status = dpdk_eth_dev_info_get(dpdkPort, &info)
    guard status == 0 else {
      throw Failure(description: "port \(port.name): no information from the driver (error \(-status))")
    }
    guard queues <= Int(info.max_rx_queues), queues <= Int(info.max_tx_queues) else {
      throw Failure(
        description:
          "port \(port.name): \(queues) lcores want a queue each, \(port.device) has \(min(info.max_rx_queues, info.max_tx_queues)). "
          + "Set lcores.count to that.")
    }
    status = dpdk_eth_dev_configure(dpdkPort, UInt16(queues), descriptors, device.takesMTU ? port.mtu : 0, pool)
    guard status == 0 else {
      throw Failure(
        description:
          "port \(port.name): \(port.device) refused \(queues) queues and MTU \(port.mtu): \(String(cString: strerror(-status)))"
      )
    }
    // A bump in the wire and an Ethernet tunnel take frames for every address.
    status = dpdk_eth_dev_start(dpdkPort, port.mode != .tunnel || port.pair != nil || port.role == .protected)
    guard status == 0 else {
      throw Failure(
        description: "port \(port.name): \(port.device) did not start: \(String(cString: strerror(-status)))")
    }
    status = dpdk_eth_dev_info_get(dpdkPort, &info)
    let octets = info.mac
    let own = [octets.0, octets.1, octets.2, octets.3, octets.4, octets.5].reduce(MACAddress.zero) {
      MACAddress(rawValue: $0.rawValue << 8 | UInt64($1))
    }
    mac = own.isZero ? RingWire.address(of: dpdkPort) : own
    driver = withUnsafeBytes(of: info.driver) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// The addresses of this port in a plan, and a link-local one where it speaks IPv6 (RFC 4291, section 2.1).
  func addresses(of port: GatewayPlan.Port) -> [IPPrefix] {
    let needsLinkLocal =
      port.addresses.contains { !$0.address.isIPv4 }
      && !port.addresses.contains { !$0.address.isIPv4 && $0.address.isLinkLocal }
    guard needsLinkLocal, let linkLocal = IPPrefix(address: IPAddress(linkLocal: mac), length: 64) else {
      return port.addresses
    }
    return port.addresses + [linkLocal]
  }

  var info: dpdk_port_info {
    var info = dpdk_port_info()
    if !isClosed { _ = dpdk_eth_dev_info_get(dpdkPort, &info) }
    return info
  }

  /// Whether the link is up. The packet socket's driver always says so: for its ports the interface is asked.
  var isUp: Bool {
    guard let interface else { return info.link_up }
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { Glibc.close(descriptor) }
    var request = ifreq()
    withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: interface.utf8.prefix($0.count - 1)) }
    guard ioctl(descriptor, UInt(SIOCGIFFLAGS), &request) == 0 else { return false }
    return Int(request.ifr_ifru.ifru_flags) & Int(IFF_RUNNING) != 0
  }

  var statistics: dpdk_port_stats {
    var statistics = dpdk_port_stats()
    if !isClosed { _ = dpdk_eth_stats_get(dpdkPort, &statistics) }
    statistics.imissed += ringLosses()
    return statistics
  }

  /// The kernel forgets its count when it is asked.
  private func ringLosses() -> UInt64 {
    lost.withLock { lost in
      if !isClosed { for socket in sockets { lost += dpdk_af_packet_drops(socket) } }
      return lost
    }
  }

  func close() {
    _ = ringLosses()
    isClosed = true
    _ = dpdk_eth_dev_stop(dpdkPort)
    if let vdevName { _ = dpdk_vdev_uninit(vdevName) } else { _ = dpdk_eth_dev_close(dpdkPort) }
  }
}
