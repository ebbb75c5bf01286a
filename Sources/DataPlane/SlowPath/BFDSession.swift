package import Wire

/// One end of a BFD session in asynchronous mode (RFC 5880, section 6.8): a pure state machine over packets and time.
///
/// Times are nanoseconds of a clock that does not go back; intervals, as in packets, microseconds. The owner sends what
/// `packet` gives whenever `tick`, `receive` or `hold` says so. Its variables have the RFC's names where the RFC has one.
package struct BFDSession: Sendable {
  /// What the operator sets; it may change while the session runs.
  package struct Settings: Hashable, Sendable {
    /// Microseconds between packets, in both directions, while the session is up.
    package var interval: UInt32
    /// Packets that must be lost before the other end calls the session down.
    package var multiplier: UInt8

    package init(interval: UInt32, multiplier: UInt8) {
      self.interval = interval
      self.multiplier = multiplier
    }
  }

  /// What the other end said last.
  struct Remote: Sendable {
    var state: BFDPacket.State
    var discriminator: UInt32
    var multiplier: UInt8
    var minTx: UInt32
    var minRx: UInt32
    var isDemand: Bool
  }

  /// What must be sent at once.
  package enum Answer: Hashable, Sendable { case nothing, update, final }

  /// Section 6.8.3: no end may be faster than this before the session is up. Microseconds.
  static let slowInterval: UInt32 = 1_000_000

  let discriminator: UInt32
  /// 49152 to 65535, and no other session's (RFC 5881, section 4).
  let sourcePort: UInt16
  private(set) var settings: Settings
  private(set) var state = BFDPacket.State.down
  private(set) var diagnostic = BFDPacket.Diagnostic.none
  private(set) var changed: UInt64
  /// How often it has left Up, and why it did last.
  private(set) var flaps: UInt64 = 0
  private(set) var lastFailure: BFDPacket.Diagnostic?
  /// Nothing after a detection time without packets.
  private(set) var remote: Remote?
  /// As packets say, and as used: some changes wait for the other end to know of them (section 6.8.3).
  private var desiredMinTx: UInt32
  private var requiredMinRx: UInt32
  private var usedMinTx: UInt32
  private var usedMinRx: UInt32
  private var isPolling = false
  /// Intervals changed during a Poll Sequence: its end says nothing about them.
  private var mustPollAgain = false
  private var received: UInt64 = 0
  private var expiry: UInt64 = .max
  private var sent: UInt64
  private var nextSend: UInt64
  /// The interval that `nextSend` was made with; nothing while no packets are sent by the clock.
  private var pace: UInt32?

  package init(discriminator: UInt32, sourcePort: UInt16, settings: Settings, now: UInt64) {
    self.discriminator = discriminator
    self.sourcePort = sourcePort
    self.settings = settings
    desiredMinTx = max(Self.slowInterval, settings.interval)
    usedMinTx = desiredMinTx
    requiredMinRx = settings.interval
    usedMinRx = requiredMinRx
    pace = desiredMinTx
    changed = now
    sent = now
    nextSend = now
  }

  /// Nothing is to be done before.
  package var due: UInt64 { min(expiry, nextSend) }

  /// Microseconds between packets sent, before jitter (section 6.8.2).
  package var transmitInterval: UInt32 { max(usedMinTx, remote?.minRx ?? 1) }

  /// Nanoseconds without a packet after which the other end is gone (section 6.8.4); nothing while it is not heard.
  package var detectionTime: UInt64? {
    remote.map { UInt64($0.multiplier) &* UInt64(max(usedMinRx, $0.minTx)) &* 1000 }
  }

  // MARK: What happens

  /// Takes a packet whose discriminator and addresses are the session's (section 6.8.6).
  package mutating func receive(_ packet: BFDPacket, now: UInt64) -> Answer {
    remote = Remote(
      state: packet.state, discriminator: packet.myDiscriminator, multiplier: packet.multiplier,
      minTx: packet.desiredMinTx, minRx: packet.requiredMinRx, isDemand: packet.isDemand)
    if packet.isFinal, isPolling { endPoll() }
    received = now
    let before = state
    switch (state, packet.state) {
    case (.adminDown, _): break
    case (.opening, .adminDown), (.up, .adminDown), (.up, .down): enter(.down, .neighbourDown, now: now)
    case (.down, .down): enter(.opening, diagnostic, now: now)
    case (.down, .opening), (.opening, .opening), (.opening, .up): enter(.up, .none, now: now)
    default: break
    }
    reschedule(now: now)
    if state == .adminDown { return .nothing }
    return packet.isPoll ? .final : state == before ? .nothing : .update
  }

  /// Time passes: whether a packet is due.
  package mutating func tick(now: UInt64) -> Bool {
    var isDue = now >= nextSend
    if now >= expiry {
      // Its discriminator is forgotten in every state (section 6.8.1).
      remote = nil
      if state == .up || state == .opening {
        enter(.down, .timeExpired, now: now)
        isDue = true
      }
      reschedule(now: now)
    }
    return isDue
  }

  /// Keeps the session administratively down for a reason, or no longer; whether the other end must be told at once
  /// (section 6.8.16).
  package mutating func hold(_ reason: BFDPacket.Diagnostic?, now: UInt64) -> Bool {
    if let reason {
      guard state != .adminDown || diagnostic != reason else { return false }
      enter(.adminDown, reason, now: now)
    } else {
      guard state == .adminDown else { return false }
      enter(.down, .none, now: now)
    }
    reschedule(now: now)
    return true
  }

  /// Takes new settings; the session goes on.
  package mutating func change(_ settings: Settings, now: UInt64) {
    guard settings != self.settings else { return }
    self.settings = settings
    adjustIntervals()
    reschedule(now: now)
  }

  // MARK: What is sent

  /// The packet to send now. One that is due by time is followed by the next after the interval.
  package mutating func packet(isFinal: Bool, now: UInt64) -> BFDPacket {
    if !isFinal, now >= nextSend {
      sent = now
      nextSend = pace.map { now &+ jittered($0) } ?? .max
    }
    return BFDPacket(
      state: state, diagnostic: diagnostic, isPoll: isPolling && !isFinal, isFinal: isFinal,
      multiplier: settings.multiplier, myDiscriminator: discriminator, yourDiscriminator: remote?.discriminator ?? 0,
      desiredMinTx: desiredMinTx, requiredMinRx: requiredMinRx)
  }

  /// What is due cannot be sent: it is due again at `time`.
  mutating func postpone(to time: UInt64) { nextSend = max(nextSend, time) }

  // MARK: Inside

  private mutating func enter(
    _ next: BFDPacket.State, _ diagnostic: BFDPacket.Diagnostic, now: UInt64
  ) {
    if state == .up {
      flaps &+= 1
      lastFailure = diagnostic
    }
    self.diagnostic = diagnostic
    state = next
    changed = now
    adjustIntervals()
  }

  /// Section 6.8.3: what is asked of the other end is slow until the session is up; while it is up, a slower transmission and
  /// a faster reception begin only when the other end knows of them.
  private mutating func adjustIntervals() {
    let desired = state == .up ? settings.interval : max(Self.slowInterval, settings.interval)
    let required = settings.interval
    if state != .up || desired < usedMinTx { usedMinTx = desired }
    if state != .up || required > usedMinRx { usedMinRx = required }
    guard desired != desiredMinTx || required != requiredMinRx else { return }
    desiredMinTx = desired
    requiredMinRx = required
    mustPollAgain = isPolling
    isPolling = true
  }

  private mutating func endPoll() {
    isPolling = mustPollAgain
    mustPollAgain = false
    if !isPolling { (usedMinTx, usedMinRx) = (desiredMinTx, requiredMinRx) }
  }

  /// Section 6.8.7: whether packets are sent by the clock.
  private var isPeriodic: Bool {
    guard let remote else { return true }
    return remote.minRx > 0 && !(remote.isDemand && state == .up && remote.state == .up && !isPolling)
  }

  /// After anything that intervals or times depend on. A shorter interval holds at once, a longer one after the next packet.
  private mutating func reschedule(now: UInt64) {
    expiry = detectionTime.map { received &+ $0 } ?? .max
    let interval = isPeriodic ? transmitInterval : nil
    guard interval != pace else { return }
    pace = interval
    nextSend = interval.map { max(now, min(nextSend, sent &+ jittered($0))) } ?? .max
  }

  /// Nanoseconds: up to a quarter less, and with a multiplier of 1 at least a tenth less (section 6.8.7).
  private func jittered(_ interval: UInt32) -> UInt64 {
    let share = UInt64.random(in: 750...(settings.multiplier == 1 ? 900 : 1000))
    return UInt64(interval) &* share
  }
}
