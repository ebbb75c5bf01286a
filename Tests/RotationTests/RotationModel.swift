import Rotation

/// The rotation of one root key in every order that a network, clocks and crashes can bring about: a breadth-first search
/// over all states within limits. What a controller and a member do is done by the code itself (`RotationState`,
/// `obstacles`, `MemberRotation`); the model adds the world between them.
///
/// A step of time is a second, the settling time; within it everything happens in every order, and a packet arrives before
/// it ends. Members send all the time, to each other, with every generation that an lcore of theirs may seal with. Polls
/// and answers are lost, come late, twice and in another order; an answer reaches only the process that asked (its key is
/// for one poll).
final class RotationModel {
  typealias World = RotationWorld

  struct Limits {
    var members = 2
    var generations: UInt64 = 3
    /// Polls and answers of one member under way.
    var messages = 1
    var revocations = 0
    /// Sealed files put back to what was in them before, or lost.
    var rollbacks = 0
    var removals = 0
    /// Members that are authorized from the start.
    var enrolled = 2
    /// Deaths of the controller between making a key and committing it.
    var attempts = 0
    /// A controller that starts may have lost what was acknowledged last.
    var losesAcknowledgements = false
    /// Where the search ends at the latest.
    var states = 8_000_000
  }

  /// A fault of the code or of the one who calls it, which the search must find.
  enum Mutation: CaseIterable {
    case acknowledgementsNotAwaited, notSettled, endedLeasesForgotten, answeredForgotten
    case acknowledgedBeforeSealed, acknowledgedBeforeLcores, offeredBeforeDurable
  }

  struct Outcome {
    var states = 0
    var transitions = 0
    /// What went wrong first, with the shortest way there.
    var violation: (what: String, trace: [String])?
    /// Where a fair network does not bring everybody together.
    var stuck: [String] = []
    var endings = 0
    var isComplete = true
    /// The highest generation that became current anywhere.
    var highest: UInt64 = 0
  }

  let limits: Limits
  let mutation: Mutation?
  private(set) var controllers: [(state: RotationState, keys: [UInt64: Fingerprint])] = []
  private(set) var rotations: [MemberRotation] = []
  /// Bits of the generations that a `MemberRotation` opens and seals with, and its acknowledgement.
  private var opens: [Int] = []
  private var seals: [Int] = []
  private var acknowledgements: [(staged: Int, promoted: Int)] = []
  private var taken: [Int: Int] = [:]
  private var gates: [RotationWorld.Packed: Bool] = [:]

  init(_ limits: Limits, mutation: Mutation? = nil) {
    self.limits = limits
    self.mutation = mutation
    _ = intern(MemberRotation())
    _ = intern(RotationState(createdAt: 0), Self.keys(1, 0))
  }

  private static func keys(_ generation: UInt64, _ attempt: Int) -> [UInt64: Fingerprint] {
    var keys: [UInt64: Fingerprint] = [:]
    let octets = [UInt8(truncatingIfNeeded: generation), UInt8(attempt)]
    keys[generation] = Fingerprint(octets + [UInt8](repeating: 0, count: 30))
    return keys
  }

  // MARK: The code under test, by numbers

  private func intern(_ rotation: MemberRotation) -> Int {
    if let known = rotations.firstIndex(of: rotation) { return known }
    rotations.append(rotation)
    opens.append(rotation.generations.reduce(0) { $0 | 1 << Int($1 - 1) })
    seals.append(rotation.current.map { 1 << Int($0 - 1) } ?? 0)
    acknowledgements.append((Int(rotation.acknowledgement.staged), Int(rotation.acknowledgement.promoted)))
    return rotations.count - 1
  }

  private func intern(_ state: RotationState, _ keys: [UInt64: Fingerprint]) -> Int {
    let kept = keys.filter { state.generations.contains($0.key) }
    if let known = controllers.firstIndex(where: { $0.state == state && $0.keys == kept }) { return known }
    controllers.append((state, kept))
    return controllers.count - 1
  }

  /// What the member's state becomes; -1: the offer is refused.
  private func take(_ rotation: Int, _ controller: Int) -> Int {
    let key = rotation << 8 | controller
    if let known = taken[key] { return known }
    var copy = rotations[rotation]
    let offer = controllers[controller].state.offer(controllers[controller].keys)
    let result = (try? copy.take(offer)) == nil ? -1 : intern(copy)
    taken[key] = result
    return result
  }

