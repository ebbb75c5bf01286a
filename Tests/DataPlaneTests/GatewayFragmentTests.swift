import DataPlane
import Glibc
import Testing
import Wire

extension RingTests {
  /// Outer packets that do not fit are fragmented outside, and put together again before they are opened.
  @Suite struct Fragments {
    /// Without DF, so that sealing may fragment what comes out.
    private static func v4(_ size: Int) -> [UInt8] {
      Packet.ipv4(from: "10.1.0.2", to: "10.2.0.2", df: false, Packet.udp(1, 2, Packet.pattern(size)))
    }

    private static func couple(outer: Int = 4) throws -> Couple {
      try Couple {
        RoundTrips.edit(&$0, RoundTrips.Shape(outer: outer))
        $0.ports[0].mtu = 9000
        $0.ports[1].mtu = 1500
      }
    }

    @Test(arguments: [4, 6]) func largePacketsCross(_ outer: Int) throws {
      let couple = try Self.couple(outer: outer)
      for size in [1371, 1372, 1373, 1400, 1472, 3000, 5000, 8900] {
        let packet = Self.v4(size)
        let (frames, inner) = couple.carry(packet: packet)
        #expect(
          inner.map { Array($0.dropFirst(14)) } == [RoundTrips.hopped(packet, by: 2)], "\(size): \(couple.two.drops)")
        #expect(frames.allSatisfy { $0.count <= 14 + 1500 })
        let overhead = (outer == 4 ? 28 : 48) + 56 + 16
        #expect((frames.count > 1) == (packet.count + overhead > 1500))
        for frame in frames where outer == 4 { #expect(Packet.checksum(Array(frame[14..<34])) == 0) }
        // One datagram, one identification; the next has another.
        #expect(
          Set(frames.map { outer == 4 ? Array($0[18..<20]) : Array($0[58..<62]) }).count
            == (frames.count > 1 || outer == 4 ? 1 : frames.count))
      }
      // An IPv6 packet of up to 1280 octets always crosses.
      let small = Packet.ipv6(from: "2001:db8:1::2", to: "2001:db8:2::2", Packet.udp(1, 2, Packet.pattern(1232)))
      RoundTrips.expectCarried(small, couple)
      couple.finish()
    }

    /// On a link of 1280 octets an inner IPv6 packet of 1280 is carried in two pieces: no source can make it smaller.
    @Test(arguments: [4, 6]) func smallestLink(_ outer: Int) throws {
      let couple = try Couple {
        RoundTrips.edit(&$0, RoundTrips.Shape(outer: outer))
        $0.ports[1].mtu = 1280
      }
      let packet = Packet.ipv6(from: "2001:db8:1::2", to: "2001:db8:2::2", Packet.udp(1, 2, Packet.pattern(1232)))
      let (frames, inner) = couple.carry(packet: packet)
      #expect(frames.count == 2 && inner.count == 1 && frames.allSatisfy { $0.count <= 14 + 1280 })
      let larger = Packet.ipv6(from: "2001:db8:1::2", to: "2001:db8:2::2", Packet.udp(1, 2, Packet.pattern(1233)))
      #expect(couple.one.drops { couple.one.fromHost(larger) } == ["too-big": 1])
      let answer = try #require(couple.one.takeClear())
      #expect(answer.word(at: 14 + 46) == 1280)
      couple.finish()
    }

    private static func pieces(_ couple: Couple, _ size: Int = 3800) throws -> [[UInt8]] {
      couple.one.fromHost(v4(size))
      let frames = couple.one.taken().map { Couple.readdressed($0, to: couple.two.fabric.mac) }
      try #require(frames.count >= 3)
      return frames
    }

