import Foundation
import Identity
import Keys
import NIOCore
import NIOPosix
import NIOSSL
import Rotation
import Support
import Synchronization
import TestAuthority
import Vault

/// A controller that does what a test tells it, good or bad, over real TLS: written by hand, down to the octets.
final class ScriptedController: Sendable {
  struct Key {
    var index: UInt64
    var role: GenerationRole
    var key: SecretKey
    var notBefore: Int64
    var expires: Int64
  }

  struct Series {
    var name: String
    var id: String
    var level: String
    var floor: UInt64 = 1
    var keys: [Key]
  }

  /// How a request is answered.
  enum Reply {
    case json(Int, [UInt8])
    /// These octets as they are; then the connection ends, or an octet of white space follows every 100 ms.
    case raw([UInt8], drips: Bool)
  }

  struct Script: Sendable {
    var version: UInt64 = 1
    var series: [Series] = []
    var assignment: Assignment?
    var clients: [ClientRecord] = []
    /// Seconds by which its clock is off.
    var clockOffset: Int64 = 0
    var leaseSeconds = 30
    var leaseStatus = 200
    var rolledBack = false
    /// Changes an answer before it is sent.
    var corrupt: (@Sendable (inout KeySet) -> Void)?
    /// Answers polls instead.
    var instead: Reply?
    var polls: [KeyPoll] = []
    var leases: [LeaseRequest] = []
  }

  let name: String
  let id: SPIFFEID
  private let script: Mutex<Script>
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel
  private let isStopped = Atomic(false)

