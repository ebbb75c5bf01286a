internal import Foundation
internal import Keys
internal import Rotation
internal import Synchronization
internal import Vault

/// One controller, for as long as the agent runs: lease, polls, and what the operator should know of it.
package final class ControllerSubscription: Sendable {
  /// How the last exchange went.
  enum State: String, Codable, Sendable {
    case starting, connected
    /// No answer, or none that is one.
    case unreachable
    /// It does not let this node in.
    case unauthorized
    /// What it offered was not taken over.
    case refused
    /// The lease's token was shown by another instance: nothing but the lease is asked for.
    case duplicate = "duplicate instance"
  }

  struct Report: Sendable {
    var state = State.starting
    /// Unix seconds.
    var lastContact: Int64?
    var reason: String?
    /// It said that this node was set back.
    var rolledBack = false
    /// It said that there are two of this node, and has granted no lease since.
    var hasTwin = false
  }

  /// Told of every answer's date; returns after it was acted upon.
  typealias Clock = @Sendable (_ date: String?) -> Void

  let endpoint: ControllerEndpoint
  private let connection: ControllerConnection
  private let keyring: Keyring
  private let sink: any KeySink
  private let delay: Duration
  private let answerTime: Int
  private let clock: Clock
  private let report = Mutex(Report())

  private static let poll = 30

  init(
    _ endpoint: ControllerEndpoint, connection: ControllerConnection, keyring: Keyring, sink: any KeySink,
    delay: Duration, answerTime: Int, clock: @escaping Clock
  ) {
    self.endpoint = endpoint
    self.connection = connection
    self.keyring = keyring
    self.sink = sink
    self.delay = delay
    self.answerTime = answerTime
    self.clock = clock
  }

  var status: Report { report.withLock { $0 } }

  func renewConnection() { connection.renew() }
  func shutdown() async { await connection.shutdown() }

  /// Until the task is cancelled.
  func run() async {
    report.withLock { $0.state = .starting }
    var renewal: ContinuousClock.Instant?
    var version: UInt64 = 0
    var failures = 0
    // A swap whose answer nobody saw is repeated first; a start's own swap follows.
    var swaps = keyring.hasOpenLease(at: endpoint.name) ? 2 : 1
    var isStart = true
    var leaseSeconds = 30
    while !Task.isCancelled {
      do {
        while swaps > 0 || renewal.map({ $0 <= .now }) ?? true {
          let seconds = try await lease(atStart: isStart)
          swaps = max(swaps - 1, 0)
          isStart = isStart && swaps > 0
          leaseSeconds = seconds
          renewal = .now + .milliseconds(max(seconds, 1) * 1000 / 3)
        }
        let left = renewal.map { $0 - .now } ?? .zero
        version = try await exchange(version: version, wait: min(Self.poll, max(1, Int(left.components.seconds))))
        failures = 0
      } catch {
        if Task.isCancelled { return }
        note(error)
        switch error {
        case Trouble.leaseLost: swaps = max(swaps, 1)
        // Until an administrator, who has ended the other instance, resets this node there: then it is let in.
        case Trouble.duplicate: (swaps, isStart) = (max(swaps, 1), false)
        default: break
        }
        failures += 1
        try? await Task.sleep(for: Self.pause(after: failures, lease: leaseSeconds))
      }
    }
  }

  /// Twice as long each time, up to ten seconds, of which half is chance: members do not come back all at once. And no
  /// more than a quarter of a lease, so that a controller that comes back finds everyone before it rotates.
  package static func pause(
    after failures: Int, lease seconds: Int = 60, chance: Double = Double.random(in: 0...1)
  ) -> Duration {
    let longest = min(10.0, max(0.5, Double(seconds) / 4), 0.1 * Double(1 << min(failures, 10)))
    return .milliseconds(Int(longest * (0.5 + chance / 2) * 1000))
  }

  // MARK: Exchanges

  private enum Trouble: Error, CustomStringConvertible {
    case unreachable(String)
    case unauthorized(String)
    case leaseLost(String)
    case refused(String)
    case duplicate(String)

    var description: String {
      switch self {
      case .unreachable(let text), .unauthorized(let text), .leaseLost(let text), .refused(let text),
        .duplicate(let text):
        text
      }
    }
  }

  private func ask(_ path: String, _ body: some Encodable & Sendable, within seconds: Int) async throws
    -> ControllerConnection.Answer
  {
    let answer: ControllerConnection.Answer
    do {
      answer = try await connection.post(path, body, within: seconds)
    } catch {
      if !Task.isCancelled { clock(nil) }
      throw Trouble.unreachable(Self.text(of: error))
    }
    clock(answer.date)
    report.withLock { $0.lastContact = Int64(NodeSystem.clock()) }
    return answer
  }

  private static func text(of error: any Error) -> String {
    let text = "\(error)"
    return text.contains("HTTPClientError") ? text.replacing("HTTPClientError.", with: "") : text
  }

  /// Swaps the lease's token.
  ///
  /// - Returns: the seconds that the lease lasts.
  private func lease(atStart: Bool) async throws -> Int {
    let request = try keyring.nextLease(at: endpoint.name)
    let answer = try await ask("/v1/lease", request, within: answerTime)
    switch answer.status {
    case 200:
      let grant = try decode(LeaseGrant.self, answer)
      keyring.leaseGranted(request, by: endpoint.name)
      report.withLock { $0.hasTwin = false }
      if grant.rolledBack {
        sink.distrustRecord(atStart: atStart)
        report.withLock { $0.rolledBack = true }
      }
      return grant.expiresIn
    case 409:
      let isKnown = report.withLock { report in
        defer { report.hasTwin = true }
        return report.hasTwin
      }
      // Its twin may seal with the same numbers: an epoch and counts of its own keep nonces apart.
      if !isKnown { sink.distrustRecord(atStart: atStart) }
      throw Trouble.duplicate(
        "another instance of this node took the lease (\(answer.reason)): a copied machine or a restored snapshot; stop one "
          + "of the two, then run `keyweave members reset` for this node, and it goes on by itself")
    default:
      throw trouble(answer)
    }
  }

  /// One poll, and what it brings.
  ///
  /// - Returns: the version that the next one names.
  private func exchange(version: UInt64, wait: Int) async throws -> UInt64 {
    let recipient = try KeyRecipient()
    guard let token = keyring.token(at: endpoint.name) else { throw Trouble.leaseLost("no lease") }
    let poll = KeyPoll(
      version: version, wait: wait, token: token, recipient: recipient.publicKey,
      acknowledgements: keyring.acknowledgements(to: endpoint.name))
    let answer = try await ask("/v1/keys", poll, within: wait + answerTime)
    switch answer.status {
    case 204:
      report.withLock { report in
        report.state = .connected
        if report.reason != nil, version > 0 { report.reason = nil }
      }
      return version
    case 200:
      let set = try decode(KeySet.self, answer)
      if delay > .zero { try await Task.sleep(for: delay) }
      let note: String?
      do {
        note = try keyring.take(try Offer(set, recipient: recipient), from: endpoint.name)
      } catch {
        throw Trouble.refused("not taken over, \(error)")
      }
      report.withLock { report in
        report.state = .connected
        report.reason = note
      }
      return set.version
    case 409:
      throw Trouble.leaseLost(answer.reason)
    default:
      throw trouble(answer)
    }
  }

  private func decode<Value: Decodable>(_: Value.Type, _ answer: ControllerConnection.Answer) throws -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(answer.body))
    } catch {
      throw Trouble.refused(
        "found an answer of \(answer.body.count) octets that is no \(Value.self), expected its JSON")
    }
  }

  private func trouble(_ answer: ControllerConnection.Answer) -> Trouble {
    switch answer.status {
    case 401, 403: .unauthorized("refused this node, \(answer.reason)")
    default: .unreachable("answered \(answer.reason)")
    }
  }

  private func note(_ error: any Error) {
    report.withLock { report in
      report.state =
        switch error {
        case Trouble.unauthorized: .unauthorized
        case Trouble.refused: .refused
        case Trouble.duplicate: .duplicate
        default: .unreachable
        }
      report.reason = "\(error)"
    }
  }
}
