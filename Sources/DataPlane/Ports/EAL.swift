internal import CDPDK
internal import Glibc
internal import Synchronization

/// DPDK's environment, made once per process. The user never sees an EAL argument: everything follows from the machine.
package enum EAL {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  package struct Settings: Sendable {
    package var lcores = 1
    /// Processor numbers to bind lcores to; empty: they float over all.
    package var cores: [Int] = []
    package var pciAddresses: [String] = []
    /// Mebibytes, at most; without hugepages only touched pages count.
    package var memory = 512
    /// Where there are enough of them; without, memory is slower by some cycles for each packet.
    package var usesHugepages = true
    package init() {}
  }

  /// EAL numbers: 0 is the control thread's, the gateway's sealing lcore n is EAL's n + 1.
  static func ealNumber(of lcore: Int) -> UInt32 { UInt32(lcore + 1) }

  nonisolated(unsafe) private static var started = false
  private static let lock = Mutex(())

  /// Idempotent, so that tests can share it. Runs on a thread of its own because EAL binds the calling thread, and
  /// every thread made later would inherit that.
  package static func start(_ settings: Settings) throws(Failure) {
    let outcome = lock.withLock { _ -> Failure? in
      if started { return nil }
      do throws(Failure) {
        try initialise(settings)
        started = true
        return nil
      } catch {
        return error
      }
    }
    if let outcome { throw outcome }
  }

  /// Free 2 MiB pages, in mebibytes.
  package static var freeHugepages: Int {
    let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    guard let file = fopen(path, "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 32)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    return (Int(atol(line))) * 2
  }

  static func arguments(_ settings: Settings, hugepages: Bool) -> [String] {
    let processors = "0-\(max(0, sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1))"
    let lcores = (0...settings.lcores).map { number in
      let cores =
        number == 0 || settings.cores.isEmpty ? processors : "\(settings.cores[(number - 1) % settings.cores.count])"
      return "\(number)@(\(cores))"
    }
    var arguments = [
      "keyweave", "--lcores=\(lcores.joined(separator: ","))", "--main-lcore=0", "-m", "\(settings.memory)",
      "--file-prefix=keyweave-\(getpid())", "--no-telemetry", "--log-level=lib.eal:error", "--log-level=error",
    ]
    // A killed process leaves no memory files behind: in-memory hugepages have none, and without them nothing is
    // shared.
    arguments += hugepages ? ["--in-memory"] : ["--no-huge", "--no-shconf"]
    if settings.pciAddresses.isEmpty {
      arguments.append("--no-pci")
    } else {
      arguments += settings.pciAddresses.flatMap { ["-a", $0] }
    }
    return arguments
  }

  private static func initialise(_ settings: Settings) throws(Failure) {
    let directory = try runtimeDirectory()
    defer { if let directory { removeRuntimeDirectory(directory) } }
    let turn = takeTurn()
    defer { if turn >= 0 { close(turn) } }
    let hugepages = settings.usesHugepages && freeHugepages >= settings.memory
    let words = arguments(settings, hugepages: hugepages)
    // EAL keeps pointers into its arguments, and permutes them.
    let argv = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: words.count + 1)
    for (index, word) in words.enumerated() { argv[index] = strdup(word) }
    argv[words.count] = nil
    let call = EALCall(argc: Int32(words.count), argv: argv)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(call)
    pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<EALCall>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    pthread_join(thread, nil)
    guard call.result >= 0 else {
      let (free, wanted) = (freeHugepages, settings.memory)
      let memory =
        if hugepages, free < wanted {
          "Another program took hugepages that were free (\(wanted) MiB wanted, \(free) left): start again, which does without, "
            + "or raise vm.nr_hugepages."
        } else {
          (hugepages ? "Hugepages were used." : "No hugepages were used (\(free) MiB free, \(wanted) wanted).")
            + " Run `keyweave doctor`."
        }
      throw Failure(
        description: "DPDK's environment did not start: \(String(cString: dpdk_last_error())). \(memory)")
    }
  }

  /// Gateways that start at once would all count the same free pages, and then none finds enough: they start one after the
  /// other, by a lock on the one file that they share whatever their namespaces are, which is the program's.
  private static func takeTurn() -> Int32 {
    let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    while file >= 0, flock(file, LOCK_EX) != 0, errno == EINTR {}
    return file
  }

  /// EAL wants a writable directory even when it leaves nothing there: one is made where the service manager gave none, and
  /// only for as long as EAL starts, as others read the same variable.
  private static func runtimeDirectory() throws(Failure) -> String? {
    guard getenv("RUNTIME_DIRECTORY") == nil else { return nil }
    var template = Array("/tmp/keyweave-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Failure(
        description: "EAL needs a directory and could not make one in /tmp: \(String(cString: strerror(errno)))")
    }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    setenv("RUNTIME_DIRECTORY", path, 1)
    return path
  }

  private static func removeRuntimeDirectory(_ path: String) {
    unsetenv("RUNTIME_DIRECTORY")
    for suffix in ["/dpdk/keyweave-\(getpid())", "/dpdk", ""] { rmdir(path + suffix) }
  }
}

private final class EALCall {
  let argc: Int32
  let argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  var result: Int32 = -1
  init(argc: Int32, argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) {
    self.argc = argc
    self.argv = argv
  }
  func run() { result = dpdk_eal_init(argc, argv) }
}