    @Test(arguments: [4, 6]) func anyOrder(_ outer: Int) throws {
      let couple = try Self.couple(outer: outer)
      for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let frames = try Self.pieces(couple)
        #expect(frames.count == 3)
        for index in order { couple.two.put(frames[index], on: couple.two.fabric) }
        let got = couple.two.takenClear()
        #expect(got.map { Array($0.dropFirst(14)) } == [RoundTrips.hopped(Self.v4(3800), by: 2)], "\(order)")
      }
      #expect(couple.two.drops == ["reassembled": 8])
      couple.finish()
    }

    /// What is sent twice, or overlaps, is never delivered twice, and never delivered wrong.
    @Test(arguments: [4, 6]) func duplicates(_ outer: Int) throws {
      let couple = try Self.couple(outer: outer)
      for twice in 0..<3 {
        let frames = try Self.pieces(couple)
        for (index, frame) in frames.enumerated() {
          couple.two.put(frame, on: couple.two.fabric)
          if index == twice { couple.two.put(frame, on: couple.two.fabric) }
        }
        let got = couple.two.takenClear().map { Array($0.dropFirst(14)) }
        #expect(got.isEmpty || got == [RoundTrips.hopped(Self.v4(3800), by: 2)])
      }
      couple.finish()
    }

    @Test func overlaps() throws {
      let couple = try Self.couple()
      for shift in [-64, -1, 1] {
        var frames = try Self.pieces(couple)
        // The middle one moved over its neighbour: the offset is in units of 8 octets.
        let offset = frames[1].word(at: 20)
        frames[1].replaceSubrange(20..<22, with: Packet.word(offset + shift))
        frames[1].replaceSubrange(24..<26, with: [0, 0])
        frames[1].replaceSubrange(24..<26, with: Packet.word(Int(Packet.checksum(Array(frames[1][14..<34])))))
        for frame in frames { couple.two.put(frame, on: couple.two.fabric) }
        #expect(couple.two.takenClear().isEmpty)
      }
      couple.finish()
    }

    /// A fragment whose brothers never come goes after two seconds, counted.
    @Test func lostBrothers() throws {
      let couple = try Self.couple()
      for missing in 0..<3 {
        let frames = try Self.pieces(couple)
        for (index, frame) in frames.enumerated() where index != missing {
          couple.two.put(frame, on: couple.two.fabric)
        }
      }
      #expect(couple.two.drops == [:])
      usleep(2_300_000)
      couple.two.run()
      #expect(couple.two.drops == ["outer-fragment": 6])
      // The next datagram is not troubled by them; nor is the test by the addresses announced meanwhile.
      couple.one.run()
      _ = (couple.one.taken(), couple.two.taken(), couple.two.takenClear())
      RoundTrips.expectFragmentsCarried(Self.v4(3800), couple)
      couple.finish()
    }

    /// More first fragments than the table has places: the oldest or the newest are dropped, nothing is lost sight of.
    @Test func floodOfFragments() throws {
      let station = try Station(2)
      for number in 0..<2000 {
        station.fromFabric(
          Packet.ipv4(
            from: "192.0.2.1", to: "192.0.2.2", id: number, df: false, fragment: 0x2000,
            Packet.udp(1, 4500, Packet.pattern(24))))
      }
      #expect(station.drops.keys.allSatisfy { $0 == "outer-fragment" })
      station.finish()
    }

    /// Tiny, cut and contradicting fragments.
    @Test func oddFragments() throws {
      let station = try Station(2)
      for payload in [0, 1, 7, 8, 9] {
        for offset in [0, 1, 2, 0x1FFF] {
          for more in [0, 0x2000] where offset | more != 0 {
            station.fromFabric(
              Packet.ipv4(
                from: "192.0.2.1", to: "192.0.2.2", id: payload, df: false, fragment: offset | more,
                Packet.pattern(payload)))
            station.fromFabric(
              Packet.ipv6(
                from: "2001:db8:f::1", to: "2001:db8:f::2", next: 44,
                [17, 0] + Packet.word(offset << 3 | more >> 13) + [0, 0, 0, UInt8(payload)] + Packet.pattern(payload)))
            // An extension header before the Fragment header.
            station.fromFabric(
              Packet.ipv6(
                from: "2001:db8:f::1", to: "2001:db8:f::2", next: 60,
                [44, 0, 1, 4, 0, 0, 0, 0, 17, 0] + Packet.word(offset << 3 | more >> 13) + [0, 0, 0, UInt8(payload)]
                  + Packet.pattern(payload)))
          }
        }
      }
      station.finish()
    }

    /// More than a buffer holds: dropped, and no buffer lost.
    @Test func largeEchoThroughTheTunnel() throws {
      let couple = try Couple {
        $0.ports[0].mtu = $0.member == 1 ? 9000 : 1500; $0.ports[1].mtu = 1500
      }
      let ping = Packet.ipv4(
        from: "10.1.0.2", to: "10.2.0.1", protocol: 1, df: false, Packet.echo(Packet.pattern(6000)))
      for _ in 0..<3 { #expect(couple.carry(packet: ping).inner.isEmpty) }
      couple.finish()
    }
  }
}

extension RingTests.RoundTrips {
  static func expectFragmentsCarried(_ packet: [UInt8], _ couple: Couple, _ location: SourceLocation = #_sourceLocation)
  {
    let inner = couple.carry(packet: packet).inner
    #expect(inner.map { Array($0.dropFirst(14)) } == [hopped(packet, by: 2)], sourceLocation: location)
  }
}
