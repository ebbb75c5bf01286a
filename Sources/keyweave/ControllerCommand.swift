import ArgumentParser
import Control
import Controller
import Foundation
import Glibc
import Identity
import Logging
import Vault

/// `keyweave controller`: one authority over its root keys.
struct ControllerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "controller", abstract: "Run a controller: it makes, rotates and distributes root keys.",
    discussion: """
      Prints one line when it is ready. SIGTERM and SIGINT end it; SIGHUP reads its certificate, key and authority again,
      which it also does by itself when the files change.

      EXAMPLES
        keyweave controller --config region.yaml --check
        keyweave controller --config region.yaml

      \(ExitCodes.help)
      """)

  @Option(name: .long, help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Flag(name: .long, help: "Only say what is wrong with the configuration, or what it would do.")
  var check = false

  @Flag(name: .long, help: "Make the wrapping key first, when it is not there.")
  var createWrappingKey = false

  func run() throws {
    try ProcessLimits.bindFunctionsFirst()
    let file: ControllerConfigurationFile
    let settings: ControllerSettings
    do {
      file = try ControllerConfigurationFile.load(config)
      settings = try ControllerSettings(file.configuration)
    } catch {
      StandardError.write("\(error)\n")
      throw ExitCodes.failure.exit
    }
    for warning in file.warnings { StandardError.write("\(warning)\n") }
    if check {
      print("\(file.configuration)\n\(config): no mistakes")
      return
    }
    // Before any thread exists, so that all inherit it: signals wait for `serve`.
    let signals = SignalSet([SIGHUP, SIGTERM, SIGINT])
    signals.block()
    signal(SIGPIPE, SIG_IGN)
    ProcessLimits.forbidInspection()
    ProcessLimits.raiseDescriptors(to: settings.limits.connections + 256)
    LoggingSystem.bootstrap { _ in ChangeLog() }
    try serve(settings, signals)
  }

  private func serve(_ settings: ControllerSettings, _ signals: SignalSet) throws {
    let outcome = Outcome()
    let createsKey = createWrappingKey
    let task = Task {
      do {
        if createsKey, (try? settings.wrappingKey.open()) == nil { try settings.wrappingKey.create() }
        let service = try await ControllerService(settings)
        outcome.started(service)
        try await service.run { address in
          let host = address.host.contains(":") ? "[\(address.host)]" : address.host
          print("\(settings.name): ready on https://\(host):\(address.port) as \(service.id)")
          fflush(nil)
        }
      } catch {
        outcome.failed("\(error)")
      }
      outcome.end()
    }
    while !outcome.hasEnded {
      guard let signal = signals.next(within: 1) else { continue }
      if signal == SIGHUP {
        if let problem = outcome.service?.reloadCertificates() { StandardError.write("certificates: \(problem)\n") }
        continue
      }
      outcome.service?.stop()
      if outcome.service == nil { task.cancel() }
    }
    if let failure = outcome.failure {
      StandardError.write("\(failure)\n")
      throw ExitCodes.failure.exit
    }
  }
}

/// What the service's task and the signals' thread tell each other.
private final class Outcome: @unchecked Sendable {
  private let lock = NSLock()
  private var state: (service: ControllerService?, failure: String?, hasEnded: Bool) = (nil, nil, false)

  private func locked<Result>(_ body: (inout (service: ControllerService?, failure: String?, hasEnded: Bool)) -> Result)
    -> Result
  {
    lock.lock()
    defer { lock.unlock() }
    return body(&state)
  }

  var service: ControllerService? { locked { $0.service } }
  var failure: String? { locked { $0.failure } }
  var hasEnded: Bool { locked { $0.hasEnded } }
  func started(_ service: ControllerService) { locked { $0.service = service } }
  func failed(_ text: String) { locked { $0.failure = text } }

  func end() {
    locked { $0.hasEnded = true }
    // The thread waits for signals: one more tells it.
    kill(getpid(), SIGTERM)
  }
}

/// One line per change, for the journal.
private struct ChangeLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.notice

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(
    level: Logger.Level, message: Logger.Message, metadata: Logger.Metadata?, source: String, file: String,
    function: String, line: UInt
  ) {
    StandardError.write("\(level == .notice ? "" : "\(level): ")\(message)\n")
  }
}

extension ControllerSettings {
  init(_ configuration: ControllerConfiguration) throws {
    let wrappingKey: WrappingKeySource =
      switch configuration.wrappingKey {
      case .file(let path): .file(path)
      case .credential(let name): .credential(name)
      case .pkcs11(let module, let token, let label, let pinFile):
        .pkcs11(module: module, token: token, label: label, pinFile: pinFile)
      }
    let store: StoreSettings =
      switch configuration.store {
      case .file(let path): .file(path)
      case .etcd(let etcd):
        .etcd(
          EtcdSettings(
            endpoints: etcd.endpoints, prefix: etcd.prefix, node: etcd.node, authority: etcd.authority,
            certificate: etcd.certificate, key: etcd.key))
      }
    var limits = ControllerLimits()
    limits.connections = configuration.limits.connections
    limits.body = configuration.limits.body
    limits.requestsPerSecond = configuration.limits.requestsPerSecond
    limits.requestBurst = 2 * configuration.limits.requestsPerSecond
    limits.longPolls = configuration.limits.longPolls
    self.init(
      name: configuration.name, host: configuration.listen.host, port: configuration.listen.port,
      tls: TLSFiles(
        certificate: configuration.certificate, key: configuration.key, authority: configuration.authority),
      store: store, wrappingKey: wrappingKey,
      administrators: try configuration.administrators.map { administrator in
        guard let id = SPIFFEID(administrator.id) else { throw Mismatch(what: administrator.id) }
        return Administrator(
          id: id,
          pins: try administrator.publicKeys.map { text in
            guard let pin = PublicKeyPin(text) else { throw Mismatch(what: text) }
            return pin
          })
      },
      rootKeys: configuration.rootKeys.map { key in
        RootKeySettings(
          name: key.name, level: key.level, epochPeriod: key.epochPeriod, lifetime: key.lifetime,
          rotateEvery: key.rotateEvery, share: key.share, servesClients: key.servesClients)
      }, isIdentityAuthority: configuration.firstDeviceID != nil, firstDeviceID: configuration.firstDeviceID ?? 1,
      leaseSeconds: configuration.lease, limits: limits, auditFile: configuration.auditFile)
  }

  /// A text that the file's reader took and its user does not.
  private struct Mismatch: Error, CustomStringConvertible {
    let what: String
    var description: String { "administrators: found \(what), expected a SPIFFE ID and pins; correct it" }
  }
}
