internal import AsyncHTTPClient
internal import Foundation
internal import Identity
internal import NIOCore
internal import NIOHTTP1
internal import Rotation
internal import Synchronization

/// HTTPS to one controller: TLS 1.3, own certificate, the other end's SPIFFE ID checked before anything is sent.
final class ControllerConnection: Sendable {
  /// What came back, at most `sizeLimit` octets of it.
  struct Answer: Sendable {
    var status: Int
    var date: String?
    var body: [UInt8]

    /// Why it is no success, as the controller says it.
    var reason: String {
      if let error = try? JSONDecoder().decode(APIError.self, from: Data(body)) {
        return "\(status): \(Offer.shown(error.message))"
      }
      return "\(status)"
    }
  }

  struct TooSlow: Error, CustomStringConvertible {
    let seconds: Int
    var description: String { "no whole answer within \(seconds) s" }
  }

  static let sizeLimit = 1 << 20

  private let endpoint: ControllerEndpoint
  private let identity: TLSIdentity
  /// Made anew when the certificate or the authority changes.
  private let client = Mutex<HTTPClient?>(nil)

  init(_ endpoint: ControllerEndpoint, identity: TLSIdentity) {
    self.endpoint = endpoint
    self.identity = identity
  }

  /// The next request uses the certificate as it is then.
  func renew() {
    guard
      let old = client.withLock({ client in
        defer { client = nil }
        return client
      })
    else { return }
    // Requests under way end first.
    Task { try? await old.shutdown() }
  }

  func shutdown() async {
    let old = client.withLock { client in
      defer { client = nil }
      return client
    }
    try? await old?.shutdown()
  }

  private func current() -> HTTPClient {
    client.withLock { client in
      if let client { return client }
      var configuration = HTTPClient.Configuration(
        tlsConfiguration: identity.clientConfiguration(), redirectConfiguration: .disallow,
        timeout: .init(connect: .seconds(5)), ignoreUncleanSSLShutdown: false)
      configuration.httpVersion = .http1Only
      configuration.connectionPool.retryConnectionEstablishment = false
      configuration.http1_1ConnectionDebugInitializer = { [endpoint] channel in
        PeerIdentity.check(channel, is: endpoint.id, pins: endpoint.pin.map { [$0] } ?? [])
      }
      let made = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
      client = made
      return made
    }
  }

  /// - Parameter seconds: for everything, to the last octet of the answer.
  func post(_ path: String, _ body: some Encodable & Sendable, within seconds: Int) async throws -> Answer {
    var request = HTTPClientRequest(url: endpoint.url + path)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
    let client = current()
    return try await Self.limited(to: seconds) { [request] in
      let response = try await client.execute(request, deadline: .now() + .seconds(Int64(seconds)))
      let body = try await response.body.collect(upTo: Self.sizeLimit)
      return Answer(
        status: Int(response.status.code), date: response.headers.first(name: "date"),
        body: Array(body.readableBytesView))
    }
  }

  private static func limited<Result: Sendable>(
    to seconds: Int, _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
      group.addTask(operation: body)
      group.addTask {
        try await Task.sleep(for: .seconds(seconds))
        throw TooSlow(seconds: seconds)
      }
      defer { group.cancelAll() }
      guard let first = try await group.next() else { throw CancellationError() }
      return first
    }
  }
}
