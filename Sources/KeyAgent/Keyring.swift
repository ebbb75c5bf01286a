internal import Foundation
internal import Identity
internal import Keys
internal import Rotation
internal import Synchronization
internal import Vault

/// What the agent holds, in memory, in the sealed file and on the lcores; one change at a time.
///
/// Order of every change: it is checked as a whole, it is in the sealed file, the lcores have it and none of them what was
/// before; then it is acknowledged. What is dropped is erased when its last user lets go of it.
final class Keyring: Sendable {
  private struct State {
    var held: AgentState
    /// As it is in the file.
    var saved: AgentState?
    /// What the lcores have.
    var view = KeyView.nothing
    /// What may be told to each controller: of the last state that the lcores took.
    var acknowledgements: [String: [Acknowledgement]] = [:]
    /// The lcores took `held`; false until the first time, and when they refused it.
    var isInstalled = false
    var problem: String?
    /// Seconds that the counter record is ahead of the time that others have: groups wait.
    var recordAhead: Int64?
    var withheld: [String: String] = [:]
    var time: Int64
  }

  private let state: Mutex<State>
  private let settings: KeyAgentSettings
  private let sink: any KeySink
  private let file: SealedFile
  /// Told after every change of what is in force.
  private let observers = Mutex<[@Sendable (KeyView) -> Void]>([])

  init(settings: KeyAgentSettings, sink: any KeySink, file: SealedFile, member: SPIFFEID, time: Int64) throws {
    self.settings = settings
    self.sink = sink
    self.file = file
    var held = try AgentState.load(file, member: member) ?? AgentState(member: member)
    let saved = held
    for endpoint in settings.controllers where held.controllers[endpoint.name]?.id != endpoint.id {
      // Another controller under an old name: nothing of the old one's holds for it.
      held.controllers[endpoint.name] = HeldController(id: endpoint.id)
    }
    let authorities = settings.identityControllers
    for (name, controller) in held.controllers {
      // Who is no identity controller any more may give the numbers to another node.
      let assignment = authorities.contains(name) ? controller.nextAssignment ?? controller.assignment : nil
      held.controllers[name]?.assignment = assignment
      held.controllers[name]?.nextAssignment = nil
    }
    state = Mutex(State(held: held, saved: saved, time: time))
  }

  // MARK: Controllers

  /// The token of the last swap and the one for the next, which is in the file when this returns.
  func nextLease(at controller: String) throws -> LeaseRequest {
    try state.withLock { state in
      var held = state.held
      guard let entry = held.controllers[controller] else { throw KeyAgentError("\(controller): no such controller") }
      let next = entry.nextToken ?? Hex.encode((0..<32).map { _ in UInt8.random(in: 0...255) })
      held.controllers[controller]?.nextToken = next
      try save(held, &state)
      return LeaseRequest(shown: entry.token, next: next)
    }
  }

  /// Whether the last swap was sent, but its answer not seen: by this process or one before.
  func hasOpenLease(at controller: String) -> Bool {
    state.withLock { $0.held.controllers[controller]?.nextToken != nil }
  }

  func leaseGranted(_ request: LeaseRequest, by controller: String) {
    state.withLock { state in
      state.held.controllers[controller]?.token = request.next
      state.held.controllers[controller]?.nextToken = nil
    }
  }

  func token(at controller: String) -> String? { state.withLock { $0.held.controllers[controller]?.token } }

  func acknowledgements(to controller: String) -> [Acknowledgement] {
    state.withLock { $0.acknowledgements[controller] ?? [] }
  }

  /// Takes an answer over, or throws and changes nothing.
  ///
  /// - Returns: what the operator should know of it.
  func take(_ offer: Offer, from controller: String) throws -> String? {
    let (note, view) = try state.withLock { state in
      var held = state.held
      guard let old = held.controllers[controller] else { throw KeyAgentError("\(controller): no such controller") }
      var new = try old.taking(offer, at: state.time) { name in
        settings.shortestPeriod(of: RootKeyReference(controller: controller, name: name)).map { Int64($0) << 15 }
      }
      var note: String?
      if settings.identityControllers.contains(controller) {
        new.clients = offer.clients
        note = Self.assign(offer.assignment, to: &new)
      }
      held.controllers[controller] = new
      let problems = TrustGroup.problems(in: groups(of: held, &state.withheld))
      guard problems.isEmpty else {
        throw OfferRefusal("the groups", problems.map(\.description).joined(separator: "; "))
      }
      let view = try publish(held, &state)
      if let problem = state.problem { throw KeyAgentError(problem) }
      return (note, view)
    }
    notify(view)
    return note
  }

  private func notify(_ view: KeyView?) {
    guard let view else { return }
    for observer in observers.withLock({ $0 }) { observer(view) }
  }

  private static func assign(_ assignment: Assignment?, to held: inout HeldController) -> String? {
    guard let assignment else {
      return held.assignment == nil
        ? "it gave no device ID: enrol this node there as a member of a pool" : nil
    }
    guard let old = held.assignment else {
      held.assignment = assignment
      return nil
    }
    guard old != assignment else {
      held.nextAssignment = nil
      return nil
    }
    held.nextAssignment = assignment
    return "it calls this node device \(assignment.deviceID), member \(assignment.member) now, instead of "
      + "\(old.deviceID), \(old.member): restart to take that over"
  }

