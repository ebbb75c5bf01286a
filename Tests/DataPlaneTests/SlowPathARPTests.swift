import DataPlane
import Testing
import Wire

@Suite struct SlowPathARPTests {
  typealias Frames = SlowPathFrames
  typealias Bench = SlowPathBench

  @Test func aRequestForOurAddressIsAnsweredAndTeaches() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.arpRequest) == .consumed)
    #expect(
      Set(bench.take()) == [.transmit(Frames.arpReply, port: 0), .publish(0, Bench.host4, Bench.hostMAC)])
    #expect(bench.state(of: Bench.host4) == .stale)
    #expect(bench.path.counters.solicitationsAnswered == 1)
  }

  @Test func aProbeIsAnsweredAndTeachesNothing() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.arpProbe) == .consumed)
    #expect(bench.take() == [.transmit(Frames.arpProbeReply, port: 0)])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  /// A host that asks with its loopback's address.
  @Test func aRequestFromOffTheLinkIsAnsweredAndTeachesNothing() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.arpOffLink) == .consumed)
    #expect(bench.take() == [.transmit(Frames.arpOffLinkReply, port: 0)])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func aTaggedRequestIsAnsweredWithItsTag() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.arpTagged, port: 1) == .consumed)
    #expect(bench.take().contains(.transmit(Frames.arpTaggedReply, port: 1)))
  }

  @Test(arguments: [
    (Frames.arpForOther, 0, PuntDisposition.consumed),
    (Frames.arpFromBroadcast, 0, .consumed), (Frames.arpGratuitous, 0, .consumed), (Frames.arpMoved, 0, .consumed),
    (Frames.arpAnswer, 0, .consumed), (Frames.arpOwnLooped, 0, .consumed), (Frames.arpConflict, 0, .consumed),
    (Frames.arpMulticastSender, 0, .dropped(.malformedFrame)), (Frames.arpZeroSender, 0, .dropped(.malformedFrame)),
    (Frames.arpOwnMACSender, 0, .dropped(.malformedFrame)), (Frames.arpToOtherStation, 0, .dropped(.notForUs)),
    (Frames.arpWrongTag, 1, .dropped(.vlan)), (Frames.arpTwiceTagged, 1, .dropped(.vlan)),
    (Frames.arpTagged, 0, .dropped(.vlan)),
    (Frames.arpRequest, 1, .dropped(.vlan)), (Frames.arpRequest, 9, .dropped(.malformedFrame)),
    (Array(Frames.arpRequest.prefix(41)), 0, .dropped(.malformedFrame)), ([], 0, .dropped(.malformedFrame)),
  ])
  func isNeitherAnsweredNorBelieved(_ frame: [UInt8], _ port: Int, _ disposition: PuntDisposition) {
    var bench = Bench()
    #expect(bench.neighbour(frame, port: UInt16(port)) == disposition)
    #expect(bench.take() == [])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func aConflictIsCountedAndOurOwnEchoIsNot() {
    var bench = Bench()
    _ = bench.neighbour(Frames.arpOwnLooped)
    #expect(bench.path.counters.addressConflicts == 0)
    _ = bench.neighbour(Frames.arpConflict)
    #expect(bench.path.counters.addressConflicts == 1)
  }

  @Test func aPacketWaitsForTheAnswer() {
    var bench = Bench()
    #expect(bench.unresolved(Bench.host4, 1) == .held)
    #expect(bench.take() == [.transmit(Frames.arpOwnRequest, port: 0)])
    #expect(bench.neighbour(Frames.arpAnswer) == .consumed)
    #expect(
      bench.take() == [
        .publish(0, Bench.host4, Bench.hostMAC), .release(HeldPacket(rawValue: 1), Bench.hostMAC),
      ])
    #expect(bench.state(of: Bench.host4) == .reachable)
    // One that was on its way while the address was published.
    #expect(bench.unresolved(Bench.host4, 2) == .held)
    #expect(bench.take() == [.release(HeldPacket(rawValue: 2), Bench.hostMAC)])
    let counters = bench.path.counters
    #expect(counters.packetsHeld == 1 && counters.packetsReleased == 2 && counters.neighboursLearned == 1)
  }

  @Test func nobodyAnswers() {
    var bench = Bench()
    _ = bench.unresolved(Bench.host4, 1)
    let request = Bench.Event.transmit(Frames.arpOwnRequest, port: 0)
    #expect(bench.take() == [request])
    #expect(bench.wait(3.1) == [request, request, .drop(HeldPacket(rawValue: 1), .neighbourUnresolved)])
    #expect(bench.unresolved(Bench.host4, 2) == .dropped(.neighbourUnresolved))
    #expect(bench.path.counters.packetsUnresolved == 2)
    #expect(bench.path.counters.solicitationsSent == 3)
  }

  @Test func gratuitousARPMovesWhoIsKnown() {
    var bench = Bench()
    _ = bench.neighbour(Frames.arpRequest)
    _ = bench.take()
    #expect(bench.neighbour(Frames.arpMoved) == .consumed)
    #expect(bench.take() == [.publish(0, Bench.host4, Bench.movedMAC)])
  }

  @Test func requestsOnAVLANBearItsTag() {
    var bench = Bench()
    #expect(bench.unresolved(Bench.address("192.0.2.5"), 1, port: 1) == .held)
    #expect(bench.take() == [.transmit(Frames.arpOwnTaggedRequest, port: 1)])
  }

  @Test func aNextHopIsProbedByUnicast() {
    var bench = Bench(nextHops: [NeighbourKey(port: 0, address: Bench.host4)], isQuiet: false)
    #expect(bench.take().first == .transmit(Frames.arpOwnRequest, port: 0))
    _ = bench.neighbour(Frames.arpAnswer)
    _ = bench.wait(29.9)
    #expect(bench.wait(0.2) == [.transmit(Frames.arpOwnProbe, port: 0)])
    _ = bench.neighbour(Frames.arpAnswer)
    #expect(bench.state(of: Bench.host4) == .reachable)
  }

  @Test func aStaticNeighbourIsNeverTaughtBetter() {
    let port = Bench.port(
      0, ["10.1.0.1/24"], neighbours: [.init(address: Bench.host4, mac: Bench.movedMAC)])
    var bench = Bench(ports: [port], isQuiet: false)
    #expect(bench.take().first == .publish(0, Bench.host4, Bench.movedMAC))
    for frame in [Frames.arpRequest, Frames.arpAnswer, Frames.arpGratuitous] { _ = bench.neighbour(frame) }
    #expect(bench.mac(of: Bench.host4) == Bench.movedMAC)
    #expect(bench.take() == [.transmit(Frames.arpReply, port: 0)])
  }
}
