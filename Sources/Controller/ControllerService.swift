internal import Foundation
internal import Hummingbird
internal import HummingbirdCore
internal import HummingbirdTLS
package import Identity
package import Logging
internal import NIOCore
internal import NIOPosix
internal import ServiceLifecycle
internal import Synchronization

/// A running controller: the store, the schedule and the HTTPS service.
package final class ControllerService: Sendable {
  package let settings: ControllerSettings
  private let registry: Registry
  private let identity: TLSIdentity
  private let logger: Logger
  private let place = Mutex<(host: String, port: Int)?>(nil)
  private let running = Mutex<Task<Void, any Error>?>(nil)
  private let isStopped = Mutex(false)

  /// Opens the store and makes what is missing in it.
  package init(_ settings: ControllerSettings, logger: Logger? = nil) async throws {
    self.settings = settings
    let logger = logger ?? Logger(label: "keyweave.controller")
    self.logger = logger
    identity = try TLSIdentity(files: settings.tls)
    registry = try await Registry(settings, store: try await Self.store(settings), logger: logger)
  }

  private static func store(_ settings: ControllerSettings) async throws -> any ControllerStore {
    switch settings.store {
    case .file(let path): try SQLiteStore(path: path)
    case .etcd(let etcd): try EtcdStore(etcd)
    }
  }

  /// Where it listens, once it does.
  package var address: (host: String, port: Int)? { place.withLock { $0 } }

  /// The certificate's own name.
  package var id: SPIFFEID { identity.identity.id }

  /// Reads certificate, key and authority again, at once.
  package func reloadCertificates() -> String? {
    identity.refresh()
    return identity.problem
  }

  /// Serves until `stop`; `ready` is called once it listens.
  package func run(ready: @escaping @Sendable ((host: String, port: Int)) -> Void = { _ in }) async throws {
    let task = Task { [self] in try await serve(ready) }
    running.withLock { $0 = task }
    if isStopped.withLock({ $0 }) { task.cancel() }
    let result = await task.result
    await registry.stop()
    do {
      try result.get()
    } catch is CancellationError {}
  }

  package func stop() {
    isStopped.withLock { $0 = true }
    running.withLock { $0?.cancel() }
  }

  private func serve(_ ready: @escaping @Sendable ((host: String, port: Int)) -> Void) async throws {
    let rates = RateLimits(settings.limits)
    let identity = identity
    let routes = Routes(
      registry: registry, limits: settings.limits, certificate: { (identity.expires, identity.problem) })
    var quiet = Logger(label: "keyweave.http")
    quiet.logLevel = .error
    let application = Application(
      responder: routes.router(rates).buildResponder(),
      server: server(rates),
      configuration: ApplicationConfiguration(
        address: .hostname(settings.host, port: settings.port), serverName: nil, backlog: 4096,
        availableConnectionsDelegate: MaximumAvailableConnections(settings.limits.connections)),
      onServerRunning: { [self] channel in
        guard let address = channel.localAddress, let port = address.port else { return }
        let found = (host: settings.host, port: port)
        place.withLock { $0 = found }
        ready(found)
      }, logger: quiet)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await application.run() }
      group.addTask { [registry] in await registry.driveOn() }
      group.addTask { [registry] in await registry.sweep() }
      group.addTask { [registry] in await registry.follow() }
      // The first to end is the server, or the cancellation of all.
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private func server(_ rates: RateLimits) -> HTTPServerBuilder {
    let limits = settings.limits
    let identity = identity
    return HTTPServerBuilder { responder in
      let http = HTTP1Channel(
        responder: responder,
        configuration: HTTP1Channel.Configuration(
          additionalChannelHandlers: [RequestDeadline(limits)], idleTimeout: .seconds(Int64(limits.idleSeconds)),
          httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: 8192, maxHeaderListSize: 16384, maxHeaderFieldCount: 64)))
      let tls = try TLSChannel(
        http,
        configuration: TLSChannelConfiguration(
          tlsConfiguration: identity.serverConfiguration(),
          customVerificationCallback: { chain, promise in identity.verifyClient(chain, promise) }))
      return GuardedChannel(base: tls, rates: rates)
    }
  }
}
