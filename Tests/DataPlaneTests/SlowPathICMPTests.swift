import DataPlane
import Testing
import Wire

@Suite struct SlowPathICMPTests {
  typealias Frames = SlowPathFrames
  typealias Bench = SlowPathBench

  @Test(arguments: [
    (Frames.echo, Frames.echoReply), (Frames.echoPadded, Frames.echoPaddedReply),
    (Frames.echoOptions, Frames.echoOptionsReply), (Frames.echo6, Frames.echo6Reply),
    (Frames.echo6LinkLocal, Frames.echo6LinkLocalReply),
  ])
  func pingIsAnswered(_ request: [UInt8], _ reply: [UInt8]) {
    var bench = Bench()
    #expect(bench.echo(request) == .consumed)
    #expect(bench.take() == [.transmit(reply, port: 0)])
    #expect(bench.path.counters.echoAnswered == 1)
  }

  @Test func pingOnAVLANIsAnsweredWithItsTag() {
    var bench = Bench()
    #expect(bench.echo(Frames.echoTagged, port: 1, l3Offset: 18) == .consumed)
    #expect(bench.take() == [.transmit(Frames.echoTaggedReply, port: 1)])
  }

  @Test(arguments: [(Frames.openedEcho, Frames.openedEchoReply), (Frames.openedEcho6, Frames.openedEcho6Reply)])
  func pingThroughTheTunnelIsRouted(_ request: [UInt8], _ reply: [UInt8]) {
    var bench = Bench()
    #expect(bench.receive(request, PuntInfo(punt: .openedEcho, port: 1, fromProtected: true)) == .consumed)
    #expect(bench.take() == [.route(reply)])
  }

  @Test(arguments: [
    (Frames.echoFragment, DropReason.ownAddress), (Frames.echoFromBroadcast, .ownAddress),
    (Frames.echoFromMulticast, .ownAddress), (Frames.echoFromOurselves, .ownAddress), (Frames.timestamp, .ownAddress),
    (Frames.udpToUs, .ownAddress), (Frames.echoChecksum, .ownAddress), (Frames.echo6Checksum, .ownAddress),
    (Frames.echo6Fragment, .ownAddress), (Frames.echoToOther, .notForUs), (Frames.echoTagged, .malformedFrame),
    (Array(Frames.echo.prefix(40)), .malformedFrame), ([], .malformedFrame),
  ])
  func isNotAnswered(_ frame: [UInt8], _ reason: DropReason) {
    var bench = Bench()
    #expect(bench.echo(frame) == .dropped(reason))
    #expect(bench.take() == [])
  }

  /// A link-local address means something on its own link only.
  @Test func linkLocalAddressesDoNotReachThroughTheTunnel() {
    var bench = Bench()
    let echo = PuntInfo(punt: .openedEcho, port: 1, fromProtected: true)
    #expect(bench.receive(Frames.openedEcho6LinkLocal, echo) == .dropped(.notForUs))
    let expired = PuntInfo(punt: .hopLimit, port: 1, fromProtected: true)
    #expect(bench.receive(Frames.openedExpiredLinkLocal, expired) == .dropped(.hopLimit))
    #expect(bench.take() == [])
  }

  @Test func echoIsRateLimited() {
    var bench = Bench {
      $0.echoRate = 10
      $0.echoBurst = 4
    }
    for _ in 0..<100 { _ = bench.echo(Frames.echo) }
    #expect(bench.take().count == 4)
    #expect(bench.path.counters.echoRateLimited == 96)
    #expect(bench.echo(Frames.echo) == .dropped(.slowPathFull))
    _ = bench.wait(0.1)
    #expect(bench.echo(Frames.echo) == .consumed)
  }

  @Test(arguments: [
    (Frames.expired, Frames.timeExceeded), (Frames.expired6, Frames.timeExceeded6),
    (Frames.expired6LinkLocal, Frames.timeExceeded6LinkLocal),
  ])
  func theSourceHearsOfTheHopLimit(_ frame: [UInt8], _ error: [UInt8]) {
    var bench = Bench()
    #expect(bench.receive(frame, PuntInfo(punt: .hopLimit, port: 0, l3Offset: 14)) == .dropped(.hopLimit))
    #expect(bench.take() == [.transmit(error, port: 0)])
    #expect(bench.path.counters.timeExceededSent == 1)
  }

  @Test(arguments: [
    (Frames.large, 1420, Frames.fragmentationNeeded), (Frames.large6, 1400, Frames.packetTooBig),
  ])
  func theSourceHearsOfTheMTU(_ frame: [UInt8], _ mtu: Int, _ error: [UInt8]) {
    var bench = Bench()
    let info = PuntInfo(punt: .tooBig, port: 0, mtu: UInt16(mtu), l3Offset: 14)
    #expect(bench.receive(frame, info) == .dropped(.tooBig))
    #expect(bench.take() == [.transmit(error, port: 0)])
    #expect(bench.path.counters.tooBigSent == 1)
  }

  @Test func errorsBearTheTagOfTheirCause() {
    var bench = Bench()
    _ = bench.receive(Frames.expiredTagged, PuntInfo(punt: .hopLimit, port: 1, l3Offset: 18))
    #expect(bench.take() == [.transmit(Frames.timeExceededTagged, port: 1)])
  }

