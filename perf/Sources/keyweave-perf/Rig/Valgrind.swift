import CPerf
import Foundation

/// This program once more, under valgrind, with a folder for what valgrind writes.
final class Valgrind {
  let folder: URL
  /// Valgrind cannot read Swift's debug information, and gives up on a program that has some: this copy has none.
  let program: String
  /// Where valgrind's tools are, if not where it thinks.
  private var library: URL?

  init() throws {
    guard perf_knows_valgrind() else {
      throw PerfError(
        "this program was built without valgrind's headers: run `make test-deps`, then `touch perf/CPerf/CPerf.c`, "
          + "and then what you ran again")
    }
    folder = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    program = folder.appending(path: "keyweave-perf").path(percentEncoded: false)
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().path(percentEncoded: false)
    try Self.wait(for: Self.start(["strip", "--strip-debug", "-o", program, own]))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// - Parameter log: where valgrind and its tool write, unless that is standard error.
  func start(tool: String, _ options: [String] = [], word: String, log: FileHandle? = nil) throws -> Process {
    try Self.start(["valgrind", "-q", "--tool=\(tool)"] + options + [program, word], error: log, library: library)
  }

  /// Builds a tool of our own from the C file at `path`, and has `start` look for tools where it is.
  func make(tool: String, from path: String, including headers: String) throws {
    #if arch(x86_64)
      let machine = "amd64"
    #else
      let machine = "arm64"
    #endif
    // Debian has them in one folder of the machine's; what a tool is linked with and how, is valgrind's own Makefile.tool.am.
    let parts = "/usr/lib/\(machine == "amd64" ? "x86_64" : "aarch64")-linux-gnu/valgrind"
    let own = "/usr/libexec/valgrind"
    let options = """
      -O2 -Wall -fno-stack-protector -fno-pie -fno-builtin -fno-strict-aliasing -DVGA_\(machine)=1 -DVGO_linux=1
      -DVGP_\(machine)_linux=1 -DVGPV_\(machine)_linux_vanilla=1 -I/usr/include/valgrind -I\(headers)
      -static -no-pie -nodefaultlibs -nostartfiles -u _start -Wl,--build-id=none -Wl,-Ttext-segment=0x58000000
      """
    let place = folder.appending(path: "\(tool)-\(machine)-linux").path(percentEncoded: false)
    try Self.wait(
      for: Self.start(
        ["gcc"] + options.split { $0.isWhitespace }.map(String.init)
          + [
            "-o", place, path, "\(parts)/libcoregrind-\(machine)-linux.a", "\(parts)/libvex-\(machine)-linux.a",
            "-lgcc",
          ]))
    for name in ["default.supp", "vgpreload_core-\(machine)-linux.so"] {
      try FileManager.default.createSymbolicLink(
        at: folder.appending(path: name), withDestinationURL: URL(filePath: "\(own)/\(name)"))
    }
    library = folder
  }

  static func wait(for process: Process) throws {
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw PerfError(
        "`\(process.arguments?.first ?? "")` ended with status \(process.terminationStatus): if it is missing, "
          + "`make test-deps` installs it; otherwise its own words are above")
    }
  }

  private static func start(_ words: [String], error: FileHandle? = nil, library: URL? = nil) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = words
    if let error { process.standardError = error }
    if let library {
      process.environment = ProcessInfo.processInfo.environment.merging([
        "VALGRIND_LIB": library.path(percentEncoded: false)
      ]) { $1 }
    }
    try process.run()
    return process
  }
}
