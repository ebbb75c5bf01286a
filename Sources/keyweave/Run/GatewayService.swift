import Control
import DataPlane
import Foundation
import Keys
import Synchronization

/// A running gateway with its files and its control socket: what joins Control and DataPlane.
final class GatewayService: @unchecked Sendable {
  private let path: String
  private let gateway: any RunningGateway
  private var server: ControlServer?
  /// Guards what a reload changes; reloads come from the socket's thread and from signals.
  private let lock = Mutex(())
  private var file: ConfigurationFile
  /// When the next generation of the keys file ends its life.
  private var nextExpiry: UInt64?

  private static var now: UInt64 { NodeSystem.clock() }

  init(path: String) throws {
    self.path = path
    let file = try ConfigurationFile.load(path)
    let configuration = file.configuration
    let groups = file.keys.groups(at: Self.now)
    gateway = try configuration.settings(time: .record(path: configuration.identity.record))
      .start(plan: configuration.plan(groups: groups), groups: groups)
    self.file = file
    nextExpiry = file.keys.nextExpiry(after: Self.now)
    do {
      server = try ControlServer(
        paths: configuration.controlSocket.map { [$0] } ?? ControlSocket.defaultPaths(name: configuration.name)
      ) { [unowned self] in answer($0) }
    } catch {
      gateway.stop()
      throw error
    }
  }

  var greeting: String {
    let status = gateway.status
    let ports = status.ports.map { "\($0.name) (\($0.device), \($0.role))" }.joined(separator: ", ")
    var lines = ["\(status.name): engine \(status.engine), ports \(ports), control socket \(server?.path ?? "none")"]
    if let start = status.counter.start { lines.append("\(status.name): \(start)") }
    lines += (file.warnings.map { "warning: \($0)" } + status.warnings.map { "warning: \($0)" })
    return lines.joined(separator: "\n")
  }

  /// Until SIGTERM or SIGINT.
  func serve(_ signals: SignalSet) {
    while true {
      switch signals.next(within: 1) {
      case SIGHUP:
        do {
          print(try reload())
        } catch {
          StandardError.write("reload refused, nothing changed:\n\(error)\n")
        }
        fflush(nil)
      case SIGTERM, SIGINT:
        server?.stop()
        gateway.stop()
        return
      default:
        expireKeys()
      }
    }
  }

  /// The last words.
  var summary: String {
    let status = gateway.status
    return "\(status.name): \(status.sentence)"
  }

  private func answer(_ command: ControlSocket.Command) -> Data {
    switch command {
    case .ping: return Data("{\"ok\":true}".utf8)
    case .status: return encoded(gateway.status)
    case .reload:
      do {
        return encoded(["result": try reload()])
      } catch {
        return ControlSocket.error("\(error)")
      }
    }
  }

  private func encoded(_ value: some Encodable) -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(value)) ?? ControlSocket.error("the answer could not be written as JSON")
  }

  /// Applies the files as they are now, or throws and changes nothing.
  private func reload() throws -> String {
    try lock.withLock { _ in
      let new = try ConfigurationFile.load(path)
      let fields = new.configuration.restartFields(comparedTo: file.configuration)
      guard fields.isEmpty else {
        throw GatewayError(
          "found changes that only a restart can make: \(fields.joined(separator: ", ")); undo them, or restart the gateway"
        )
      }
      let mistakes = new.keys.mistakes(replacing: file.keys)
      guard mistakes.isEmpty else { throw GatewayError(mistakes.map(\.description).joined(separator: "\n")) }
      try apply(new)
      file = new
      return "\(new.configuration.name): reloaded \(path)"
    }
  }

  private func apply(_ file: ConfigurationFile) throws {
    let groups = file.keys.groups(at: Self.now)
    try gateway.reload(plan: file.configuration.plan(groups: groups), groups: groups)
    nextExpiry = file.keys.nextExpiry(after: Self.now)
  }

  /// Generations whose life is over are erased, whether or not anyone reloads.
  private func expireKeys() {
    lock.withLock { _ in
      guard let expiry = nextExpiry, expiry <= Self.now else { return }
      nextExpiry = nil
      do {
        try apply(file)
        print("\(file.configuration.name): keys past their lifetime were erased; make new generations")
      } catch {
        StandardError.write("keys past their lifetime could not be erased: \(error)\n")
      }
      fflush(nil)
    }
  }
}
