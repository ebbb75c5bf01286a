import DataPlane
import Testing
import Wire

/// The state machine of RFC 5880, section 6.8, rule by rule; what comes out is read from the packets that it would send.
@Suite struct BFDSessionTests {
  static let millisecond: UInt64 = 1_000_000
  static let mine: UInt32 = 0x0A0B_0C0D
  static let theirs: UInt32 = 0x0102_0304

  /// A session and its clock.
  struct End {
    var session: BFDSession
    var now: UInt64 = 1_000_000 * millisecond

    init(interval: UInt32 = 50_000, multiplier: UInt8 = 3) {
      session = BFDSession(
        discriminator: mine, sourcePort: 50000, settings: .init(interval: interval, multiplier: multiplier), now: now)
    }

    /// What it would send now.
    var said: BFDPacket {
      var copy = session
      return copy.packet(isFinal: false, now: 0)
    }
    var state: BFDPacket.State { said.state }

    mutating func hear(
      _ state: BFDPacket.State, minTx: UInt32 = 50_000, minRx: UInt32 = 50_000, multiplier: UInt8 = 3,
      isPoll: Bool = false, isFinal: Bool = false, isDemand: Bool = false
    ) -> BFDSession.Answer {
      session.receive(
        BFDPacket(
          state: state, isPoll: isPoll, isFinal: isFinal, isDemand: isDemand, multiplier: multiplier,
          myDiscriminator: theirs, yourDiscriminator: mine, desiredMinTx: minTx, requiredMinRx: minRx), now: now)
    }

    /// Whether the other end must be told.
    mutating func hold(_ reason: BFDPacket.Diagnostic?) -> Bool { session.hold(reason, now: now) }

    /// Up, with the Poll Sequence that follows behind it.
    mutating func goUp() {
      _ = hear(.down)
      _ = hear(.up)
      _ = hear(.up, isFinal: true)
    }

    /// The times, in milliseconds, at which packets were sent by the clock; it is looked at every millisecond, as a neighbour
    /// that is silent unless `keepsAlive` says otherwise.
    mutating func wait(_ milliseconds: Int, keepsAlive: BFDPacket.State? = nil) -> [Int] {
      var times: [Int] = []
      for time in 1...milliseconds {
        now &+= millisecond
        if let keepsAlive, time % 50 == 0 { _ = hear(keepsAlive) }
        if session.tick(now: now) {
          _ = session.packet(isFinal: false, now: now)
          times.append(time)
        }
      }
      return times
    }
  }

