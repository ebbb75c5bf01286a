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

  /// Octets of an expanded IPsec-MB key with its place in the cache.
  private static let keyOctets = 1088

  /// Locked memory holds af_packet's rings first, then the keys: what is left bounds the data-key cache.
  private static func memory(_ ports: DoctorPorts?) -> DoctorFinding {
    let subject = "locked memory"
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
    if limit.rlim_cur == rlim_t.max || Capability.ipcLock.isHeld {
      return .ok(subject, "no limit for this user: the data-key cache takes what its configuration says")
    }
    let allowed = Int(clamping: limit.rlim_cur)
    let rings = ports?.lockedRings ?? 0
    let left = allowed - rings
    let fix = "sudo prlimit --pid $$ --memlock=67108864:67108864 (systemd: LimitMEMLOCK=64M)"
    func text(_ octets: Int) -> String { Figures.fixed(Double(octets) / 1_048_576, 1) + " MiB" }
    let sum =
      ports == nil ? "\(text(allowed)) allowed" : "\(text(allowed)) allowed, \(text(rings)) for the ports' rings"
    guard left > 0 else {
      return .fail(subject, "\(sum): nothing is left for keys", fix: fix)
    }
    let keys = Figures.count(left / keyOctets)
    guard left >= 1 << 20 else {
      return .warn(subject, "\(sum): \(keys) data keys fit into the rest; a busy gateway wants more", fix: fix)
    }
    return .ok(subject, "\(sum): up to \(keys) expanded data keys fit into the rest")
  }

  private static func sockets(_ ports: DoctorPorts?) -> DoctorFinding {
    let subject = "raw sockets"
    if Capability.netRaw.isHeld { return .ok(subject, "CAP_NET_RAW is held") }
    let fix = "sudo setcap cap_net_raw,cap_ipc_lock+ep \(Sandbox.program)"
    let found =
      "no CAP_NET_RAW: ports on kernel interfaces cannot be opened (the demo needs none: it has its own namespaces)"
    return ports?.usesInterfaces == true ? .fail(subject, found, fix: fix) : .warn(subject, found, fix: fix)
  }

  private static func namespaces() -> DoctorFinding {
    let subject = "namespaces"
    guard let sentence = Sandbox.whyRefused() else {
      return .ok(subject, getuid() == 0 ? "root may make them: the demo runs" : "allowed without root: the demo runs")
    }
    return .warn(subject, "the demo cannot run here", fix: sentence)
  }
}
