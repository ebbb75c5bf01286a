import Foundation
import Glibc

/// A program the lab started: in a process group of its own, its output in two files, a deadline on every wait.
final class Child {
  let command: [String]
  let pid: pid_t
  /// Where its standard output and its standard error go; nil when it shares ours.
  let output: String?
  let errors: String?
  private var ending: Ending?

  /// How a program ended.
  enum Ending: Equatable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)
    /// It was still running at its deadline and was killed.
    case deadline

    var description: String {
      switch self {
      case .code(let code): "exit code \(code)"
      case .signal(let number): "killed by signal \(number)"
      case .deadline: "killed at its deadline"
      }
    }
  }

  private init(command: [String], pid: pid_t, output: String?, errors: String?) {
    self.command = command
    self.pid = pid
    self.output = output
    self.errors = errors
  }

  /// Starts a program found on `PATH`. With `log`, its output goes to `log.out` and `log.err`, its input is empty and it gets
  /// a process group of its own, so that Ctrl-C reaches only us; without, it shares ours.
  ///
  /// Throws `LabError.missing` when the program is not there.
  static func start(
    _ command: [String], log: String? = nil, environment: [String: String] = [:]
  ) throws(LabError) -> Child {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    // Whoever started us may have blocked signals; programs of the lab shall not inherit that.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var mode = POSIX_SPAWN_SETSIGMASK
    if let log {
      let flags = O_WRONLY | O_CREAT | O_TRUNC
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_addopen(&actions, 1, log + ".out", flags, 0o600)
      posix_spawn_file_actions_addopen(&actions, 2, log + ".err", flags, 0o600)
      mode |= POSIX_SPAWN_SETPGROUP
    }
    posix_spawnattr_setflags(&attributes, Int16(mode))
    var variables = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    // ip and ethtool live where an ordinary user's PATH does not look.
    variables["PATH"] = (variables["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    variables["LC_ALL"] = "C"
    let words = command.map { strdup($0) } + [nil]
    let pairs = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { (words + pairs).forEach { free($0) } }
    var pid: pid_t = 0
    let path = search(command.first ?? "", in: variables["PATH"] ?? "")
    let status = posix_spawn(&pid, path, &actions, &attributes, words, pairs)
    guard status == 0 else {
      throw .missing(program: command.first ?? "", reason: String(cString: strerror(status)))
    }
    return Child(command: command, pid: pid, output: log.map { $0 + ".out" }, errors: log.map { $0 + ".err" })
  }

  /// Runs a program to its end and gives what it wrote; kills it after `deadline` seconds.
  static func run(
    _ command: [String], log: String, deadline: Double = 20, environment: [String: String] = [:]
  ) throws(LabError) -> Finished {
    try start(command, log: log, environment: environment).finish(deadline: deadline)
  }

  /// Waits for its end; at the deadline (seconds from now) its whole process group is killed.
  func wait(deadline: Double) -> Ending {
    let start = Clock.seconds
    while true {
      if let ending = poll() { return ending }
      if Clock.seconds - start > deadline { return kill() }
      usleep(2000)
    }
  }

  /// Waits like `wait` and gathers what it wrote.
  func finish(deadline: Double) -> Finished {
    let ending = wait(deadline: deadline)
    return Finished(command: command, ending: ending, output: outputText, errors: errorText)
  }

  /// Asks it to end and waits; kills it when it has not ended within `grace` seconds.
  @discardableResult
  func stop(signal: Int32 = SIGTERM, grace: Double = 5) -> Ending {
    if let ending { return ending }
    Glibc.kill(pid, signal)
    return wait(deadline: grace)
  }

  var isRunning: Bool { poll() == nil }

  /// What it wrote so far.
  var outputText: String { Self.text(of: output) }
  var errorText: String { Self.text(of: errors) }

  private func kill() -> Ending {
    // It may have no group of its own (no log): then the first call fails, and the second is the one that counts.
    Glibc.kill(-pid, SIGKILL)
    Glibc.kill(pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) == -1 && errno == EINTR {}
    ending = .deadline
    return .deadline
  }

  private func poll() -> Ending? {
    if let ending { return ending }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
    // The macros WIFEXITED and WEXITSTATUS, which C does not export: the low 7 bits are the signal, the next octet the code.
    let signal = status & 0x7F
    ending = signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal)
    return ending
  }

  private static func text(of path: String?) -> String {
    guard let path, let data = FileManager.default.contents(atPath: path) else { return "" }
    return String(decoding: data, as: UTF8.self)
  }

  private static func search(_ program: String, in path: String) -> String {
    if program.contains("/") { return program }
    return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 } ?? program
  }

  /// The programs of `names` that are nowhere on the lab's path.
  static func missing(of names: [String]) -> [String] {
    let path = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    return names.filter { !search($0, in: path).contains("/") }
  }
}

/// A program that has ended, with everything it wrote.
struct Finished {
  let command: [String]
  let ending: Child.Ending
  let output: String
  let errors: String

  var succeeded: Bool { ending == .code(0) }

  /// The command, how it ended and its last lines: what a report of a failure needs.
  var account: String {
    let lines = (output + "\n" + errors).split(separator: "\n").suffix(12)
    return (["$ " + command.joined(separator: " "), "  (\(ending))"] + lines.map { "  \($0)" }).joined(separator: "\n")
  }
}

/// Why the lab could not be made, in one sentence with what to do.
enum LabError: Error, CustomStringConvertible {
  case missing(program: String, reason: String)
  case refused(String)
  case failed(String)

  var description: String {
    switch self {
    case .missing(let program, let reason):
      "cannot start \(program): \(reason); install what the lab needs with: sudo apt-get install \(Lab.packages)"
    case .refused(let sentence), .failed(let sentence): sentence
    }
  }
}

/// The monotonic clock, in seconds.
enum Clock {
  static var seconds: Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }
}
