import Control
import DataPlane
import Foundation
import Keys
import Synchronization

/// A running gateway with its files and its control socket: what joins Control and DataPlane.
final class GatewayService: @unchecked Sendable {
  private let path: String
  private let source: any KeySource
  private let gateway: any RunningGateway
  private var server: ControlServer?
  /// Guards what a reload changes; reloads come from the socket's thread, from signals, and new keys from their source.
  private let lock = Mutex(())
  private var file: ConfigurationFile

  init(path: String) throws {
    self.path = path
    let file = try ConfigurationFile.load(path)
    let configuration = file.configuration
    let applier = Applier()
    source = try Self.source(of: file) { try applier.apply() }
    let keys = try source.keys(for: file)
    var settings = configuration.settings(
      time: configuration.connection == nil ? .record(path: configuration.identity.record) : .connection)
    settings.waitsForClock = configuration.keyAgent != nil
    gateway = try settings.start(plan: configuration.plan(keys), groups: keys.groups)
    self.file = file
    source.didApply(file)
    applier.service = self
    do {
      server = try ControlServer(
        paths: configuration.controlSocket.map { [$0] } ?? ControlSocket.defaultPaths(name: configuration.name)
      ) { [unowned self] in answer($0) }
    } catch {
      gateway.stop()
      throw error
    }
    source.start(gateway)
  }

  /// Breaks the circle: a source is there before the service that it tells.
  private final class Applier: @unchecked Sendable {
    weak var service: GatewayService?
    func apply() throws { try service?.applyKeys() }
  }

  private static func source(
    of file: ConfigurationFile, apply: @escaping @Sendable () throws -> Void
  ) throws -> any KeySource {
    let configuration = file.configuration
    if let connection = configuration.connection {
      return try ConnectionKeySource(try connection.settings(), name: configuration.name, apply: apply)
    }
    if let settings = try configuration.keyAgentSettings() {
      return try AgentKeySource(settings, configuration, apply: apply)
    }
    guard let keys = file.keys else { throw GatewayError("\(file.path) names no keys file") }
    return FileKeySource(keys, name: file.configuration.name, apply: apply)
  }

  var greeting: String {
    let status = gateway.status
    let ports = status.ports.map { "\($0.name) (\($0.device), \($0.role))" }.joined(separator: ", ")
    var lines = ["\(status.name): engine \(status.engine), ports \(ports), control socket \(server?.path ?? "none")"]
    if let start = status.counter.start { lines.append("\(status.name): \(start)") }
    lines += (file.warnings.map { "warning: \($0)" } + status.warnings.map { "warning: \($0)" })
    return lines.joined(separator: "\n")
  }

  /// Neighbours are told to send elsewhere, and what they still send is forwarded. A second signal cuts it short.
  private func drain(_ signals: SignalSet) {
    let time = lock.withLock { _ in file.configuration.bfd?.drain ?? 0 }
    guard time > 0 else { return }
    gateway.leave()
    let end = ContinuousClock.now + .milliseconds(time)
    while case let left = ContinuousClock.now.duration(to: end), left > .zero {
      let signal = signals.next(within: Int(left / .milliseconds(1)) + 1)
      if signal == SIGTERM || signal == SIGINT { return }
    }
  }

  /// Until SIGTERM or SIGINT.
  func serve(_ signals: SignalSet) {
    while true {
      switch signals.next(within: 1000) {
      case SIGHUP:
        do {
          print(try reload())
        } catch {
          StandardError.write("reload refused, nothing changed:\n\(error)\n")
        }
        fflush(nil)
      case SIGTERM, SIGINT:
        drain(signals)
        server?.stop()
        source.stop()
        gateway.stop()
        return
      default:
        source.tick()
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
    case .status:
      return encoded(ServiceStatus(gateway: gateway.status, keyAgent: source.status, connection: source.connection))
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
      var fields = new.configuration.restartFields(comparedTo: file.configuration)
      if let replay = new.configuration.replay, replay.largestWindow > gateway.status.replay?.largestWindow ?? 0 {
        fields.append("groups.replay_window (larger than any at start)")
      }
      guard fields.isEmpty else {
        throw GatewayError(
          "found changes that only a restart can make: \(fields.joined(separator: ", ")); undo them, or restart the gateway"
        )
      }
      try apply(new)
      file = new
      return "\(new.configuration.name): reloaded \(path)"
    }
  }

  private func apply(_ file: ConfigurationFile) throws {
    let keys = try source.keys(for: file)
    try gateway.reload(plan: file.configuration.plan(keys), groups: keys.groups)
    source.didApply(file)
  }

  /// New keys under the plan as it is.
  private func applyKeys() throws { try lock.withLock { _ in try apply(file) } }
}
