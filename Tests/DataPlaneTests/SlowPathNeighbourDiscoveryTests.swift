import DataPlane
import Testing
import Wire

@Suite struct SlowPathNeighbourDiscoveryTests {
  typealias Frames = SlowPathFrames
  typealias Bench = SlowPathBench

  @Test func aSolicitationIsAnsweredAndTeaches() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.solicitation) == .consumed)
    #expect(
      Set(bench.take()) == [.transmit(Frames.advertisement, port: 0), .publish(0, Bench.host6, Bench.hostMAC)])
    #expect(bench.state(of: Bench.host6) == .stale)
  }

  @Test func aUnicastOneWithoutOptionIsAnsweredAndTeachesNothing() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.solicitationUnicast) == .consumed)
    #expect(bench.take() == [.transmit(Frames.advertisement, port: 0)])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func duplicateAddressDetectionIsAnsweredToAllNodes() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.solicitationDAD) == .consumed)
    #expect(bench.take() == [.transmit(Frames.advertisementDAD, port: 0)])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func theLinkLocalAddressIsOursToo() {
    var bench = Bench()
    #expect(bench.neighbour(Frames.solicitationLinkLocal) == .consumed)
    #expect(
      Set(bench.take()) == [
        .transmit(Frames.advertisementLinkLocal, port: 0), .publish(0, Bench.address("fe80::5"), Bench.hostMAC),
      ])
  }

  @Test(arguments: [
    (Frames.solicitationForOther, PuntDisposition.consumed), (Frames.solicitationOffLink, .consumed),
    (Frames.advertised, .consumed), (Frames.advertisedUnsolicited, .consumed), (Frames.advertisedConflict, .consumed),
    (Frames.routerSolicitation, .consumed), (Frames.solicitationMapped, .dropped(.malformedFrame)),
    (Frames.solicitationMappedTarget, .dropped(.malformedFrame)),
    (Frames.solicitationHopLimit, .dropped(.malformedFrame)),
    (Frames.solicitationChecksum, .dropped(.malformedFrame)), (Frames.solicitationCode, .dropped(.malformedFrame)),
    (Frames.solicitationOptionZero, .dropped(.malformedFrame)),
    (Frames.solicitationOptionLong, .dropped(.malformedFrame)),
    (Frames.solicitationShort, .dropped(.malformedFrame)),
    (Frames.solicitationMulticastTarget, .dropped(.malformedFrame)),
    (Frames.solicitationDADWithOption, .dropped(.malformedFrame)),
    (Frames.solicitationDADUnicast, .dropped(.malformedFrame)),
    (Frames.solicitationMulticastSource, .dropped(.malformedFrame)),
    (Frames.solicitationMulticastMAC, .dropped(.malformedFrame)),
    (Frames.advertisedMulticastSolicited, .dropped(.malformedFrame)),
    (Array(Frames.solicitation.dropLast()), .dropped(.malformedFrame)),
  ])
  func isNeitherAnsweredNorBelieved(_ frame: [UInt8], _ disposition: PuntDisposition) {
    var bench = Bench()
    #expect(bench.neighbour(frame) == disposition)
    #expect(bench.take() == [])
    #expect(bench.path.entries(now: bench.now) == [])
  }

  @Test func aConflictIsCounted() {
    var bench = Bench()
    _ = bench.neighbour(Frames.advertisedConflict)
    #expect(bench.path.counters.addressConflicts == 1)
  }

  @Test func aPacketWaitsForTheAdvertisement() {
    var bench = Bench()
    #expect(bench.unresolved(Bench.host6, 1) == .held)
    #expect(bench.take() == [.transmit(Frames.ownSolicitation, port: 0)])
    #expect(bench.neighbour(Frames.advertisedWithoutOption) == .consumed)
    #expect(bench.take() == [], "it does not say where")
    #expect(bench.neighbour(Frames.advertised) == .consumed)
    #expect(
      bench.take() == [
        .publish(0, Bench.host6, Bench.hostMAC), .release(HeldPacket(rawValue: 1), Bench.hostMAC),
      ])
    #expect(bench.state(of: Bench.host6) == .reachable)
  }

  @Test func aLinkLocalNextHopIsAskedFromOurLinkLocalAddress() {
    var bench = Bench()
    #expect(bench.unresolved(Bench.address("fe80::5"), 1) == .held)
    #expect(bench.take() == [.transmit(Frames.ownSolicitationLinkLocal, port: 0)])
  }

  @Test func anOverrideMovesWhoIsKnownAndAHintOnlyCastsDoubt() {
    var bench = Bench()
    _ = bench.unresolved(Bench.host6, 1)
    _ = bench.neighbour(Frames.advertised)
    _ = bench.take()
    #expect(bench.neighbour(Frames.advertisedNoOverride) == .consumed)
    #expect(bench.take() == [])
    #expect(bench.mac(of: Bench.host6) == Bench.hostMAC)
    #expect(bench.state(of: Bench.host6) == .stale)
    #expect(bench.neighbour(Frames.advertisedUnsolicited) == .consumed)
    #expect(bench.take() == [.publish(0, Bench.host6, Bench.movedMAC)])
  }

  @Test func aNextHopIsProbedByUnicast() {
    var bench = Bench(nextHops: [NeighbourKey(port: 0, address: Bench.host6)], isQuiet: false)
    #expect(bench.take().first == .transmit(Frames.ownSolicitation, port: 0))
    _ = bench.neighbour(Frames.advertised)
    _ = bench.wait(29.9)
    #expect(bench.wait(0.2) == [.transmit(Frames.ownProbe, port: 0)])
    #expect(bench.neighbour(Frames.advertisedWithoutOption) == .consumed)
    #expect(bench.state(of: Bench.host6) == .reachable, "the answer to a unicast probe need not say where")
  }
}
