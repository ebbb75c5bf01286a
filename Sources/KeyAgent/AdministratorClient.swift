internal import AsyncHTTPClient
internal import Foundation
package import Identity
internal import NIOCore
internal import NIOHTTP1
internal import Rotation

/// An administrator's connection to one controller.
package final class AdministratorClient: Sendable {
  package enum Method: String, Sendable { case get = "GET", post = "POST", delete = "DELETE" }

  /// What came back that is no success, or that nothing came back.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    /// 0: no answer.
    package let status: Int
  }

  package let endpoint: ControllerEndpoint
  private let client: HTTPClient
  private static let sizeLimit = 64 << 20

  package init(_ endpoint: ControllerEndpoint, tls: TLSFiles) throws(IdentityError) {
    self.endpoint = endpoint
    let identity = try TLSIdentity(files: tls)
    var configuration = HTTPClient.Configuration(
      tlsConfiguration: identity.clientConfiguration(), redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(5)), ignoreUncleanSSLShutdown: false)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.http1_1ConnectionDebugInitializer = { channel in
      PeerIdentity.check(channel, is: endpoint.id, pins: endpoint.pin.map { [$0] } ?? [])
    }
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  package func shutdown() async { try? await client.shutdown() }

  /// - Parameter path: with its query, such as `/v1/members?id=spiffe%3A...`.
  /// - Returns: the answer's body.
  package func ask(_ method: Method, _ path: String, body: [UInt8]? = nil) async throws -> [UInt8] {
    var request = HTTPClientRequest(url: endpoint.url + path)
    request.method = HTTPMethod(rawValue: method.rawValue)
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: body))
    }
    let status: Int
    let octets: [UInt8]
    do {
      let response = try await client.execute(request, timeout: .seconds(30))
      octets = Array(try await response.body.collect(upTo: Self.sizeLimit).readableBytesView)
      status = Int(response.status.code)
    } catch {
      let place = endpoint.name == endpoint.url ? endpoint.url : "\(endpoint.name) (\(endpoint.url))"
      throw Failure(description: "\(place): \(Self.reason(error))", status: 0)
    }
    guard (200..<300).contains(status) else {
      let reason = (try? JSONDecoder().decode(APIError.self, from: Data(octets)))?.description
      throw Failure(description: "\(endpoint.name): \(reason ?? "the answer \(status)")", status: status)
    }
    return octets
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case let error as IdentityError: error.description
    case let error as HTTPClientError
    where [.connectTimeout, .deadlineExceeded, .readTimeout].contains(error):
      "found no answer, expected one within seconds; is the controller running and the address right?"
    case let error as HTTPClientError where error == .remoteConnectionClosed:
      "found a connection that the controller closed, expected an answer; look at its log: it may not trust this "
        + "certificate's authority"
    default:
      "found no connection (\(error)), expected a controller; is it running, the address right, and its certificate from "
        + "the authority named here?"
    }
  }
}
