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

  /// The loader looks a library's function up when it is called for the first time, and saves the vector registers on the stack
  /// meanwhile: with them what they still hold of a key, which nobody erases there. So this program starts once more with every
  /// function looked up beforehand (LD_BIND_NOW in ld.so(8)); to be called before any key is read.
  static func bindFunctionsFirst() throws {
    if let value = getenv("LD_BIND_NOW"), value.pointee != 0 { return }
    setenv("LD_BIND_NOW", "1", 1)
    execv(Sandbox.program, CommandLine.unsafeArgv)
    StandardError.write(
      "cannot start \(Sandbox.program) again with LD_BIND_NOW=1 (\(String(cString: strerror(errno)))), which keeps keys off the "
        + "stack: set LD_BIND_NOW=1 in the environment, or Environment=LD_BIND_NOW=1 in the systemd unit\n")
    throw ExitCodes.failure.exit
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
