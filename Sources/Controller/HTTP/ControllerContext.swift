internal import Foundation
internal import Hummingbird
internal import HTTPTypes
internal import Identity
internal import Logging
internal import NIOCore
internal import Rotation

/// A request with its connection, by which the peer is known.
struct ControllerContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  var caller: Caller?

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// Who asks; set before any route is reached.
  func known() throws -> Caller {
    guard let caller else { throw Refusal(403, "unauthorized", "found no peer, expected a member or an administrator") }
    return caller
  }

  func administrator() throws -> String {
    let caller = try known()
    guard caller.isAdministrator else {
      throw Refusal(
        403, "unauthorized",
        "found \(caller.peer.id), \(caller.peer.pin), expected an administrator named in this controller's configuration"
      )
    }
    return caller.peer.id.description
  }

  func member() throws -> PeerIdentity {
    let caller = try known()
    guard caller.isMember else {
      throw Refusal(
        403, "unauthorized",
        "found \(caller.peer.id), \(caller.peer.pin), expected a member by name and key; an administrator enrols it")
    }
    return caller.peer
  }
}

struct Caller: Sendable {
  let peer: PeerIdentity
  let isMember, isAdministrator: Bool
}

/// Finds out who asks, refuses strangers and those who ask too often, and gives every error the API's form.
struct Gatekeeper: RouterMiddleware {
  let registry: Registry
  let rates: RateLimits

  func handle(
    _ request: Request, context: ControllerContext, next: (Request, ControllerContext) async throws -> Response
  ) async throws -> Response {
    do {
      var context = context
      let peer: PeerIdentity
      do {
        peer = try await PeerIdentity.peer(of: context.channel).get()
      } catch {
        guard rates.mayAsk(nil) else { throw Self.tooMany }
        throw Refusal(403, "unauthorized", "\(error)")
      }
      let caller = Caller(
        peer: peer, isMember: await registry.isMember(peer), isAdministrator: registry.isAdministrator(peer))
      guard caller.isMember || caller.isAdministrator else {
        guard rates.mayAsk(nil) else { throw Self.tooMany }
        throw Refusal(
          403, "unauthorized", "found \(peer.id), \(peer.pin), expected a member or an administrator by name and key")
      }
      guard rates.mayAsk(peer.id.description) else { throw Self.tooMany }
      context.caller = caller
      return try await next(request, context)
    } catch let refusal as Refusal {
      return Self.answer(refusal)
    } catch let error as HTTPError {
      let word = error.status == .notFound ? "unknown" : error.status == .contentTooLarge ? "too-large" : "bad-request"
      return Self.answer(
        Refusal(
          error.status.code, word,
          error.body ?? "found \(request.method) \(quoted(request.uri.path)), expected a path of /v1/openapi.json"))
    } catch is CancellationError {
      return Self.answer(Refusal(503, "stopping", "the controller is stopping; ask again in a moment"))
    } catch {
      context.logger.error("\(request.method) \(request.uri.path): \(error)")
      return Self.answer(Refusal(500, "internal", "the controller could not do it; its log says why"))
    }
  }

  private static let tooMany = Refusal(
    429, "too-many", "found more requests than are allowed, expected fewer; slow down")

  static func answer(_ refusal: Refusal) -> Response {
    var response = JSONAnswer.make(refusal.error, status: HTTPResponse.Status(code: refusal.status))
    if refusal.status == 429 || refusal.status == 503 { response.headers[.retryAfter] = "1" }
    if refusal.status == 413 { response.headers[.connection] = "close" }
    return response
  }
}

enum JSONAnswer {
  static func make(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    guard let data = try? encoder.encode(value) else { return Response(status: .internalServerError) }
    return text(ByteBuffer(bytes: data), status: status)
  }

  static func text(_ buffer: ByteBuffer, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: buffer))
  }

  static var none: Response { Response(status: .noContent, headers: [.cacheControl: "no-store"]) }
}
