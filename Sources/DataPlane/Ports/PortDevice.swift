internal import Glibc

/// What a device string names.
enum PortDevice {
  case pci(String)
  case vdev(name: String, arguments: String)
  /// A port that was made beforehand (tests: a pair of rings).
  case existing(UInt16)

  /// `interfaces` of the ports are kernel interfaces that share the locked memory.
  init(_ device: String, index: Int, mtu: UInt16, queues: Int, interfaces: Int) {
    if let comma = device.firstIndex(of: ","), device.hasPrefix("net_") {
      self = .vdev(name: String(device[..<comma]), arguments: String(device[device.index(after: comma)...]))
    } else if device.hasPrefix("net_") {
      self = .vdev(name: device, arguments: "")
    } else if device.hasPrefix("port:"), let number = UInt16(device.dropFirst(5)) {
      self = .existing(number)
    } else if Self.isPCIAddress(device) {
      self = .pci(device)
    } else {
      let rings = PacketRings(mtu: mtu, queues: queues, interfaces: interfaces)
      self = .vdev(name: "net_af_packet\(index)", arguments: "iface=\(device),qpairs=\(queues),\(rings.arguments)")
    }
  }

  static func isPCIAddress(_ text: String) -> Bool {
    let parts = text.split(separator: ":")
    guard parts.count == 2 || parts.count == 3, let last = parts.last, last.contains(".") else { return false }
    return text.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
  }

  static func isInterface(_ device: String) -> Bool {
    !device.hasPrefix("net_") && !device.hasPrefix("port:") && !isPCIAddress(device)
  }

  /// A virtual device has the MTU of the interface behind it.
  var takesMTU: Bool {
    if case .pci = self { return true }
    return false
  }

  var hint: String {
    switch self {
    case .pci(let address):
      "Is it bound to vfio-pci? Try: dpdk-devbind.py --status; dpdk-devbind.py -b vfio-pci \(address)"
    case .vdev(let name, _) where name.hasPrefix("net_af_packet"):
      "Does the interface exist and is it up (ip link), and may this process open packet sockets (CAP_NET_RAW)? See keyweave doctor."
    default: "See keyweave doctor."
    }
  }
}

/// The rings that a packet socket shares with the kernel: locked memory, so without root they must fit RLIMIT_MEMLOCK
/// together with the keys.
struct PacketRings {
  let frameSize: Int
  let frameCount: Int
  let blockSize: Int

  /// Octets of RLIMIT_MEMLOCK that rings leave to keys and the data-key caches.
  static let keptForKeys = 2 << 20
  /// Octets of one ring, where nothing limits them: some milliseconds of 10 Gb/s.
  private static let most = 8 << 20

  init(mtu: UInt16, queues: Int, interfaces: Int, lockLimit: Int = Self.lockLimit) {
    // A frame slot holds the packet socket's header (68 octets), the Ethernet header, two tags and the packet.
    let frame = Int(mtu) + 18 + 4 + 68
    frameSize = frame <= 2048 ? 2048 : (frame + 4095) & ~4095
    blockSize = max(4096, frameSize)
    let share = max(0, lockLimit - Self.keptForKeys) / max(1, interfaces * queues * 2)
    // Even, as a block of small frames holds two.
    frameCount = max(32, min(Self.most / frameSize, share / frameSize)) & ~1
  }

  var arguments: String { "framesz=\(frameSize),framecnt=\(frameCount),blocksz=\(blockSize)" }

  static var lockLimit: Int {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
    return limit.rlim_cur > UInt(Int.max) ? Int.max : Int(limit.rlim_cur)
  }
}
