import Control
import DataPlane
import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Synchronization
import Wire

/// A pool's members, for a gateway outside the trust group: keys of one connection at a time.
final class ConnectionKeySource: KeySource, ConnectionSink {
  private struct State {
    var view: ConnectionView?
    var agent: ConnectionAgent?
    /// What the log has been told.
    var toldID: String?
    var toldProblem: String?
  }

  private let state = Mutex(State())
  private let name: String
  private let apply: @Sendable () throws -> Void

  init(_ settings: ConnectionSettings, name: String, apply: @escaping @Sendable () throws -> Void) throws {
    self.name = name
    self.apply = apply
    let agent = try ConnectionAgent(settings: settings, sink: self)
    state.withLock { $0.agent = agent }
  }

  private var agent: ConnectionAgent? { state.withLock { $0.agent } }

  /// Without keys every route drops: nothing leaves in clear before the pool has answered.
  func keys(for file: ConfigurationFile) -> InstalledKeys {
    state.withLock { state in InstalledKeys(groups: state.view.map { [$0.group] } ?? [], connection: state.view) }
  }

  func didApply(_ file: ConfigurationFile) {}
  func start(_ gateway: any RunningGateway) { agent?.start() }
  func stop() { agent?.stop() }
  var status: KeyAgentStatus? { nil }
  var connection: ConnectionStatus? { agent?.status }

  /// Each connection once, as its address is what hosts must have; and what is new among the problems.
  func tick() {
    guard let status = connection else { return }
    let (isNew, problem) = state.withLock { state in
      defer { (state.toldID, state.toldProblem) = (status.id, status.problem) }
      return (status.id != state.toldID, status.problem == state.toldProblem ? nil : status.problem)
    }
    if isNew, let id = status.id, let address = status.address {
      print("\(name): connection \(id), inner address \(address), from \(status.member ?? "the pool")")
      fflush(nil)
    }
    if let problem { StandardError.write("\(name): degraded: \(problem)\n") }
  }

  func install(_ connection: ConnectionView) throws {
    let old = state.withLock { state in
      defer { state.view = connection }
      return state.view
    }
    do {
      try apply()
    } catch {
      state.withLock { $0.view = old }
      throw error
    }
  }
}

extension Configuration {
  /// The plan under these keys: a client's connection, or a member's with the clients of its pool.
  func plan(_ keys: InstalledKeys) -> GatewayPlan {
    var plan = plan(groups: keys.groups, assignments: keys.assignments)
    if let connection = keys.connection {
      join(connection, &plan)
    } else {
      plan.clientPools = clientPools(keys.clients, groups: keys.groups)
    }
    return plan
  }

  private func join(_ connection: ConnectionView, _ plan: inout GatewayPlan) {
    plan.connection = .init(group: 0, id: connection.id, address: connection.address)
    plan.routes = plan.routes.map { route in
      guard case .seal(var sealing) = route.action else { return route }
      sealing.context = .connection
      return .init(prefix: route.prefix, action: .seal(sealing))
    }
    // The host with the connection's address is a neighbour, whatever the port's networks are.
    if let name = self.connection?.port, let port = ports.firstIndex(where: { $0.name == name }) {
      plan.routes.append(
        .init(prefix: IPPrefix(host: connection.address), action: .forward(port: port, via: connection.address)))
    }
  }
}

extension Configuration.Connection {
  func settings() throws -> ConnectionSettings {
    ConnectionSettings(
      tls: TLSFiles(certificate: certificate, key: key, authority: authority),
      pool: try pool.map { try $0.endpoint() }, group: group)
  }
}