  private func mayPromote(_ world: World) -> Bool {
    let now: Int64 = 1_000_000
    var key = RotationWorld.Packed(common: UInt64(world.controller), first: 0, second: 0, third: 0)
    if world.members.first.enrolment == 1 { key.first = world.members.first.known }
    if world.members.second.enrolment == 1 { key.second = world.members.second.known }
    if world.members.third.enrolment == 1 { key.third = world.members.third.known }
    if let known = gates[key] { return known }
    let members = world.members.indices.map { world.members[$0] }.filter { $0.enrolment == 1 }
    let progress = members.enumerated().map { number, member in
      let leaseEnds = now + Int64(member.lease) * RotationState.settling
      var isConnected = MemberProgress.isConnected(leaseEnds: leaseEnds, wasAnswered: member.wasAnswered, at: now)
      if mutation == .endedLeasesForgotten { isConnected = member.wasAnswered && leaseEnds > now }
      return MemberProgress(
        member: "\(number)", isConnected: isConnected,
        staged: mutation == .acknowledgementsNotAwaited ? .max : UInt64(member.staged),
        promoted: mutation == .acknowledgementsNotAwaited ? .max : UInt64(member.promoted),
        acknowledgedAt: now - Int64(member.age) * RotationState.settling
          - (mutation == .notSettled ? RotationState.settling : 0))
    }
    let obstacles = controllers[world.controller].state.obstacles(at: now, members: progress, share: 0, stagedFor: 0)
    gates[key] = obstacles.isEmpty
    return obstacles.isEmpty
  }

  // MARK: Steps

  /// Who does what (-1: the controller, or time), to a number of the model's, and what comes of it.
  private typealias Found = (_ who: Int, _ what: StaticString, _ number: Int, World) -> Void

  var start: World {
    var world = World()
    world.revocations = limits.revocations
    world.rollbacks = limits.rollbacks
    world.removals = limits.removals
    world.members.count = limits.members
    for number in world.members.indices {
      var member = World.Member()
      member.enrolment = number < limits.enrolled ? 1 : 0
      member.lease = -1
      member.age = 1
      world.members[number] = member
    }
    return world
  }

  private func controllerSteps(_ world: World, _ found: Found) {
    let (state, keys) = controllers[world.controller]
    func committed(
      _ name: StaticString, _ state: RotationState, _ keys: [UInt64: Fingerprint],
      _ change: (inout World) -> Void = { _ in }
    ) {
      var after = world
      after.controller = intern(state, keys)
      if mutation != .offeredBeforeDurable || state.next == nil { after.durable = after.controller }
      change(&after)
      found(-1, name, 0, after)
    }
    if state.newest < limits.generations {
      var copy = state
      if let made = copy.stage(at: 0) {
        committed("stage", copy, keys.merging(Self.keys(made, world.attempt)) { $1 })
      }
    }
    if mayPromote(world) {
      var copy = state
      if copy.promote(at: 0) { committed("promote", copy, keys) }
    }
    if world.revocations > 0 {
      var copy = state
      copy.revoke(at: 0)
      committed("revoke", copy, keys) {
        $0.revocations -= 1
        $0.isDisturbed = true
      }
    }
    if world.durable != world.controller {
      var after = world
      after.durable = world.controller
      found(-1, "makes durable", 0, after)
    }
    for losesAcknowledgements in limits.losesAcknowledgements ? [false, true] : [false] {
      var after = world
      after.controller = world.durable
      if world.attempt < limits.attempts || mutation == .offeredBeforeDurable { after.attempt = 1 }
      for index in after.members.indices {
        after.members[index].age = 0
        after.members[index].wasAnswered = mutation != .answeredForgotten && after.members[index].lease > -1
        if losesAcknowledgements {
          after.members[index].staged = 0
          after.members[index].promoted = 0
        }
      }
      found(-1, losesAcknowledgements ? "dies and starts, acknowledgements lost" : "dies and starts", 0, after)
    }
  }

