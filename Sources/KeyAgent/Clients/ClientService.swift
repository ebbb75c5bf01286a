internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdTLS
package import Identity
internal import Keys
internal import Logging
internal import NIOCore
internal import Rotation
internal import Synchronization

/// The HTTPS service of a pool's member for parties outside the trust group.
package final class ClientService: Sendable {
  /// A request has a key and a few numbers.
  static let sizeLimit = 16 << 10
  static let requestsPerSecond = 20

  private let settings: ClientServiceSettings
  private let desk: ConnectionDesk
  private let identity: TLSIdentity
  private let clock: @Sendable () -> UInt64
  private let task = Mutex<Task<Void, any Error>?>(nil)
  private let bound = Mutex<Int?>(nil)
  private let rates = Mutex<[SPIFFEID: (second: UInt64, count: Int)]>([:])

  package init(
    _ settings: ClientServiceSettings, desk: ConnectionDesk, identity: TLSIdentity,
    clock: @escaping @Sendable () -> UInt64 = { NodeSystem.clock() }
  ) {
    self.settings = settings
    self.desk = desk
    self.identity = identity
    self.clock = clock
  }

  /// The port that it listens on, once it does.
  package var port: Int? { bound.withLock { $0 } }

  /// Returns when it listens.
  package func start() throws {
    let router = Router(context: PeerContext.self)
    router.get("/v1/health") { _, _ in try Self.response(200, ["status": "ok"]) }
    router.post("/v1/connections") { [self] request, context in
      try await serve(request, context) { peer, body in try desk.open(body, from: peer, at: Int64(clock())) }
    }
    router.post("/v1/connections/{id}/renew") { [self] request, context in
      let id = context.parameters.get("id") ?? ""
      return try await serve(request, context) { peer, body in
        try desk.renew(id, body, from: peer, at: Int64(clock()))
      }
    }
    let ready = DispatchSemaphore(value: 0)
    let failure = Failure()
    let application = Application(
      router: router,
      server: try .tls(
        .http1(configuration: .init(idleTimeout: .seconds(30))),
        configuration: .init(
          tlsConfiguration: identity.serverConfiguration(),
          customVerificationCallback: { [identity] chain, promise in identity.verifyClient(chain, promise) })),
      configuration: .init(address: .hostname(settings.host, port: settings.port), serverName: "keyweave"),
      onServerRunning: { [self] channel in
        bound.withLock { $0 = channel.localAddress?.port }
        ready.signal()
      }, logger: Logger(label: "clients", factory: { _ in SwiftLogNoOpLogHandler() }))
    task.withLock {
      $0 = Task {
        do {
          try await application.run()
        } catch {
          failure.reason.withLock { $0 = "\(error)" }
          ready.signal()
        }
      }
    }
    guard ready.wait(timeout: .now() + 10) == .success, failure.reason.withLock({ $0 == nil }) else {
      let reason = failure.reason.withLock { $0 } ?? "no answer within 10 s"
      stop()
      throw KeyAgentError(
        "clients.listen: \(settings.host):\(settings.port) cannot be listened on (\(reason)); choose a free port of an "
          + "address of this machine")
    }
  }

  package func stop() {
    task.withLock { task in
      task?.cancel()
      task = nil
    }
  }

  private func serve(
    _ request: Request, _ context: PeerContext,
    _ body: @Sendable (PeerIdentity, ConnectionRequest) throws -> ConnectionAnswer
  ) async throws -> Response {
    let peer: PeerIdentity
    do {
      peer = try await PeerIdentity.peer(of: context.channel).get()
    } catch {
      return try Self.response(403, APIError(error: "unauthorized", message: "\(error)"))
    }
    guard take(peer.id) else {
      return try Self.response(
        429, APIError(error: "rate", message: "found more than \(Self.requestsPerSecond) requests in a second; wait"))
    }
    let parsed: ConnectionRequest
    do {
      let octets = try await request.body.collect(upTo: Self.sizeLimit)
      parsed = try JSONDecoder().decode(ConnectionRequest.self, from: Data(octets.readableBytesView))
    } catch is NIOTooManyBytesError {
      return try Self.response(413, APIError(error: "size", message: "expected at most \(Self.sizeLimit) octets"))
    } catch {
      return try Self.response(400, APIError(error: "body", message: "expected a connection request as JSON"))
    }
    do {
      return try Self.response(200, try body(peer, parsed))
    } catch let refusal as ConnectionRefusal {
      return try Self.response(refusal.status, refusal.error)
    }
  }

  /// So many requests of one client in a second.
  private func take(_ id: SPIFFEID) -> Bool {
    let now = NodeSystem.clock()
    return rates.withLock { rates in
      if rates.count > 4096 { rates = rates.filter { $0.value.second == now } }
      var rate = rates[id] ?? (now, 0)
      if rate.second != now { rate = (now, 0) }
      rate.count += 1
      rates[id] = rate
      return rate.count <= Self.requestsPerSecond
    }
  }

  private static func response(_ status: Int, _ body: some Encodable) throws -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let octets = try encoder.encode(body)
    return Response(
      status: .init(code: status), headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: .init(byteBuffer: ByteBuffer(bytes: octets)))
  }
}

/// Why a service ended.
private final class Failure: Sendable {
  let reason = Mutex<String?>(nil)
}

/// Keeps the connection, which knows the peer's certificate.
struct PeerContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }
}
