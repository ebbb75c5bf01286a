import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import Synchronization
import TestAuthority
import Testing
import Vault

/// A member under test: an agent with files of its own, and a sink that remembers what it was given.
final class Member {
  /// In the gateway's place.
  final class Sink: KeySink, Sendable {
    struct State {
      var views: [KeyView] = []
      var reference: ClockReference?
      var distrusts: [Bool] = []
      var nodeTime: UInt64?
      var refuses = false
      /// What the sealed file had when the keys came.
      var atInstall: (@Sendable (KeyView) -> Void)?
    }

    struct Refusal: Error {}

    let state = Mutex(State())

    func install(_ keys: KeyView) throws {
      let (refuses, look) = state.withLock { ($0.refuses, $0.atInstall) }
      if refuses { throw Refusal() }
      look?(keys)
      // One is enough: the keys of the others would live on here.
      state.withLock { $0.views = [keys] }
    }

    func follow(_ time: ClockReference) { state.withLock { $0.reference = time } }
    func distrustRecord(atStart: Bool) { state.withLock { $0.distrusts.append(atStart) } }
    var nodeTime: UInt64? { state.withLock { $0.nodeTime } }

    var groups: [TrustGroup] { state.withLock { $0.views.last?.groups ?? [] } }
    var assignments: [String: Assignment] { state.withLock { $0.views.last?.assignments ?? [:] } }
    var assignment: Assignment? { assignments["train"] }

    /// Of the first group: the generations of each root key.
    var numbers: [[UInt64?]] {
      groups.first.map { $0.orderedKeys.map { [$0.previous?.index, $0.current.index, $0.next?.index] } } ?? []
    }
  }

  let directory: URL
  let authority: TestAuthority
  let sink = Sink()
  var settings: KeyAgentSettings
  private(set) var agent: KeyAgent?

  init(_ controllers: [ScriptedController], authority: TestAuthority, identity: String? = nil, period: Int = 600) throws
  {
    self.authority = authority
    directory = authority.directory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let key = WrappingKeySource.file(directory.appending(path: "kek").path(percentEncoded: false))
    try key.create()
    settings = KeyAgentSettings(
      name: "member", tls: try authority.issue("dpu/host1", file: UUID().uuidString).files,
      controllers: controllers.map { ControllerEndpoint(name: $0.name, url: $0.endpointURL, id: $0.id) },
      groups: [
        AgentGroup(
          name: "train", isDefault: true, epochPeriod: period, maxCOffset: 16, maxIOffset: 0,
          rootKeys: controllers.map { RootKeyReference(controller: $0.name, name: $0.name) },
          identityController: identity)
      ],
      stateFile: directory.appending(path: "state").path(percentEncoded: false), wrappingKey: key,
      answerTime: 2)
  }

  func start() throws {
    let agent = try KeyAgent(settings: settings, sink: sink)
    self.agent = agent
    agent.start()
  }

  func stop() {
    agent?.stop()
    agent = nil
  }

  deinit { agent?.stop() }

  func controller(_ name: String) -> KeyAgentStatus.Controller? { agent?.status.controllers.first { $0.name == name } }
}

/// Waits until something holds; says what was awaited when it does not within some seconds.
func eventually(
  _ what: String, within seconds: Double = 10, at location: SourceLocation = #_sourceLocation,
  _ body: () throws -> Bool
) async rethrows {
  let end = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
  while ContinuousClock.now < end {
    if try body() { return }
    try? await Task.sleep(for: .milliseconds(10))
  }
  Issue.record("not within \(seconds) s: \(what)", sourceLocation: location)
}

/// Runs a test with an authority, and removes its files.
func withAuthority(_ body: (TestAuthority) async throws -> Void) async throws {
  let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  try await body(try TestAuthority(in: directory))
}