  init(_ name: String, _ authority: TestAuthority, certificate: String? = nil, script: Script) throws {
    self.name = name
    self.script = Mutex(script)
    id = try authority.id("controller/\(name)").unwrapped
    let issued = try authority.issue(certificate ?? "controller/\(name)", file: UUID().uuidString)
    let tls = try TLSIdentity(files: issued.files)
    let context = try NIOSSLContext(configuration: tls.serverConfiguration())
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let answerer = Answerer()
    channel = try ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
          try channel.pipeline.syncOperations.addHandler(RequestHandler(answerer: answerer))
        }
      }.bind(host: "127.0.0.1", port: 0).wait()
    answerer.controller.withLock { $0 = self }
  }

  /// Once or more often: an event loop that has ended answers nobody.
  func stop() {
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    try? channel.close().wait()
    group.shutdownGracefully { _ in }
  }

  var endpointURL: String { "https://127.0.0.1:\(channel.localAddress?.port ?? 0)" }

  func change(_ body: (inout Script) -> Void) {
    script.withLock { script in
      body(&script)
      script.version += 1
    }
  }

  /// Without a new version: how it answers, not what.
  func behave(_ body: (inout Script) -> Void) { script.withLock { body(&$0) } }

  func read<Result>(_ body: (Script) -> Result) -> Result { script.withLock { body($0) } }

  var acknowledged: Acknowledgement? { read { $0.polls.last?.acknowledgements.first } }

  // MARK: Answers

  fileprivate func answer(_ path: String, _ body: [UInt8]) async -> [UInt8] {
    let reply: Reply
    switch path {
    case "/v1/lease": reply = lease(body)
    case "/v1/keys": reply = await keys(body)
    default: reply = .json(404, [])
    }
    switch reply {
    case .json(let status, let body): return head(status, body.count) + body
    case .raw(let octets, _): return octets
    }
  }

  fileprivate var drips: Bool { read { if case .raw(_, true)? = $0.instead { true } else { false } } }

  func head(_ status: Int, _ length: Int) -> [UInt8] {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    let date = formatter.string(from: Date(timeIntervalSinceNow: Double(read { $0.clockOffset })))
    return Array(
      "HTTP/1.1 \(status) X\r\ndate: \(date)\r\ncontent-type: application/json\r\ncontent-length: \(length)\r\n\r\n"
        .utf8)
  }

  private func lease(_ body: [UInt8]) -> Reply {
    guard let request = try? JSONDecoder().decode(LeaseRequest.self, from: Data(body)) else { return .json(400, []) }
    let (status, grant) = script.withLock { script in
      script.leases.append(request)
      return (script.leaseStatus, LeaseGrant(expiresIn: script.leaseSeconds, rolledBack: script.rolledBack))
    }
    guard status == 200 else {
      return .json(status, Self.octets(APIError(error: "instance", message: "two instances")))
    }
    return .json(200, Self.octets(grant))
  }

  private func keys(_ body: [UInt8]) async -> Reply {
    guard let poll = try? JSONDecoder().decode(KeyPoll.self, from: Data(body)) else { return .json(400, []) }
    behave { $0.polls.append(poll) }
    let end = ContinuousClock.now + .seconds(poll.wait)
    while ContinuousClock.now < end {
      let script = read { $0 }
      if let reply = script.instead { return reply }
      if script.version != poll.version { return offer(script, to: poll.recipient) }
      try? await Task.sleep(for: .milliseconds(10))
    }
    return .json(204, [])
  }

  private func offer(_ script: Script, to recipient: PublicKeyJWK) -> Reply {
    guard let sender = try? KeySender(), let delivery = try? sender.agree(with: recipient) else {
      return .json(500, [])
    }
    let series = script.series.map { series in
      KeySeries(
        name: series.name, id: series.id, level: series.level, floor: series.floor,
        keys: series.keys.map { key in
          KeyObject(
            id: series.id, level: series.level, index: key.index, state: key.role,
            wrapped: (try? delivery.wrap(key.key)) ?? "", notBefore: key.notBefore, expires: key.expires,
            fingerprint: Fingerprint(of: key.key))
        })
    }
    var set = KeySet(
      version: script.version, epk: sender.publicKey, rootKeys: series, assignment: script.assignment,
      clients: script.clients)
    script.corrupt?(&set)
    return .json(200, Self.octets(set))
  }

  static func octets(_ value: some Encodable) -> [UInt8] { (try? JSONEncoder().encode(value)).map(Array.init) ?? [] }

  // MARK: Connections

  private final class Answerer: Sendable {
    let controller = Mutex<ScriptedController?>(nil)
  }

  private final class RequestHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let answerer: Answerer
    private var received: [UInt8] = []

    init(answerer: Answerer) { self.answerer = answerer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      received += Array(unwrapInboundIn(data).readableBytesView)
      let text = String(decoding: received, as: UTF8.self)
      guard let end = text.range(of: "\r\n\r\n") else { return }
      let head = text[..<end.lowerBound].lowercased()
      let length =
        head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
        .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
      let headLength = text[..<end.upperBound].utf8.count
      guard received.count >= headLength + length else { return }
      let body = Array(received[headLength..<headLength + length])
      let path = String(text.split(separator: " ").dropFirst().first ?? "")
      received = []
      let channel = context.channel
      Task { [answerer] in
        guard let controller = answerer.controller.withLock({ $0 }) else { return }
        let octets = await controller.answer(path, body)
        try? await channel.writeAndFlush(ByteBuffer(bytes: octets))
        guard case .raw? = controller.read({ $0.instead }), path == "/v1/keys" else { return }
        while controller.drips {
          try? await Task.sleep(for: .milliseconds(100))
          try? await channel.writeAndFlush(ByteBuffer(string: " "))
        }
        try? await channel.close()
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }
}

extension ScriptedController.Script {
  /// One root key at its first generation.
  static func first(
    _ name: String, _ level: RootKeyLevel, key: SecretKey? = nil, lifetime: Int64 = 86_400
  ) throws -> Self {
    let now = Int64(NodeSystem.clock())
    let id = (0..<16).map { _ in String(UInt8.random(in: 16...255), radix: 16) }.joined()
    var script = Self()
    script.series = [
      .init(
        name: name, id: id, level: level.description,
        keys: [
          .init(index: 1, role: .current, key: try key ?? .random(), notBefore: now - 10, expires: now + lifetime)
        ])
    ]
    return script
  }

  /// The next generation is there.
  mutating func stage(_ key: SecretKey) {
    let now = Int64(NodeSystem.clock())
    let newest = series[0].keys.last?.index ?? 0
    series[0].keys.append(
      .init(index: newest + 1, role: .next, key: key, notBefore: now - 10, expires: now + 86_400))
  }

  mutating func promote() {
    series[0].keys.removeAll { $0.role == .previous }
    for index in series[0].keys.indices {
      series[0].keys[index].role = series[0].keys[index].role == .current ? .previous : .current
    }
    series[0].floor = series[0].keys.first?.index ?? 0
  }
}

extension Optional {
  /// The value, or an error that fails the test.
  var unwrapped: Wrapped {
    get throws {
      guard let self else { throw CocoaError(.coderValueNotFound) }
      return self
    }
  }
}
