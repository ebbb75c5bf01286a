import Foundation
import Glibc

/// What this user may do: locked memory, raw sockets, namespaces.
enum DoctorLimits {
  static func findings(_ ports: DoctorPorts?) -> [DoctorFinding] {
    [memory(ports), sockets(ports), namespaces()]
  }

  /// Bits of /proc/self/status CapEff (linux/capability.h).
  enum Capability: Int {
    case netAdmin = 12
    case netRaw = 13
    case ipcLock = 14

    var isHeld: Bool {
      let mask = UInt64(Kernel.field("CapEff", of: "/proc/self/status") ?? "", radix: 16) ?? 0
      return mask >> UInt64(rawValue) & 1 == 1
    }
  }

  /// Octets of an expanded IPsec-MB key (1008) with its tag in the cache.
  private static let keyOctets = 1088
  /// What the rings leave to keys, and the least that they are: 32 frames of 2048 octets, each way.
  private static let keptForKeys = 2 << 20
  private static let smallestRings = 2 * 32 * 2048

  /// The rings of packet sockets and the keys share the locked memory; rings are made smaller so that both fit.
  private static func memory(_ ports: DoctorPorts?) -> DoctorFinding {
    let subject = "locked memory"
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
    if limit.rlim_cur == rlim_t.max || Capability.ipcLock.isHeld {
      return .ok(subject, "no limit for this user")
    }
    let allowed = Int(clamping: limit.rlim_cur)
    let fix = "sudo prlimit --pid $$ --memlock=67108864:67108864 (systemd: LimitMEMLOCK=64M)"
    let found = Figures.fixed(Double(allowed) / 1_048_576, 1) + " MiB"
    let interfaces = ports?.interfaces ?? 0
    let keys = "keys get 2 MiB of it, room for \(Figures.count(keptForKeys / keyOctets)) cached data keys"
    guard allowed >= keptForKeys + interfaces * smallestRings else {
      return .fail(subject, "\(found): too little for keys and the rings of \(interfaces) interfaces", fix: fix)
    }
    guard allowed >= 64 << 20 else {
      return .warn(subject, "\(found) for all: \(keys), packet rings the rest; bursts may overflow them", fix: fix)
    }
    return .ok(subject, "\(found): \(keys), packet rings the rest")
  }

  private static func sockets(_ ports: DoctorPorts?) -> DoctorFinding {
    let subject = "raw sockets"
    if Capability.netRaw.isHeld { return .ok(subject, "CAP_NET_RAW is held") }
    let fix = "sudo setcap cap_net_raw,cap_ipc_lock+ep \(Sandbox.program)"
    let found =
      "no CAP_NET_RAW: ports on kernel interfaces cannot be opened (the demo needs none: it has its own namespaces)"
    return (ports?.interfaces ?? 0) > 0 ? .fail(subject, found, fix: fix) : .warn(subject, found, fix: fix)
  }

  private static func namespaces() -> DoctorFinding {
    let subject = "namespaces"
    guard let sentence = Sandbox.whyRefused() else {
      return .ok(subject, getuid() == 0 ? "root may make them: the demo runs" : "allowed without root: the demo runs")
    }
    return .warn(subject, "the demo cannot run here", fix: sentence)
  }
}
