internal import Foundation
package import Identity
package import Keys
package import Rotation
internal import Synchronization
internal import Vault
package import Wire

/// A gateway that is an outside client, and the pool's members that it may ask.
package struct ConnectionSettings: Sendable {
  package var tls: TLSFiles
  /// Any of them serves; the next one when one does not.
  package var pool: [ControllerEndpoint]
  /// What the configuration's routes call the pool's group.
  package var group: String

  package init(tls: TLSFiles, pool: [ControllerEndpoint], group: String) {
    self.tls = tls
    self.pool = pool
    self.group = group
  }
}

/// What the lcores are to use of a connection.
package struct ConnectionView: Sendable {
  package var group: TrustGroup
  package var id: ConnectionID
  package var address: IPAddress
}

/// What uses the connection: the gateway. Called by one task at a time.
package protocol ConnectionSink: Sendable {
  /// Puts this in the place of what was before; returns when no lcore uses that any more.
  func install(_ connection: ConnectionView) throws
}

package struct ConnectionStatus: Codable, Sendable, Equatable {
  /// 16 hex digits; nothing before the first answer.
  package var id: String?
  /// The host that uses the connection must have this address.
  package var address: String?
  /// Where the last answer came from.
  package var member: String?
  /// Unix seconds: the last answer, the next renewal at the latest, the end of the keys.
  package var renewed, renew, expires: Int64?
  /// Where the pool's members take packets.
  package var members: [String]
  /// Why it is not renewed.
  package var problem: String?
}

/// The client's side: asks for a connection, renews it before it must, and gives its keys to the lcores.
package final class ConnectionAgent: Sendable {
  private struct State {
    var held: HeldConnection?
    /// The place in `pool` of the member to ask next.
    var turn = 0
    var failures = 0
    var member: String?
    var renewed: Int64?
    var problem: String?
    /// When to ask again, in Unix seconds.
    var due: Int64 = 0
  }

  private let settings: ConnectionSettings
  private let identity: TLSIdentity
  private let connections: [ControllerConnection]
  private let sink: any ConnectionSink
  private let clock: @Sendable () -> UInt64
  private let state = Mutex(State())
  private let task = Mutex<Task<Void, Never>?>(nil)

  package init(
    settings: ConnectionSettings, sink: any ConnectionSink,
    clock: @escaping @Sendable () -> UInt64 = { NodeSystem.clock() }
  ) throws {
    self.settings = settings
    self.sink = sink
    self.clock = clock
    let identity = try TLSIdentity(files: settings.tls)
    self.identity = identity
    connections = settings.pool.map { ControllerConnection($0, identity: identity) }
    state.withLock { $0.turn = settings.pool.isEmpty ? 0 : Int.random(in: settings.pool.indices) }
    identity.onChange { [connections] in connections.forEach { $0.renew() } }
  }

  package func start() {
    task.withLock {
      $0 = Task { [self] in
        while !Task.isCancelled {
          await step()
          let wait = pause
          try? await Task.sleep(for: .milliseconds(wait))
        }
      }
    }
  }

  package func stop() {
    let running = task.withLock { task in
      defer { task = nil }
      return task
    }
    running?.cancel()
    let done = DispatchSemaphore(value: 0)
    Task { [connections] in
      await running?.value
      for connection in connections { await connection.shutdown() }
      done.signal()
    }
    _ = done.wait(timeout: .now() + 5)
  }

  package var status: ConnectionStatus {
    state.withLock { state in
      ConnectionStatus(
        id: state.held.map { ConnectionText.id($0.id) }, address: state.held.map { "\($0.address)" },
        member: state.member, renewed: state.renewed, renew: state.held.map { _ in state.due },
        expires: state.held?.expires, members: state.held?.members ?? [], problem: state.problem ?? identity.problem)
    }
  }

  /// Milliseconds until the next step: a failure is tried again soon, at another member.
  private var pause: Int {
    let (failures, due) = state.withLock { ($0.failures, $0.due) }
    if failures > 0 { return Int.random(in: 200...400) << min(failures / max(settings.pool.count, 1), 4) }
    return max(200, min(1000, Int(clamping: due - Int64(clock())) * 1000))
  }

  /// One look at the clock: asks where it is time to, and lets go of what is over.
  package func step() async {
    let time = Int64(clock())
    let (held, due, failures) = state.withLock { ($0.held, $0.due, $0.failures) }
    if held == nil || time >= due || failures > 0 {
      await ask(held, at: time)
    } else if var left = held, left.expire(at: time) {
      put(left)
    }
  }

  private func ask(_ held: HeldConnection?, at time: Int64) async {
    guard !connections.isEmpty else { return }
    let turn = state.withLock { $0.turn } % connections.count
    let name = settings.pool[turn].name
    do {
      let recipient = try KeyRecipient()
      let path = held.map { "/v1/connections/\(ConnectionText.id($0.id))/renew" } ?? "/v1/connections"
      let answer = try await connections[turn].post(
        path, ConnectionRequest(recipient: recipient.publicKey, issued: held?.issued), within: 10)
      if answer.status == 409, held != nil {
        // Over, by its age: a new one takes its place; until it is there, the old one's keys stay.
        return await ask(nil, at: time)
      }
      guard answer.status == 200 else { throw KeyAgentError(answer.reason) }
      let parsed = try JSONDecoder().decode(ConnectionAnswer.self, from: Data(answer.body))
      let new = try HeldConnection(parsed, recipient: recipient, renewing: held, at: time)
      try install(new)
      state.withLock { state in
        state.held = new
        state.failures = 0
        state.member = name
        state.renewed = time
        state.problem = clockProblem(parsed.time, at: time, period: new.group.epochPeriod)
        state.due = Self.due(new, at: time)
      }
    } catch {
      state.withLock { state in
        state.failures += 1
        state.turn = (turn + 1) % connections.count
        state.problem = "\(name): \(error)"
      }
      // Keys that are over go all the same.
      if var left = held, left.expire(at: time) { put(left) }
    }
  }

  /// A quarter of an epoch on, so that a rotation is noticed; and early in the last quarter, for the next epoch's keys.
  private static func due(_ held: HeldConnection, at time: Int64) -> Int64 {
    let quarter = Int64(held.group.epochPeriod) / 4
    let spread = Int64.random(in: 0...max(quarter / 4, 1))
    return min(time + quarter, held.renew > time ? held.renew + spread : time + quarter)
  }

  private func clockProblem(_ theirs: Int64, at time: Int64, period: Int) -> String? {
    let (difference, isBeyond) = theirs.subtractingReportingOverflow(time)
    guard isBeyond || difference.magnitude > UInt64(period) / 2 else { return nil }
    return
      "the clock is \(difference.magnitude) s \(theirs > time ? "behind" : "ahead of") the pool's, more than half an "
      + "epoch: set it"
  }

  private func put(_ held: HeldConnection) {
    do {
      try install(held)
      state.withLock { $0.held = held }
    } catch {
      state.withLock { $0.problem = "\(error)" }
    }
  }

  private func install(_ held: HeldConnection) throws {
    try sink.install(
      ConnectionView(group: try held.trustGroup(named: settings.group), id: held.id, address: held.address))
  }
}