  private func memberSteps(_ world: World, _ index: Int, _ found: Found) {
    let member = world.members[index]
    func step(_ name: StaticString, _ number: Int = 0, _ change: (inout World.Member) -> Void) {
      var after = world
      change(&after.members[index])
      found(index, name, number, after)
    }
    if member.enrolment == 0 { return step("is enrolled") { $0.enrolment = 1 } }
    if member.enrolment == 2 { return }
    if world.removals > 0 {
      var after = world
      after.removals -= 1
      after.members[index] = World.Member()
      after.members[index].enrolment = 2
      found(index, "is removed", 0, after)
    }
    if member.lease == 1 {
      step("has its lease ended") {
        $0.lease = 0
        $0.loseContact()
      }
    } else {
      step("takes a lease") { Self.lease(&$0) }
    }
    // A poll repeats what is in the sealed file and on every lcore.
    let acknowledged = acknowledgements[mutation == .acknowledgedBeforeLcores ? member.sealed : member.table]
    let poll = World.Member.poll(staged: acknowledged.staged, promoted: acknowledged.promoted)
    let room = limits.messages - member.polls.count - member.answers.count
    if room > 0, member.lease > 0, !member.polls.contains(poll) {
      step("polls", poll) { $0.polls.insert(poll) }
    }
    for poll in member.polls {
      step("poll lost") { $0.polls.remove(poll) }
      for (twice, answered) in [(false, false), (false, true), (true, true)] {
        var after = world
        let answer = World.Member.answer(world.controller, underLease: true)
        if answered {
          guard !twice || room > 0, !member.answers.contains(answer) else { continue }
          after.members[index].answers.insert(answer)
          for (generation, key) in controllers[world.controller].keys {
            after.offered |= 1 << (UInt16(generation - 1) * 2 + UInt16(key.octets[1]))
          }
        }
        if !twice { after.members[index].polls.remove(poll) }
        Self.acknowledge(&after.members[index], poll)
        found(index, answered ? "has its poll answered" : "has its poll taken, the answer lost", poll, after)
      }
    }
    for answer in member.answers {
      step("answer lost") { $0.answers.remove(answer) }
      guard member.sealed == member.table else { continue }
      let result = take(member.sealed, answer >> 1 & 0xff)
      for twice in [false, true] {
        step(result < 0 ? "refuses an answer" : "seals an answer", answer) {
          if !twice { $0.answers.remove(answer) }
          guard result >= 0 else { return }
          self.seal(&$0, result, world.rollbacks > 0)
          if answer & 1 == 1 { $0.isJoining = true }
          if $0.sealed == $0.table { self.install(&$0) }
        }
      }
    }
    if member.sealed != member.table { step("every lcore has the table") { self.install(&$0) } }
    if member.sealed != member.table || member.answers.count > 0 {
      step("dies and starts") {
        $0.table = $0.sealed
        $0.answers = World.Messages()
        self.install(&$0)
      }
    }
    if world.rollbacks > 0 {
      for old in Set([0, member.sealedBefore]) where old != member.sealed {
        var after = world
        after.rollbacks -= 1
        after.members[index].sealed = old
        after.members[index].table = old
        after.members[index].answers = World.Messages()
        after.members[index].isInContact = false
        after.members[index].isJoining = false
        if after.rollbacks == 0 { for other in after.members.indices { after.members[other].sealedBefore = 0 } }
        found(index, "starts with an old sealed file", 0, after)
      }
    }
  }

  private static func lease(_ member: inout World.Member) {
    // What was asked and answered under the old lease does not count.
    member.loseContact()
    member.lease = 1
  }

  private static func acknowledge(_ member: inout World.Member, _ poll: Int) {
    let now: Int64 = 1_000_000
    var progress = MemberProgress(
      member: "", isConnected: true, staged: UInt64(member.staged), promoted: UInt64(member.promoted),
      acknowledgedAt: 0)
    progress.acknowledge(staged: UInt64(poll >> 4 & 15), promoted: UInt64(poll & 15), at: now)
    member.staged = Int(progress.staged)
    member.promoted = Int(progress.promoted)
    if progress.acknowledgedAt == now { member.age = 0 }
    member.wasAnswered = true
  }

  private func seal(_ member: inout World.Member, _ rotation: Int, _ remembers: Bool) {
    if mutation == .acknowledgedBeforeSealed {
      member.table = rotation
    } else {
      if remembers, member.sealed != rotation { member.sealedBefore = member.sealed }
      member.sealed = rotation
    }
  }