  /// Section 6.8.6: what each state becomes on each received state, and the diagnostic with which Up and Init end.
  @Test(
    arguments: [
      (.down, .adminDown, .down), (.down, .down, .opening), (.down, .opening, .up), (.down, .up, .down),
      (.opening, .adminDown, .down), (.opening, .down, .opening), (.opening, .opening, .up), (.opening, .up, .up),
      (.up, .adminDown, .down), (.up, .down, .down), (.up, .opening, .up), (.up, .up, .up),
      (.adminDown, .adminDown, .adminDown), (.adminDown, .down, .adminDown), (.adminDown, .opening, .adminDown),
      (.adminDown, .up, .adminDown),
    ] as [(BFDPacket.State, BFDPacket.State, BFDPacket.State)])
  func transition(_ before: BFDPacket.State, _ received: BFDPacket.State, _ after: BFDPacket.State) {
    var end = End()
    switch before {
    case .down: break
    case .opening: _ = end.hear(.down)
    case .up: end.goUp()
    case .adminDown: _ = end.session.hold(.concatenatedPathDown, now: end.now)
    }
    #expect(end.state == before)
    let answer = end.hear(received)
    #expect(end.state == after)
    #expect(answer == (before == after ? .nothing : .update))
    if after == .down, before != .down { #expect(end.said.diagnostic == .neighbourDown) }
    if after == .up { #expect(end.said.diagnostic == .none) }
    #expect(end.said.yourDiscriminator == Self.theirs && end.said.myDiscriminator == Self.mine)
  }

  @Test func silenceEndsASession() {
    var end = End()
    end.goUp()
    // Three times the slower of what we take (50 ms) and what they send (120 ms).
    _ = end.hear(.up, minTx: 120_000)
    _ = end.wait(359)
    #expect(end.state == .up)
    let times = end.wait(1)
    #expect(end.state == .down && end.said.diagnostic == .timeExpired && times == [1])
    #expect(end.said.yourDiscriminator == 0 && end.said.desiredMinTx == 1_000_000)
    // The same in Init; in Down only the discriminator is forgotten.
    _ = end.hear(.down, multiplier: 2)
    #expect(end.state == .opening)
    _ = end.wait(100)
    #expect(end.state == .down && end.said.yourDiscriminator == 0)
    _ = end.hear(.up)
    #expect(end.state == .down && end.said.yourDiscriminator == Self.theirs)
    _ = end.wait(150)
    #expect(end.state == .down && end.said.yourDiscriminator == 0)
  }

  /// Section 6.8.3: a second until it is up. Section 6.8.7: up to a quarter less at random, every time.
  @Test func packetsAreJittered() {
    var end = End()
    func gaps(_ times: [Int]) -> [Int] { zip(times.dropFirst(), times).map { $0 - $1 } }
    let slow = gaps(end.wait(60_000))
    #expect(slow.allSatisfy { (750...1001).contains($0) } && Set(slow).count > 10, "\(slow)")
    end.goUp()
    let fast = gaps(end.wait(10_000, keepsAlive: .up))
    #expect(end.state == .up)
    #expect(fast.allSatisfy { (37...51).contains($0) } && Set(fast).count > 5, "\(fast)")
    #expect((200...267).contains(fast.count + 1))
    // A multiplier of 1: never later than at nine tenths.
    var single = End(interval: 100_000, multiplier: 1)
    single.goUp()
    let gaps1 = gaps(single.wait(10_000, keepsAlive: .up))
    #expect(gaps1.allSatisfy { (75...91).contains($0) }, "\(gaps1)")
  }

  @Test func aPollIsAnsweredAndEnds() {
    var end = End()
    end.goUp()
    #expect(end.hear(.up, isPoll: true) == .final)
    let final = end.session.packet(isFinal: true, now: end.now)
    #expect(final.isFinal && !final.isPoll && final.state == .up)
    // A change of state that comes with a poll is told in the same packet.
    #expect(end.hear(.down, isPoll: true) == .final)
    #expect(end.session.packet(isFinal: true, now: end.now).state == .down)
    // Going up made the session faster, which the other end must confirm.
    var other = End()
    _ = other.hear(.down)
    #expect(!other.said.isPoll && other.said.desiredMinTx == 1_000_000)
    _ = other.hear(.up)
    #expect(other.said.isPoll && other.said.desiredMinTx == 50_000)
    _ = other.hear(.up)
    #expect(other.said.isPoll)
    _ = other.hear(.up, isFinal: true)
    #expect(!other.said.isPoll)
  }

  /// Section 6.8.3: a slower transmission and a shorter detection time wait for the other end; the reverse does not.
  @Test func newIntervalsWaitForTheOtherEnd() {
    var end = End()
    end.goUp()
    _ = end.hear(.up, minTx: 10_000, minRx: 10_000)
    func detection(_ end: End) -> Int? {
      var copy = end
      for time in 1...2000 where copy.wait(1).count >= 0 && copy.state == .down { return time }
      return nil
    }
    #expect(end.session.transmitInterval == 50_000 && detection(end) == 150)
    end.session.change(.init(interval: 200_000, multiplier: 4), now: end.now)
    #expect(end.said.isPoll && end.said.desiredMinTx == 200_000 && end.said.requiredMinRx == 200_000)
    #expect(end.said.multiplier == 4)
    #expect(end.session.transmitInterval == 50_000, "slower only when they know")
    #expect(detection(end) == 600, "longer at once")
    _ = end.hear(.up, minTx: 10_000, minRx: 10_000, isFinal: true)
    #expect(end.session.transmitInterval == 200_000 && !end.said.isPoll)

    end.session.change(.init(interval: 20_000, multiplier: 3), now: end.now)
    #expect(end.session.transmitInterval == 20_000, "faster at once")
    #expect(detection(end) == 600, "shorter only when they know")
    // Changed once more before the answer: that answer says nothing of it.
    end.session.change(.init(interval: 15_000, multiplier: 3), now: end.now)
    _ = end.hear(.up, minTx: 10_000, minRx: 10_000, isFinal: true)
    #expect(end.said.isPoll && detection(end) == 600)
    _ = end.hear(.up, minTx: 10_000, minRx: 10_000, isFinal: true)
    #expect(!end.said.isPoll && detection(end) == 45)
    let before = end.said
    end.session.change(.init(interval: 15_000, multiplier: 3), now: end.now)
    #expect(end.said == before, "nothing changed")
  }

  @Test func theOtherEndSaysHowFast() {
    var end = End()
    end.goUp()
    _ = end.hear(.up, minRx: 300_000)
    #expect(end.session.transmitInterval == 300_000)
    // Slower after the next packet; faster within the new interval.
    #expect(end.wait(1000, keepsAlive: .up).count >= 15)
    _ = end.hear(.up, minRx: 0)
    #expect(end.wait(140) == [], "it wants no packets")
    _ = end.hear(.up)
    #expect(end.wait(51).count >= 1)
    // Demand mode: silence while both are up, except to poll.
    _ = end.hear(.up, isDemand: true)
    #expect(end.wait(140) == [])
    _ = end.hear(.up, isDemand: true)
    end.session.change(.init(interval: 60_000, multiplier: 3), now: end.now)
    #expect(end.wait(100).count >= 1)
  }

  /// Section 6.8.16, and 6.8.7: what changed is told at once, and again and again.
  @Test func heldDownForAReason() {
    var end = End()
    end.goUp()
    #expect(end.hold(.concatenatedPathDown) == true)
    #expect(end.hold(.concatenatedPathDown) == false, "told already")
    #expect(end.said.state == .adminDown && end.said.diagnostic == .concatenatedPathDown)
    #expect(end.hear(.up, isPoll: true) == .nothing && end.state == .adminDown)
    let times = end.wait(5000, keepsAlive: .down)
    // One more soon, as the clock had it due; then once a second.
    #expect(times.first.map { $0 <= 50 } == true && (5...8).contains(times.count), "\(times)")
    #expect(end.hold(.administrativelyDown) == true, "another reason is told")
    #expect(end.hold(nil) == true)
    #expect(end.said.state == .down && end.said.diagnostic == .none)
    #expect(end.hold(nil) == false)
    _ = end.hear(.down)
    #expect(end.hear(.up) == .update)
    #expect(end.state == .up)
  }

  /// The largest values that a packet can have, and random ones: nothing overflows, nothing is sent faster than asked.
  @Test func anyPacketIsSurvived() {
    var end = End()
    var random = SystemRandomNumberGenerator()
    let states = [BFDPacket.State.adminDown, .down, .opening, .up]
    let numbers: [UInt32] = [0, 1, 50_000, 1_000_000, .max]
    for step in 0..<20_000 {
      end.now &+= UInt64.random(in: 0...3_000_000_000, using: &random)
      let answer = end.hear(
        states[Int.random(in: 0...3, using: &random)], minTx: numbers[Int.random(in: 0...4, using: &random)],
        minRx: numbers[Int.random(in: 0...4, using: &random)], multiplier: [1, 3, 255][step % 3],
        isPoll: Bool.random(using: &random), isFinal: Bool.random(using: &random), isDemand: step % 7 == 0)
      if answer == .final { _ = end.session.packet(isFinal: true, now: end.now) }
      if step % 100 == 0 { _ = end.session.hold(step % 200 == 0 ? .forwardingPlaneReset : nil, now: end.now) }
      if end.session.tick(now: end.now) { _ = end.session.packet(isFinal: false, now: end.now) }
      #expect(end.session.due > end.now || end.session.due == .max)
      let packet = end.said
      var octets = [UInt8](repeating: 0, count: 24)
      var span = octets.mutableSpan
      var bytes = span.mutableBytes
      #expect(packet.write(into: &bytes) == 24)
      #expect(BFDPacket(octets.span.bytes) == packet, "what is sent is what may be received")
    }
  }
}
