internal import Foundation
package import Identity
internal import Keys
internal import Synchronization
internal import Vault

/// The member's side of the key distribution: subscribes to every controller at once, keeps what it has in a sealed file,
/// and gives it to the lcores.
package final class KeyAgent: Sendable {
  package let settings: KeyAgentSettings
  package let identity: TLSIdentity
  let keyring: Keyring
  let clock: ControllerClock
  let subscriptions: [ControllerSubscription]
  private let sink: any KeySink
  private let tasks = Mutex<[String: Task<Void, Never>]>([:])

  /// Reads certificate and state; nothing is sent and nothing is installed before `start`. A certificate that has ended is no
  /// hindrance for a node that has keys.
  package init(settings: KeyAgentSettings, sink: any KeySink) throws {
    self.settings = settings
    self.sink = sink
    let identity = try TLSIdentity(files: settings.tls, evenIfEnded: true)
    self.identity = identity
    let file = SealedFile(path: settings.stateFile, key: try settings.wrappingKey.open())
    let keyring = try Keyring(
      settings: settings, sink: sink, file: file, member: identity.identity.id, time: Int64(NodeSystem.clock()))
    if let problem = identity.problem, !keyring.hasKeys { throw KeyAgentError(problem) }
    self.keyring = keyring
    let clock = ControllerClock(controllers: settings.controllers.map(\.name), tolerance: settings.clockTolerance)
    self.clock = clock
    subscriptions = settings.controllers.map { endpoint in
      ControllerSubscription(
        endpoint, connection: ControllerConnection(endpoint, identity: identity), keyring: keyring, sink: sink,
        delay: settings.delay, answerTime: settings.answerTime
      ) { date in
        clock.heard(endpoint.name, date: date)
        Self.follow(clock, keyring, sink)
      }
    }
    identity.onChange { [subscriptions] in
      for subscription in subscriptions { subscription.renewConnection() }
    }
  }

  /// Asks all controllers, and installs what the sealed file has as soon as the time is known: at once when one answers or
  /// none can be reached, else after three seconds.
  package func start() {
    tasks.withLock { tasks in
      tasks["clock"] = Task { [clock, keyring, sink] in
        while !Task.isCancelled {
          Self.follow(clock, keyring, sink)
          try? await Task.sleep(for: .milliseconds(500))
        }
      }
      for subscription in subscriptions {
        tasks[subscription.endpoint.name] = Task { await subscription.run() }
      }
    }
  }

  /// Asks for nothing more. The keys stay where they are, until the process or this object ends.
  package func stop() {
    let running = tasks.withLock { tasks in
      defer { tasks = [:] }
      return Array(tasks.values)
    }
    for task in running { task.cancel() }
    let done = DispatchSemaphore(value: 0)
    Task { [subscriptions] in
      for task in running { await task.value }
      for subscription in subscriptions { await subscription.shutdown() }
      done.signal()
    }
    _ = done.wait(timeout: .now() + 5)
  }

  /// The record first, as it may be ahead; then the time by which anything is sealed.
  private static func follow(_ clock: ControllerClock, _ keyring: Keyring, _ sink: any KeySink) {
    guard let reference = clock.reference() else { return }
    keyring.tick(at: Int64(clamping: reference.time()))
    sink.follow(reference)
  }

  // MARK: For the parts that serve others

  /// What is in force now.
  package var view: KeyView { keyring.view }

  /// Calls `body` now and after every change of what is in force, outside of any lock.
  package func onChange(_ body: @escaping @Sendable (KeyView) -> Void) { keyring.onChange(body) }

  /// What `keep` wrote last under this name.
  package func section(_ name: String) -> [UInt8]? { keyring.section(name) }

  /// Keeps octets in the sealed file; durable when it returns.
  package func keep(_ octets: [UInt8], as section: String) throws { try keyring.keep(octets, as: section) }
}
