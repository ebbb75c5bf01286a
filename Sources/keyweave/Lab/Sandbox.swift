import Foundation
import Glibc
import Synchronization

/// User, mount, PID and network namespaces of our own: no root needed, and the kernel does the cleaning up.
///
/// Everything the lab makes (interfaces, files on a tmpfs, processes) lives inside and is gone with the first process
/// there, also when we are killed: `unshare --kill-child` takes the inside with it, and `setpriv --pdeathsig` takes `unshare`.
enum Sandbox {
  private static let child = Atomic<pid_t>(0)

  /// What `unshare` is told: without root a user namespace that maps us to root comes first.
  private static let plain = ["-nmpf", "--kill-child", "--mount-proc"]
  private static let mapped = ["-Urnmpf", "--kill-child", "--mount-proc"]

  /// Makes what the lab needs inside, to learn at once whether the kernel allows it.
  private static let trial = "mount -t tmpfs keyweave /run; mkdir /run/netns; ip netns add trial"

  /// Runs this program again inside new namespaces and gives its exit code. `arguments` gets the descriptor of a pipe, the
  /// door, through which the inside is told its process ID as it is outside: `nsenter` wants that one.
  static func enter(_ arguments: (Int32) -> [String]) throws(LabError) -> Int32 {
    let flags = try allowedFlags()
    var door: [Int32] = [-1, -1]
    guard pipe(&door) == 0 else { throw .failed("no pipe: \(String(cString: strerror(errno)))") }
    _ = fcntl(door[1], F_SETFD, FD_CLOEXEC)
    let child = try Child.start(
      ["setpriv", "--pdeathsig", "KILL", "unshare"] + flags + [program] + arguments(door[0]))
    Sandbox.child.store(child.pid, ordering: .sequentiallyConsistent)
    close(door[0])
    var ends = sigset_t()
    sigemptyset(&ends)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { received in Sandbox.abandon(received) }
      sigaddset(&ends, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &ends, nil)
    tellProcess(below: child.pid, door[1])
    while true {
      var status: Int32 = 0
      let ended = waitpid(child.pid, &status, 0)
      if ended == -1 && errno == EINTR { continue }
      let number = status & 0x7F
      return number == 0 ? (status >> 8) & 0xFF : 128 + number
    }
  }

  /// `unshare` forks once; its only child is the inside.
  private static func tellProcess(below parent: pid_t, _ door: Int32) {
    defer { close(door) }
    for _ in 0..<500 {
      let children = FileManager.default.contents(atPath: "/proc/\(parent)/task/\(parent)/children") ?? Data()
      if let pid = String(decoding: children, as: UTF8.self).split(separator: " ").first.flatMap({ Int32($0) }) {
        withUnsafeBytes(of: pid) { _ = write(door, $0.baseAddress, $0.count) }
        return
      }
      usleep(2000)
    }
  }

  /// Inside: our own process ID as it is outside; 0 when nobody told.
  static func outerPID(door: Int32) -> Int32 {
    var pid: Int32 = 0
    withUnsafeMutableBytes(of: &pid) { _ = read(door, $0.baseAddress, $0.count) }
    return pid
  }

  /// Inside: whether root here is an ordinary user outside, so that entering needs the user namespace too.
  static var isMapped: Bool {
    let map = FileManager.default.contents(atPath: "/proc/self/uid_map") ?? Data()
    // The whole identity map ends with 4294967295; a mapped root's ends with 1.
    return !String(decoding: map, as: UTF8.self).contains("4294967295")
  }

  /// This program's own file.
  static var program: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
  }

  /// Only async-signal-safe calls: the inside dies with `unshare`, and its namespaces with it.
  private static func abandon(_ number: Int32) {
    kill(child.load(ordering: .sequentiallyConsistent), SIGKILL)
    let text: StaticString = "\nStopped: processes, interfaces and files of the lab are gone.\n"
    write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    _exit(128 + number)
  }

  /// Root tries plain namespaces first, since a container may forbid user namespaces; everyone else needs one.
  private static func allowedFlags() throws(LabError) -> [String] {
    let candidates = getuid() == 0 ? [plain, mapped] : [mapped]
    var complaint = ""
    for flags in candidates {
      let log = NSTemporaryDirectory() + "keyweave-trial-\(getpid())"
      defer { [".out", ".err"].forEach { unlink(log + $0) } }
      let finished = try Child.run(["unshare"] + flags + ["sh", "-ec", trial], log: log)
      if finished.succeeded { return flags }
      complaint = finished.errors.split(separator: "\n").first.map(String.init) ?? "\(finished.ending)"
    }
    throw .refused(refusal(complaint))
  }

  /// Whether the kernel lets us in; nil when it does, otherwise the sentence that says why and what to do.
  static func whyRefused() -> String? {
    do {
      _ = try allowedFlags()
      return nil
    } catch { return error.description }
  }

  private static func refusal(_ complaint: String) -> String {
    func sysctl(_ path: String) -> String? {
      FileManager.default.contents(atPath: "/proc/sys/" + path)
        .map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
    }
    let start = "The kernel refuses the namespaces that the lab lives in"
    if getuid() != 0 {
      if sysctl("kernel/unprivileged_userns_clone") == "0" {
        return "\(start): allow them with `sudo sysctl -w kernel.unprivileged_userns_clone=1`, or run this as root."
      }
      if sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "\(start): allow them with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, "
          + "or run this as root."
      }
      if sysctl("user/max_user_namespaces") == "0" {
        return "\(start): allow them with `sudo sysctl -w user.max_user_namespaces=10000`, or run this as root."
      }
      return "\(start) (\(complaint)): run this as root, or in a container started with --privileged."
    }
    return "\(start) even to root (\(complaint)): a container must be started with --privileged."
  }
}
