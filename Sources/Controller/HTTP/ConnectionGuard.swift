internal import Foundation
internal import HTTPTypes
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTPTypes
internal import NIOTLS
internal import Synchronization

/// Lets so many things happen per second, and more after a pause.
struct TokenBucket: Sendable {
  let rate: Double
  let burst: Double
  private var tokens: Double
  private var last: Double

  init(rate: Int, burst: Int, at time: Double) {
    self.rate = Double(rate)
    self.burst = Double(burst)
    tokens = Double(burst)
    last = time
  }

  mutating func take(at time: Double) -> Bool {
    tokens = min(burst, tokens + max(0, time - last) * rate)
    last = time
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }

  /// Nothing was taken for so long that a new one would be the same.
  func isFull(at time: Double) -> Bool { tokens + max(0, time - last) * rate >= burst }

  /// Seconds of a clock that nobody sets.
  static var now: Double { ProcessInfo.processInfo.systemUptime }
}

/// How often peers may ask.
final class RateLimits: Sendable {
  private struct Buckets {
    var connections: TokenBucket
    var strangers: TokenBucket
    var peers: [String: TokenBucket] = [:]
  }

  private let limits: ControllerLimits
  private let buckets: Mutex<Buckets>

  init(_ limits: ControllerLimits) {
    self.limits = limits
    let now = TokenBucket.now
    buckets = Mutex(
      Buckets(
        connections: TokenBucket(rate: limits.connectionsPerSecond, burst: limits.connectionBurst, at: now),
        strangers: TokenBucket(rate: limits.strangersPerSecond, burst: limits.strangersPerSecond, at: now)))
  }

  func mayConnect() -> Bool { buckets.withLock { $0.connections.take(at: TokenBucket.now) } }

  /// Nil: peers that are nobody, all together.
  func mayAsk(_ peer: String?) -> Bool {
    let now = TokenBucket.now
    return buckets.withLock { buckets in
      guard let peer else { return buckets.strangers.take(at: now) }
      if buckets.peers.count > 50_000 { buckets.peers = buckets.peers.filter { !$0.value.isFull(at: now) } }
      return buckets.peers[
        peer, default: TokenBucket(rate: limits.requestsPerSecond, burst: limits.requestBurst, at: now)
      ].take(at: now)
    }
  }
}

/// Refuses connections that come too fast, before TLS sees them.
struct GuardedChannel<Base: ServerChildChannel>: ServerChildChannel {
  let base: Base
  let rates: RateLimits

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
    guard rates.mayConnect() else {
      channel.close(promise: nil)
      return channel.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel)
    }
    return base.setup(channel: channel, logger: logger)
  }

  func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

/// Gives the TLS handshake, each request and each answer their time, and ends the connection after an answer that could not wait for the
/// request's rest.
final class RequestDeadline: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let handshake, request, answer: TimeAmount
  private var shaking: Scheduled<Void>?
  private var reading: Scheduled<Void>?
  private var writing: Scheduled<Void>?
  private var isClosing = false

  init(_ limits: ControllerLimits) {
    handshake = .seconds(Int64(limits.handshakeSeconds))
    request = .seconds(Int64(limits.requestSeconds))
    answer = .seconds(Int64(limits.answerSeconds))
  }

  private func closing(after limit: TimeAmount, _ context: ChannelHandlerContext) -> Scheduled<Void> {
    let channel = context.channel
    return context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
  }

  func handlerAdded(context: ChannelHandlerContext) { shaking = closing(after: handshake, context) }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case TLSUserEvent.handshakeCompleted = event { shaking?.cancel() }
    context.fireUserInboundEventTriggered(event)
  }

  /// What still comes after the last answer stays in the kernel's buffers, and holds its sender up.
  func read(context: ChannelHandlerContext) {
    if !isClosing { context.read() }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head:
      reading?.cancel()
      reading = closing(after: request, context)
    case .body:
      // What still comes after the last answer is let go of.
      if isClosing { return }
    case .end:
      reading?.cancel()
      reading = nil
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head):
      writing?.cancel()
      writing = closing(after: answer, context)
      // A request that was answered before its end: the rest is not waited for.
      if reading != nil { head.headerFields[.connection] = "close" }
      if head.headerFields[.connection] == "close" { isClosing = true }
      if head.headerFields[.date] == nil { head.headerFields[.date] = Self.date() }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .body:
      context.write(data, promise: promise)
    case .end:
      let done = promise ?? context.eventLoop.makePromise(of: Void.self)
      let timer = writing
      writing = nil
      let channel = context.channel
      let isClosing = isClosing
      done.futureResult.whenComplete { _ in
        timer?.cancel()
        // A moment for the other end to read it, as closing with octets unread resets the connection.
        if isClosing { channel.eventLoop.scheduleTask(in: .milliseconds(200)) { channel.close(promise: nil) } }
      }
      context.write(data, promise: done)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    shaking?.cancel()
    reading?.cancel()
    writing?.cancel()
  }

  func channelInactive(context: ChannelHandlerContext) {
    shaking?.cancel()
    reading?.cancel()
    writing?.cancel()
    context.fireChannelInactive()
  }

  /// RFC 9110's form, for answers that the parser itself gives.
  static func date(_ time: Date = Date()) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "GMT")
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return formatter.string(from: time)
  }
}
