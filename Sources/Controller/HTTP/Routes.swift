internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Rotation

/// `GET /v1/health`.
struct HealthReport: Codable, Sendable {
  var name: String
  /// `ok`, or `degraded` with `problem`.
  var status: String
  var problem: String?
  /// Of the store.
  var revision: UInt64
  var members, connected, waiting: Int
  /// Whether this node may rotate.
  var rotates: Bool
  /// Unix seconds when the server's certificate ends.
  var certificateExpires: Int64

  enum CodingKeys: String, CodingKey {
    case name, status, problem, revision, members, connected, waiting, rotates
    case certificateExpires = "certificate_expires"
  }
}

/// What is asked for by which path.
struct Routes: Sendable {
  let registry: Registry
  let limits: ControllerLimits
  let certificate: @Sendable () -> (expires: Date, problem: String?)

  func router(_ rates: RateLimits) -> Router<ControllerContext> {
    let router = Router(context: ControllerContext.self)
    router.add(middleware: Gatekeeper(registry: registry, rates: rates))
    let v1 = router.group("v1")
    v1.get("openapi.json") { _, _ in JSONAnswer.text(ByteBuffer(string: openAPIDocument)) }
    v1.get("health") { _, _ in JSONAnswer.make(await registry.health(certificate())) }
    addMemberRoutes(v1)
    addAdministratorRoutes(v1)
    addRotationRoutes(v1)
    return router
  }

  private func addMemberRoutes(_ v1: RouterGroup<ControllerContext>) {
    v1.post("lease") { request, context in
      let member = try context.member()
      return JSONAnswer.make(try await registry.lease(member, try await body(request)))
    }
    v1.delete("lease") { _, context in
      try await registry.release(try context.member())
      return JSONAnswer.none
    }
    v1.post("keys") { request, context in
      let member = try context.member()
      let poll: KeyPoll = try await body(request)
      guard let view = try await registry.poll(member, poll) else { return JSONAnswer.none }
      return JSONAnswer.make(try view.wrapped(for: poll.recipient))
    }
  }

  private func addAdministratorRoutes(_ v1: RouterGroup<ControllerContext>) {
    v1.get("members") { request, context in
      _ = try context.administrator()
      return JSONAnswer.make(await registry.memberReports(request.uri.queryParameters.get("id")))
    }
    v1.post("members") { request, context in
      let administrator = try context.administrator()
      return JSONAnswer.make(try await registry.enrol(try await body(request), by: administrator))
    }
    v1.delete("members") { request, context in
      try await registry.removeMember(try id(request), by: try context.administrator())
      return JSONAnswer.none
    }
    v1.post("members/reset") { request, context in
      try await registry.resetMember(try id(request), by: try context.administrator())
      return JSONAnswer.none
    }
    v1.get("clients") { _, context in
      _ = try context.administrator()
      return JSONAnswer.make(await registry.clientRecords())
    }
    v1.post("clients") { request, context in
      let administrator = try context.administrator()
      return JSONAnswer.make(try await registry.enrolClient(try await body(request), by: administrator))
    }
    v1.delete("clients") { request, context in
      try await registry.removeClient(try id(request), by: try context.administrator())
      return JSONAnswer.none
    }
    v1.get("acknowledgements") { _, context in
      _ = try context.administrator()
      return JSONAnswer.make(await registry.acknowledgementReports())
    }
    v1.get("audit") { request, context in
      _ = try context.administrator()
      let last = request.uri.queryParameters.get("last") ?? "100"
      guard let count = Int(last), (1...10_000).contains(count) else {
        throw Refusal.bad("found last=\(quoted(last)), expected 1 to 10000")
      }
      let lines = try await registry.store.auditLog(last: count).map { String(decoding: $0, as: UTF8.self) }
      return JSONAnswer.text(ByteBuffer(string: "[\(lines.joined(separator: ","))]"))
    }
  }

  private func addRotationRoutes(_ v1: RouterGroup<ControllerContext>) {
    v1.get("root-keys") { _, context in
      _ = try context.administrator()
      return JSONAnswer.make(await registry.reports())
    }
    for action in RotationAction.allCases {
      v1.post("root-keys/:name/\(action.rawValue)") { request, context in
        let administrator = try context.administrator()
        let name = try context.parameters.require("name")
        let command: RotationCommand = try await body(request, default: RotationCommand(force: false))
        return JSONAnswer.make(
          try await registry.rotate(name, action, force: command.force, by: administrator))
      }
    }
  }

  private func id(_ request: Request) throws -> String {
    guard let id = request.uri.queryParameters.get("id"), !id.isEmpty else {
      throw Refusal.bad("found no id, expected ?id= and a SPIFFE ID")
    }
    return id
  }

  private func body<Value: Decodable>(_ request: Request, default fallback: Value? = nil) async throws -> Value {
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limits.body { throw tooLarge }
    var request = request
    let buffer: ByteBuffer
    do {
      buffer = try await request.collectBody(upTo: limits.body)
    } catch is NIOTooManyBytesError {
      throw tooLarge
    } catch let error as HTTPError where error.status == .contentTooLarge {
      throw tooLarge
    }
    if buffer.readableBytes == 0, let fallback { return fallback }
    do {
      return try JSONDecoder().decode(Value.self, from: Data(buffer.readableBytesView))
    } catch {
      throw Refusal.bad(
        "found a body that is no \(Value.self) (\(Self.reason(error))); /v1/openapi.json says what it has")
    }
  }

  private var tooLarge: Refusal {
    Refusal(413, "too-large", "found a body of more than \(limits.body) octets, expected at most that")
  }

  /// Where, not what: a body's octets are nobody's business.
  private static func reason(_ error: any Error) -> String {
    func path(_ context: DecodingError.Context) -> String {
      context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    return switch error {
    case DecodingError.keyNotFound(let key, let context):
      "nothing at \((context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: "."))"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "another type at \(path(context))"
    case DecodingError.dataCorrupted(let context): "no such value at \(path(context))"
    default: "no JSON"
    }
  }
}

extension Registry {
  func health(_ certificate: (expires: Date, problem: String?)) async -> HealthReport {
    state.time = Self.now
    let problem = problem ?? certificate.problem
    let connected = state.members.names.count { state.isConnected($0) }
    return HealthReport(
      name: settings.name, status: problem == nil ? "ok" : "degraded", problem: problem, revision: state.revision,
      members: state.members.rows.count, connected: connected, waiting: waiting, rotates: await store.mayRotate(),
      certificateExpires: Int64(certificate.expires.timeIntervalSince1970))
  }
}