  /// No address of our own on either side: the packet's destination speaks.
  @Test func aBumpInTheWireAnswersAsTheDestination() {
    var bench = Bench()
    _ = bench.receive(Frames.large, PuntInfo(punt: .tooBig, port: 2, mtu: 1420, l3Offset: 14))
    #expect(bench.take() == [.transmit(Frames.bumpTimeExceeded, port: 2)])
  }

  @Test(arguments: [
    (Frames.openedExpired, Frames.openedTimeExceeded), (Frames.openedExpired6, Frames.openedTimeExceeded6),
  ])
  func errorsAboutOpenedPacketsAreRoutedFromTheClearSide(_ packet: [UInt8], _ error: [UInt8]) {
    var bench = Bench()
    let info = PuntInfo(punt: .hopLimit, port: 1, fromProtected: true)
    #expect(bench.receive(packet, info) == .dropped(.hopLimit))
    #expect(bench.take() == [.route(error)])
  }

  /// Between two domains the far end's address is what policies on the way back know, whatever the gateway's own are.
  @Test(arguments: [Frames.openedExpired, Frames.openedExpired6])
  func errorsAboutProxiedPacketsAreRoutedFromTheFarEnd(_ packet: [UInt8]) {
    var bench = Bench()
    let info = PuntInfo(punt: .hopLimit, port: 1, fromProtected: true, isProxied: true)
    #expect(bench.receive(packet, info) == .dropped(.hopLimit))
    guard case .route(let error)? = bench.take().first else {
      Issue.record("no error")
      return
    }
    let (source, destination) = packet[0] >> 4 == 4 ? (12..<16, 16..<20) : (8..<24, 24..<40)
    #expect(error[source] == packet[destination] && error[destination] == packet[source])
  }

  @Test func noMTUBelowTheSmallestIsEverTold() {
    var bench = Bench()
    _ = bench.receive(Frames.openedExpired, PuntInfo(punt: .tooBig, port: 1, mtu: 9, fromProtected: true))
    #expect(bench.take() == [.route(Frames.openedTooBig)])
    _ = bench.receive(Frames.large6, PuntInfo(punt: .tooBig, port: 0, mtu: 9, l3Offset: 14))
    guard case .transmit(let frame, _)? = bench.take().first else {
      Issue.record("no Packet Too Big")
      return
    }
    #expect(frame[58..<62] == [0, 0, 0x05, 0x00], "1280 after Ethernet, IPv6, type, code and checksum")
  }

  @Test(arguments: [Frames.expiredEcho, Frames.expired6Echo, Frames.expiredFirstFragment])
  func pingAndFirstFragmentsGetErrors(_ frame: [UInt8]) {
    var bench = Bench()
    _ = bench.receive(frame, PuntInfo(punt: .hopLimit, port: 0, l3Offset: 14))
    #expect(bench.path.counters.timeExceededSent == 1)
    #expect(bench.take().count == 1)
  }

  @Test(arguments: [
    Frames.silentICMPError, Frames.silentICMPTimeExceeded, Frames.silentLaterFragment, Frames.silentToMulticast,
    Frames.silentToBroadcast, Frames.silentToNetBroadcast, Frames.silentLinkBroadcast, Frames.silentFromUnspecified,
    Frames.silentFromLoopback, Frames.silentFromMulticast, Frames.silentFromNetBroadcast, Frames.silentFromOurselves,
    Frames.silentHeaderChecksum, Frames.silentICMP6Error, Frames.silentICMP6Redirect,
    Frames.silentICMP6ErrorBehindOptions, Frames.silentLaterFragment6, Frames.silentToMulticast6,
    Frames.silentFromUnspecified6, Frames.silentFromMulticast6, Frames.silentFromLoopback6,
  ])
  func thereIsNoErrorAboutIt(_ frame: [UInt8]) {
    var bench = Bench()
    for punt in [Punt.hopLimit, .tooBig] {
      _ = bench.receive(frame, PuntInfo(punt: punt, port: 0, mtu: 1400, l3Offset: 14))
      // Nor if it had come through the tunnel, where a frame's destination says nothing.
      if frame != Frames.silentLinkBroadcast {
        _ = bench.receive(
          Array(frame.dropFirst(14)), PuntInfo(punt: punt, port: 1, mtu: 1400, fromProtected: true))
      }
    }
    #expect(bench.take() == [])
    #expect(bench.path.counters.errorsForbidden == (frame == Frames.silentLinkBroadcast ? 2 : 4))
  }

  @Test func errorsAreRateLimitedAndForbiddenOnesCostNothing() {
    var bench = Bench {
      $0.errorRate = 10
      $0.errorBurst = 3
    }
    let info = PuntInfo(punt: .hopLimit, port: 0, l3Offset: 14)
    for _ in 0..<50 { _ = bench.receive(Frames.silentICMPError, info) }
    for _ in 0..<50 { _ = bench.receive(Frames.expired, info) }
    #expect(bench.take().count == 3)
    #expect(bench.path.counters.errorsRateLimited == 47)
    _ = bench.wait(0.1)
    _ = bench.receive(Frames.expired, info)
    #expect(bench.take().count == 1)
  }
}