  private func install(_ member: inout World.Member) {
    if mutation == .acknowledgedBeforeSealed { member.sealed = member.table } else { member.table = member.sealed }
    if member.isJoining { member.isInContact = true }
    member.isJoining = false
  }

  /// A second: what was under way has arrived.
  private static func tick(_ world: inout World) {
    for index in world.members.indices {
      world.members[index].sending = 0
      world.members[index].age = 1
      if world.members[index].lease < 1 {
        world.members[index].lease = -1
        world.members[index].wasAnswered = false
      }
    }
  }

  /// Lets members in contact send; tells what no receiver in contact may miss.
  private func settle(_ world: inout World) -> String? {
    for index in world.members.indices where world.members[index].isInContact {
      world.members[index].sending |= seals[world.members[index].sealed] | seals[world.members[index].table]
    }
    for generation in 0..<8 where world.offered >> (UInt16(generation) * 2) & 3 == 3 {
      return "generation \(generation + 1) has two keys"
    }
    if world.isDisturbed {
      let current = controllers[world.controller].state.current.map { 1 << Int($0 - 1) } ?? 0
      world.isDisturbed = false
      for index in world.members.indices {
        let member = world.members[index]
        let isBehind = member.sealed != member.table || seals[member.table] != current
        let isReached = !isBehind || !member.isInContact && !member.isJoining
        if member.sending & ~current != 0 || !isReached { world.isDisturbed = true }
        // An answer from before still brings what is revoked to one that was not reached.
        let floor = controllers[world.controller].state.floor
        for answer in member.answers where controllers[answer >> 1 & 0xff].state.floor < floor {
          world.isDisturbed = true
        }
      }
      return nil
    }
    for receiver in world.members.indices where world.members[receiver].isInContact {
      let member = world.members[receiver]
      let held = opens[member.sealed] & opens[member.table]
      for sender in world.members.indices where sender != receiver && world.members[sender].enrolment == 1 {
        let other = world.members[sender]
        let missed = other.sending & ~held
        guard missed == 0 else {
          return "member \(receiver) cannot open generation \(missed.trailingZeroBitCount + 1) of member \(sender)"
        }
      }
    }
    return nil
  }

  // MARK: The search

  func search() -> Outcome {
    var outcome = Outcome()
    var queue: [World.Packed] = []
    var parents: [UInt32] = []
    var known: Set<World.Packed> = []
    var endings: Set<World.Packed> = []
    var begin = start
    _ = settle(&begin)
    queue.append(begin.packed)
    parents.append(0)
    known.insert(queue[0])
    var next = 0
    while next < queue.count, outcome.violation == nil {
      let world = World(queue[next])
      let current = next
      next += 1
      endings.insert(Self.ending(of: world).packed)
      steps(of: world) { _, _, _, found in
        guard outcome.violation == nil else { return }
        var after = found
        outcome.transitions += 1
        let violation = settle(&after)
        let packed = after.packed
        guard known.insert(packed).inserted else { return }
        queue.append(packed)
        parents.append(UInt32(current))
        if let violation { outcome.violation = (violation, trace(to: queue.count - 1, queue, parents)) }
      }
      if queue.count > limits.states {
        outcome.isComplete = false
        break
      }
    }
    outcome.states = queue.count
    outcome.highest = rotations.compactMap(\.current).max() ?? 0
    if outcome.violation == nil {
      outcome.endings = endings.count
      outcome.stuck = endings.compactMap { comesTogether(World($0)) }
    }
    return outcome
  }

