import Control
import DataPlane
import Foundation
import KeyAgent
import Keys
import Rotation
import Synchronization

/// Where a gateway's keys come from: a file, or controllers by way of a key agent. The service asks, and is told when there
/// is something new.
protocol KeySource: AnyObject, Sendable {
  /// The keys for a configuration that is about to be applied; throws what forbids it.
  func keys(for file: ConfigurationFile) throws -> InstalledKeys
  /// The gateway and these files are together now.
  func didApply(_ file: ConfigurationFile)
  /// The gateway runs: what was waiting for it may begin.
  func start(_ gateway: any RunningGateway)
  /// Every second.
  func tick()
  func stop()
  var status: KeyAgentStatus? { get }
  /// Of a gateway that is an outside client.
  var connection: ConnectionStatus? { get }
}

extension KeySource {
  var connection: ConnectionStatus? { nil }
}

/// What the lcores get of a source.
struct InstalledKeys {
  var groups: [TrustGroup]
  /// Who the node is in a group, by its name, where the configuration does not say it.
  var assignments: [String: Assignment] = [:]
  /// Outside clients of the node's pool, by the name of their group.
  var clients: [String: [ClientRecord]] = [:]
  /// Of a gateway that is such a client.
  var connection: ConnectionView?
}

/// A keys file: changes with a reload, and loses what has expired.
final class FileKeySource: KeySource {
  private struct State {
    var keys: KeysFile
    /// When the next generation ends its life.
    var nextExpiry: UInt64?
  }

  private let state: Mutex<State>
  private let name: String
  private let apply: @Sendable () throws -> Void

  private static var now: UInt64 { NodeSystem.clock() }

  init(_ keys: KeysFile, name: String, apply: @escaping @Sendable () throws -> Void) {
    state = Mutex(State(keys: keys))
    self.name = name
    self.apply = apply
  }

  func keys(for file: ConfigurationFile) throws -> InstalledKeys {
    guard let new = file.keys else { throw GatewayError("\(file.path) names no keys file") }
    let mistakes = new.mistakes(replacing: state.withLock { $0.keys })
    guard mistakes.isEmpty else { throw GatewayError(mistakes.map(\.description).joined(separator: "\n")) }
    return InstalledKeys(groups: new.groups(at: Self.now))
  }

  func didApply(_ file: ConfigurationFile) {
    guard let keys = file.keys else { return }
    state.withLock { $0 = State(keys: keys, nextExpiry: keys.nextExpiry(after: Self.now)) }
  }

  func start(_ gateway: any RunningGateway) {}
  func stop() {}
  var status: KeyAgentStatus? { nil }

  /// Generations whose life is over are erased, whether or not anyone reloads.
  func tick() {
    let isDue = state.withLock { state in
      guard let expiry = state.nextExpiry, expiry <= Self.now else { return false }
      state.nextExpiry = nil
      return true
    }
    guard isDue else { return }
    do {
      try apply()
      print("\(name): keys past their lifetime were erased; make new generations")
    } catch {
      StandardError.write("keys past their lifetime could not be erased: \(error)\n")
    }
    fflush(nil)
  }
}

/// A key agent: what it installs is kept here, so that a reload applies a new plan to the same keys.
final class AgentKeySource: KeySource, KeySink {
  private struct State {
    var keys = InstalledKeys(groups: [])
    var gateway: (any RunningGateway)?
    var agent: KeyAgent?
    var told: Set<String> = []
    /// The service for outside clients, where there is one.
    var door: ClientDoor?
  }

  private let state = Mutex(State())
  private let name: String
  private let apply: @Sendable () throws -> Void

  init(
    _ settings: KeyAgentSettings, _ configuration: Configuration, apply: @escaping @Sendable () throws -> Void
  ) throws {
    name = settings.name
    self.apply = apply
    let agent = try KeyAgent(settings: settings, sink: self)
    let door = try configuration.keyAgent?.clients.map {
      try ClientDoor($0, identity: configuration.identity, agent: agent)
    }
    state.withLock { state in
      state.agent = agent
      state.door = door
    }
  }

  private var agent: KeyAgent? { state.withLock { $0.agent } }
  private var keeper: RecordKeeper? { state.withLock { $0.gateway }?.keeper }

  // The gateway's side.

  /// No groups at first: the agent installs what it has when it knows what time it is.
  func keys(for file: ConfigurationFile) -> InstalledKeys { state.withLock { $0.keys } }

  func didApply(_ file: ConfigurationFile) {}

  func start(_ gateway: any RunningGateway) {
    state.withLock { $0.gateway = gateway }
    agent?.start()
  }

  /// What is new among the reasons to be degraded goes to the log, once; other seconds in it do not make it new.
  func tick() {
    guard let status else { return }
    func kind(_ reason: String) -> String { reason.filter { !$0.isNumber } }
    let new = state.withLock { state in
      defer { state.told = Set(status.reasons.map(kind)) }
      return status.reasons.filter { !state.told.contains(kind($0)) }
    }
    for reason in new { StandardError.write("\(name): degraded: \(reason)\n") }
  }

  /// Before the gateway ends: nothing is installed any more.
  func stop() {
    state.withLock { $0.door }?.stop()
    agent?.stop()
    state.withLock { $0.gateway = nil }
  }

  var status: KeyAgentStatus? { agent?.status }

  // The agent's side.

  func install(_ view: KeyView) throws {
    let old = state.withLock { state in
      defer { state.keys = InstalledKeys(groups: view.groups, assignments: view.assignments, clients: view.clients) }
      return state.keys
    }
    do {
      try apply()
    } catch {
      state.withLock { $0.keys = old }
      throw error
    }
  }

  func follow(_ time: ClockReference) { keeper?.follow(time) }
  func distrustRecord(atStart: Bool) {
    keeper?.distrust(atStart: atStart)
    do {
      try state.withLock { $0.door }?.distrust()
    } catch {
      StandardError.write("\(name): clients: \(error)\n")
    }
  }
  var nodeTime: UInt64? { keeper?.nodeTime }
}
