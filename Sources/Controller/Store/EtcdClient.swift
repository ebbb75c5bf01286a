internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import Synchronization

/// Why a request to etcd brought no answer.
enum EtcdError: Error {
  /// etcd refused it, and nothing was changed. The code is gRPC's.
  case refused(code: Int, message: String)
  /// Whether etcd did it is not known: no connection, no answer in time, or one that promises nothing.
  case failed(String)

  var message: String {
    switch self {
    case .refused(_, let message), .failed(let message): message
    }
  }

  /// `OUT_OF_RANGE`: the revision was compacted.
  var isCompacted: Bool { if case .refused(code: 11, _) = self { true } else { false } }
}

/// etcd's JSON gateway at several endpoints: one that fails is left for the next.
final class EtcdClient: Sendable {
  private let endpoints: [String]
  private let http: HTTPClient
  private let timeout: TimeAmount
  private let current = Mutex(0)

  init(_ settings: EtcdSettings) throws(StoreError) {
    guard !settings.endpoints.isEmpty else {
      throw .unavailable("found no endpoint of etcd, expected at least one URL such as https://10.0.0.1:2379")
    }
    endpoints = settings.endpoints.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    timeout = .milliseconds(settings.requestTimeout)
    var configuration = HTTPClient.Configuration()
    // Another endpoint is a better second try than the same one.
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.connect = timeout
    configuration.redirectConfiguration = .disallow
    configuration.httpVersion = .http1Only
    configuration.tlsConfiguration = try Self.tls(settings)
    http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  func shutdown() async { try? await http.shutdown() }

  private static func tls(_ settings: EtcdSettings) throws(StoreError) -> TLSConfiguration {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    if let authority = settings.authority { tls.trustRoots = .file(authority) }
    do {
      switch (settings.certificate, settings.key) {
      case (let certificate?, let key?):
        tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
        tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
      case (nil, nil): break
      default: throw StoreError.unavailable("found only one of certificate and key for etcd, expected both or neither")
      }
    } catch let error as StoreError {
      throw error
    } catch {
      throw .unavailable(
        "found no usable pair in \(settings.certificate ?? "") and \(settings.key ?? ""), expected PEM files for etcd: "
          + "\(error)")
    }
    return tls
  }

  /// Leaves the endpoint for the next, unless another request has done so.
  private func leave(_ index: Int) {
    current.withLock { if $0 == index { $0 = (index + 1) % endpoints.count } }
  }

  /// Asks once; a failure leaves open whether it was done.
  func once<Answer: Decodable & Sendable>(
    _ path: String, _ body: some Encodable & Sendable, as type: Answer.Type
  ) async throws(EtcdError) -> Answer {
    let index = current.withLock { $0 }
    let endpoint = endpoints[index]
    do {
      let request = try Self.request(endpoint + path, body)
      let (http, timeout) = (http, timeout)
      // The time-out of the library ends with the answer's head.
      return try await withThrowingTaskGroup(of: Answer.self) { group in
        group.addTask {
          let response = try await http.execute(request, timeout: timeout)
          let body = Data(try await response.body.collect(upTo: 64 << 20).readableBytesView)
          guard response.status == .ok else { throw Self.refusal(body, at: endpoint) }
          return try JSONDecoder().decode(Answer.self, from: body)
        }
        group.addTask {
          try await Task.sleep(nanoseconds: UInt64(timeout.nanoseconds))
          throw EtcdError.failed("\(endpoint) did not answer within \(timeout.nanoseconds / 1_000_000) ms")
        }
        defer { group.cancelAll() }
        guard let answer = try await group.next() else { throw EtcdError.failed(endpoint) }
        return answer
      }
    } catch let error as EtcdError {
      if case .failed = error { leave(index) }
      throw error
    } catch {
      leave(index)
      throw .failed("\(endpoint): \(error)")
    }
  }

  /// Asks until an endpoint answers, each at most twice: only for what may be done twice.
  func repeatedly<Answer: Decodable & Sendable>(
    _ path: String, _ body: some Encodable & Sendable, as type: Answer.Type
  ) async throws(EtcdError) -> Answer {
    var last = EtcdError.failed("")
    for attempt in 0..<2 * endpoints.count {
      do throws(EtcdError) {
        return try await once(path, body, as: type)
      } catch {
        if case .refused = error { throw error }
        last = error
      }
      if Task.isCancelled { break }
      // While a leader is elected every endpoint fails at once.
      if attempt % endpoints.count == endpoints.count - 1 { try? await Task.sleep(for: .milliseconds(100)) }
    }
    throw last
  }

  /// The lines of an answer that does not end, from the endpoint of this turn.
  func lines<Line: Decodable & Sendable>(
    _ path: String, _ body: some Encodable & Sendable, turn: Int, as type: Line.Type,
    each: @Sendable (Line) async throws -> Void
  ) async throws {
    let endpoint = endpoints[turn % endpoints.count]
    let response = try await http.execute(try Self.request(endpoint + path, body), timeout: timeout)
    var rest = ByteBuffer()
    for try await chunk in response.body {
      rest.writeImmutableBuffer(chunk)
      while let length = rest.readableBytesView.firstIndex(of: UInt8(ascii: "\n")).map({ $0 - rest.readerIndex }) {
        let line = Data(rest.readBytes(length: length + 1) ?? [])
        guard response.status == .ok else { throw Self.refusal(line, at: endpoint) }
        try await each(try JSONDecoder().decode(Line.self, from: line))
      }
      rest.discardReadBytes()
      guard rest.readableBytes < 64 << 20 else { throw EtcdError.failed("\(endpoint): found a line of over 64 MiB") }
    }
    guard response.status == .ok else { throw Self.refusal(Data(rest.readableBytesView), at: endpoint) }
  }

  private static func request(_ url: String, _ body: some Encodable & Sendable) throws -> HTTPClientRequest {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
    return request
  }

  /// Only these promise that nothing was done: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
  /// FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED.
  private static func refusal(_ body: Data, at endpoint: String) -> EtcdError {
    let refusal = try? JSONDecoder().decode(EtcdRefusal.self, from: body)
    let message = "\(endpoint): \(refusal?.message ?? "an answer that is not etcd's")"
    guard let code = refusal?.code, [3, 5, 7, 8, 9, 11, 12, 16].contains(code) else { return .failed(message) }
    return .refused(code: code, message: message)
  }
}