  // MARK: Time

  /// Once a second or so: ends what has expired, and tries again what the lcores or the disk refused.
  ///
  /// - Parameter time: Unix seconds that others have.
  func tick(at time: Int64) {
    let view: KeyView? = state.withLock { state in
      state.time = time
      var held = state.held
      for name in held.controllers.keys {
        for index in (held.controllers[name]?.series ?? []).indices {
          held.controllers[name]?.series[index].expire(at: time)
        }
      }
      let ahead = sink.nodeTime.map { Int64(clamping: $0) - time }.flatMap {
        $0 * 1000 > settings.clockTolerance ? $0 : nil
      }
      let isAheadChanged = (ahead == nil) != (state.recordAhead == nil)
      state.recordAhead = ahead
      guard held != state.held || !state.isInstalled || isAheadChanged else { return nil }
      do {
        return try publish(held, &state)
      } catch {
        state.problem = "\(error)"
        return nil
      }
    }
    notify(view)
  }

  // MARK: What others see

  var view: KeyView { state.withLock { $0.view } }

  /// Whether there is any key that was kept.
  var hasKeys: Bool {
    state.withLock { $0.held.controllers.values.contains { $0.series.contains { !$0.keys.isEmpty } } }
  }

  func onChange(_ body: @escaping @Sendable (KeyView) -> Void) {
    observers.withLock { $0.append(body) }
    body(view)
  }

  func section(_ name: String) -> [UInt8]? { state.withLock { $0.held.sections[name] } }

  func keep(_ octets: [UInt8], as section: String) throws {
    try state.withLock { state in
      var held = state.held
      held.sections[section] = octets
      try save(held, &state)
    }
  }

  func report<Result>(_ body: (AgentState, _ problem: String?, _ ahead: Int64?, _ withheld: [String: String]) -> Result)
    -> Result
  {
    state.withLock { body($0.held, $0.problem, $0.recordAhead, $0.withheld) }
  }

  // MARK: Changes

  /// Saves, then installs; a state that the lcores did not take stays in the file and is tried again.
  ///
  /// - Returns: what is in force now, when that changed.
  private func publish(_ held: AgentState, _ state: inout State) throws -> KeyView? {
    var held = held
    let groups = state.recordAhead == nil ? groups(of: held, &state.withheld) : []
    for group in groups {
      for key in group.rootKeys {
        let id = Hex.encode(key.id)
        held.sealed[id] = max(held.sealed[id] ?? 0, key.current.index)
      }
      held.periods[group.name] = SealedPeriod(
        seconds: group.epochPeriod,
        generations: Dictionary(group.rootKeys.map { (Hex.encode($0.id), $0.current.index) }) { $1 })
    }
    try save(held, &state)
    var expiries: [String: [UInt64: Int64]] = [:]
    for series in held.controllers.values.flatMap(\.series) { expiries[series.id] = series.keys.mapValues(\.expires) }
    let authorities = settings.groups.compactMap { group in
      group.identityController.flatMap { held.controllers[$0] }.map { (group.name, $0) }
    }
    let view = KeyView(
      groups: groups,
      assignments: Dictionary(authorities.compactMap { name, held in held.assignment.map { (name, $0) } }) { $1 },
      clients: Dictionary(authorities.map { ($0, $1.clients) }) { $1 }, expiries: expiries)
    let isChanged = !state.isInstalled || !view.isSame(as: state.view)
    if isChanged {
      do {
        try sink.install(view)
      } catch {
        state.isInstalled = false
        state.problem = "the lcores did not take the keys: \(error)"
        return nil
      }
    }
    state.view = view
    state.isInstalled = true
    state.problem = nil
    state.acknowledgements = held.controllers.mapValues { $0.series.filter(\.isOffered).map(\.acknowledgement) }
    return isChanged ? view : nil
  }

  private func save(_ held: AgentState, _ state: inout State) throws {
    if state.saved != held {
      try file.save(try held.document(for: file))
      state.saved = held
    }
    state.held = held
  }

  /// The groups that may be in force: all their root keys have a current generation, and this node has its numbers.
  ///
  /// - Parameter withheld: why the others are not.
  private func groups(of held: AgentState, _ withheld: inout [String: String]) -> [TrustGroup] {
    withheld = [:]
    return settings.groups.compactMap { group in
      if let authority = group.identityController, held.controllers[authority]?.assignment == nil {
        withheld[group.name] = "the identity controller \(authority) has not named this node yet"
        return nil
      }
      let missing = group.rootKeys.filter { held.rootKey($0) == nil }
      guard missing.isEmpty else {
        withheld[group.name] =
          "no current generation of \(missing.map(\.description).joined(separator: ", ")): nothing is sent or received"
        return nil
      }
      let keys = group.rootKeys.compactMap { held.rootKey($0) }
      if let old = held.periods[group.name], old.seconds != group.epochPeriod,
        keys.allSatisfy({ $0.current.index <= old.generations[Hex.encode($0.id)] ?? 0 })
      {
        withheld[group.name] =
          "found epoch_period \(group.epochPeriod) s, expected \(old.seconds) s until a root key has a newer generation: "
          + "rotate one, or restore the old value"
        return nil
      }
      return TrustGroup(
        name: group.name, isDefault: group.isDefault, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset,
        maxIOffset: group.maxIOffset, rootKeys: keys)
    }
  }
}
