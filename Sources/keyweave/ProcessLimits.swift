import CLinux
import Glibc

/// What the process may use, and what may be had of it.
enum ProcessLimits {
  /// A core dump would hold what is not in locked memory: sessions, wrapped keys, names. And who runs another program as the
  /// same user shall not read this one's memory (ptrace(2), /proc/PID/mem); root still can.
  static func forbidInspection() {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    _ = linux_prctl_set_dumpable(0)
  }

  /// As far as the hard limit lets it.
  static func raiseDescriptors(to count: Int) {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur < rlim_t(count) else { return }
    if limit.rlim_max < rlim_t(count) {
      StandardError.write(
        "found a limit of \(limit.rlim_max) descriptors, expected \(count) for the connections configured; raise it with "
          + "`ulimit -Hn` or LimitNOFILE= in the systemd unit\n")
    }
    limit.rlim_cur = min(limit.rlim_max, rlim_t(count))
    setrlimit(resource, &limit)
  }
}
