import ArgumentParser
import Control
import DataPlane
import Foundation
import Glibc
import Keys
import Wire

/// `keyweave run`: the gateway.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a gateway until it is told to stop.",
    discussion: """
      SIGHUP, or `keyweave reload`, applies a changed configuration and changed keys without losing a packet, or refuses
      them whole. SIGTERM and SIGINT stop receiving, finish what is under way and print a summary; with BFD neighbours are
      told first and packets are taken for the time that `bfd.drain` says, unless a second signal comes.
      `keyweave status` tells what it does.

      EXAMPLES
        keyweave check --config gateway-a.yaml && keyweave run --config gateway-a.yaml
        kill -HUP "$(pidof keyweave)"

      \(ExitCodes.help)
      """)

  @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  func run() throws {
    try ProcessLimits.bindFunctionsFirst()
    // Before any thread exists, so that all inherit it: signals wait for `serve`.
    let signals = SignalSet([SIGHUP, SIGTERM, SIGINT])
    signals.block()
    signal(SIGPIPE, SIG_IGN)
    ProcessLimits.forbidInspection()
    let service: GatewayService
    do {
      service = try GatewayService(path: config)
    } catch {
      StandardError.write("\(error)\n")
      throw ExitCodes.failure.exit
    }
    print(service.greeting)
    fflush(nil)
    service.serve(signals)
    print(service.summary)
  }
}

/// Signals that are taken one at a time, where the program wants them.
struct SignalSet {
  private var set = sigset_t()

  init(_ signals: [Int32]) {
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
  }

  func block() {
    var set = set
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// The next signal, or nil after so many milliseconds.
  func next(within milliseconds: Int) -> Int32? {
    var set = set
    var limit = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    let signal = sigtimedwait(&set, nil, &limit)
    return signal > 0 ? signal : nil
  }
}