  /// Long random runs, for what lies deeper than the search comes.
  func walk(seed: UInt64, runs: Int, length: Int) -> Outcome {
    var outcome = Outcome()
    var random = seed
    func next() -> UInt64 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return random >> 33
    }
    for _ in 0..<runs where outcome.violation == nil {
      var world = start
      var trace: [String] = []
      for _ in 0..<length where outcome.violation == nil {
        var successors: [(Int, StaticString, Int, World)] = []
        steps(of: world) { successors.append(($0, $1, $2, $3)) }
        let (who, what, number, chosen) = successors[Int(next() % UInt64(successors.count))]
        trace.append(describe(who, what, number))
        world = chosen
        outcome.transitions += 1
        if let violation = settle(&world) { outcome.violation = (violation, trace) }
      }
      outcome.endings += 1
      if outcome.violation == nil, let stuck = comesTogether(Self.ending(of: world)) { outcome.stuck.append(stuck) }
    }
    outcome.highest = rotations.compactMap(\.current).max() ?? 0
    return outcome
  }

  private func steps(of world: World, _ found: Found) {
    controllerSteps(world, found)
    for index in world.members.indices { memberSteps(world, index, found) }
    var later = world
    Self.tick(&later)
    found(-1, "a second", 0, later)
  }

  /// The names of the steps on the way, found again: keeping them for every state would cost more than the states.
  private func trace(to end: Int, _ queue: [World.Packed], _ parents: [UInt32]) -> [String] {
    var way = [end]
    while let last = way.last, last != 0 { way.append(Int(parents[last])) }
    way.reverse()
    return zip(way, way.dropFirst()).map { from, to in
      var name = "?"
      steps(of: World(queue[from])) { who, what, number, found in
        var after = found
        _ = settle(&after)
        if after.packed == queue[to] { name = describe(who, what, number) }
      }
      return name
    }
  }

  private func describe(_ who: Int, _ what: StaticString, _ number: Int) -> String {
    let actor = who < 0 ? "controller" : "member \(who)"
    if number >= 512 { return "\(actor) \(what): \(controllers[number >> 1 & 0xff].state.generations)" }
    if number >= 256 { return "\(actor) \(what): staged \(number >> 4 & 15), promoted \(number & 15)" }
    return "\(actor) \(what)"
  }

  /// What is left when everything under way is lost and all leases ended: from here a fair network must lead on.
  private static func ending(of world: World) -> World {
    var rest = world
    rest.isDisturbed = false
    rest.offered = 0
    for index in rest.members.indices {
      rest.members[index].polls = World.Messages()
      rest.members[index].answers = World.Messages()
      rest.members[index].sending = 0
      rest.members[index].sealedBefore = 0
      rest.members[index].isInContact = false
      rest.members[index].isJoining = false
      rest.members[index].lease = -1
      rest.members[index].age = 0
    }
    return rest
  }

  /// Nothing is lost any more: everybody has what the controller has, and a whole rotation succeeds. Else, what is wrong.
  private func comesTogether(_ beginning: World) -> String? {
    var world = beginning
    for index in world.members.indices where world.members[index].enrolment == 0 { world.members[index].enrolment = 1 }
    var rotations = 0
    for _ in 0..<12 {
      for index in world.members.indices where world.members[index].enrolment == 1 {
        for _ in 0..<2 {
          install(&world.members[index])
          Self.lease(&world.members[index])
          let acknowledged = acknowledgements[world.members[index].table]
          Self.acknowledge(
            &world.members[index], World.Member.poll(staged: acknowledged.staged, promoted: acknowledged.promoted))
          let result = take(world.members[index].sealed, world.controller)
          guard result >= 0 else { return "refused: \(describe(world))" }
          seal(&world.members[index], result, false)
          install(&world.members[index])
        }
        let acknowledged = acknowledgements[world.members[index].table]
        Self.acknowledge(
          &world.members[index], World.Member.poll(staged: acknowledged.staged, promoted: acknowledged.promoted))
        let target = controllers[world.controller].state.acknowledgement
        guard acknowledged.staged >= Int(target.staged), acknowledged.promoted >= Int(target.promoted) else {
          return "not in step: \(describe(world))"
        }
      }
      if rotations == 2 { return nil }
      Self.tick(&world)
      var (state, keys) = controllers[world.controller]
      if mayPromote(world) {
        guard state.promote(at: 0) else { return "nothing to promote: \(describe(world))" }
        rotations += 1
      } else if let made = state.stage(at: 0) {
        keys.merge(Self.keys(made, 0)) { $1 }
      }
      world.controller = intern(state, keys)
    }
    return "no rotation succeeds: \(describe(world))"
  }

  private func describe(_ world: World) -> String {
    "controller \(controllers[world.controller].state), members "
      + world.members.indices.map { world.members[$0] }
      .map { "\(rotations[$0.sealed]) acknowledged \($0.staged)/\($0.promoted)" }.joined(separator: "; ")
  }
}
