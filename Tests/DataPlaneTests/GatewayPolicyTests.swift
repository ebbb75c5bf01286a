import DataPlane
import Keys
import Testing
import Wire

extension RingTests {
  /// What is left to check after the tag (wire format, section 3).
  @Suite struct Policy {
    private static let payload = Packet.udp(1000, 2000, Packet.pattern(40))
    private static func v4(from: String = "10.1.0.2", to: String = "10.2.0.2") -> [UInt8] {
      Packet.ipv4(from: from, to: to, payload)
    }
    private static func v6(from: String = "2001:db8:1::2", to: String = "2001:db8:2::2") -> [UInt8] {
      Packet.ipv6(from: from, to: to, payload)
    }

    /// Station 1 seals everything that its hosts say, whatever their address.
    private static func couple(_ edit: (inout GatewayPlan) -> Void = { _ in }) throws -> Couple {
      let one = try Station(1) { plan in
        guard case .seal(let sealing)? = plan.routes.first?.action else { return }
        plan.routes += Station.prefixes("0.0.0.0/0", "::/0").map { .init(prefix: $0, action: .seal(sealing)) }
      }
      return Couple(one: one, two: try Station(2, edit))
    }

    @Test func sourcesAndDestinations() throws {
      let couple = try Self.couple()
      let refused: [([UInt8], String)] = [
        (Self.v4(from: "10.9.0.2"), "policy-inner"),
        (Self.v4(from: "192.0.2.1"), "policy-inner"),
        (Self.v4(from: "10.2.0.9"), "policy-inner"),
        (Self.v6(from: "2001:db8:9::2"), "policy-inner"),
        // Back to the protected side.
        (Self.v4(to: "10.1.77.7"), "policy-inner"),
        (Self.v6(to: "2001:db8:1:5::7"), "policy-inner"),
        // Nowhere.
        (Self.v4(to: "10.77.0.1"), "no-route"),
        (Self.v6(to: "2001:db8:77::1"), "no-route"),
      ]
      for (packet, reason) in refused {
        let drops = couple.two.drops { #expect(couple.carry(packet: packet).inner.isEmpty) }
        #expect(drops == [reason: 1], "\(packet)")
      }
      RoundTrips.expectCarried(Self.v4(), couple)
      RoundTrips.expectCarried(Self.v6(), couple)
      couple.finish()
    }

    @Test func forms() throws {
      for forms in [[], [PayloadForm.ipv4], [.ipv6], [.transport, .ethernet]] as [Set<PayloadForm>] {
        let couple = try Self.couple { $0.policies[0].forms = forms }
        for (packet, form) in [(Self.v4(), PayloadForm.ipv4), (Self.v6(), .ipv6)] {
          let drops = couple.two.drops { #expect(couple.carry(packet: packet).inner.isEmpty == !forms.contains(form)) }
          #expect(drops == (forms.contains(form) ? [:] : ["policy-inner": 1]))
        }
        couple.finish()
      }
    }

    /// A group without a policy may send nothing: fail closed.
    @Test func noPolicy() throws {
      let couple = try Self.couple { $0.policies = [] }
      let drops = couple.two.drops { #expect(couple.carry(packet: Self.v4()).inner.isEmpty) }
      #expect(drops == ["policy-inner": 1])
      couple.finish()
    }

    /// The gateway's own packets, brought back to it.
    @Test func reflection() throws {
      let station = try Station(1) { $0.policies[0].speaks = Station.prefixes("0.0.0.0/0") }
      station.fromHost(Self.v4())
      let sealed = try #require(station.take())
      let back = Packet.ipv4(from: "192.0.2.2", to: "192.0.2.1", Array(sealed.dropFirst(14 + 20)))
      #expect(station.drops { station.fromFabric(back) } == ["policy-inner": 1])
      // Another member with the same ID is not the gateway itself, but its own address of a peer's prefix is still refused.
      let twin = try Station(1) {
        $0.member = 9
        $0.policies[0].speaks = Station.prefixes("0.0.0.0/0")
      }
      #expect(twin.drops { twin.fromFabric(back) } == ["policy-inner": 1], "10.2.0.2 is routed back to a peer")
      station.finish()
      twin.finish()
    }

    /// ::ffff:10.1.0.2 must not borrow the rights of 10.1.0.2.
    @Test func mappedAddresses() throws {
      let pairs = [
        ("::ffff:10.1.0.2", "2001:db8:2::2"), ("2001:db8:1::2", "::ffff:10.2.0.2"),
        ("::ffff:10.1.0.2", "::ffff:10.2.0.2"),
        ("2001:db8:1::2", "2001:db8:2::2"),
      ]
      let sealed = try Reference.seal(pairs.map { Packet.ipv6(from: $0.0, to: $0.1, Self.payload) })
      let two = try Station(2)
      for (pair, packet) in zip(pairs, sealed) {
        let isGood = !pair.0.contains("ffff") && !pair.1.contains("ffff")
        let drops = two.drops { two.fromPeer(packet) }
        #expect(drops == (isGood ? [:] : ["policy-inner": 1]) && two.takenClear().count == (isGood ? 1 : 0))
      }
      two.finish()
    }

    /// Two groups, each with its own right to speak.
    @Test func groupsDoNotSpeakForEachOther() throws {
      let groups = [Keyring.train, Keyring.other]
      func station(_ number: Int, group: Int) throws -> Station {
        try Station(number, groups: groups) { plan in
          plan.routes = plan.routes.map { route in
            guard case .seal(var sealing) = route.action else { return route }
            sealing.group = group
            return .init(prefix: route.prefix, action: .seal(sealing))
          }
          if number == 2 {
            plan.policies = [
              .init(group: 0, speaks: Station.prefixes("10.1.0.0/24"), forms: [.ipv4]),
              .init(group: 1, speaks: Station.prefixes("10.1.0.2/32", "10.1.4.0/24"), forms: [.ipv4]),
            ]
          }
        }
      }
      for (group, isAllowed) in [
        (0, ["10.1.0.2": true, "10.1.0.3": true, "10.1.4.4": false]),
        (1, ["10.1.0.2": true, "10.1.0.3": false, "10.1.4.4": true]),
      ] {
        let couple = Couple(one: try station(1, group: group), two: try station(2, group: group))
        for (source, allowed) in isAllowed {
          let drops = couple.two.drops {
            #expect(couple.carry(packet: Self.v4(from: source)).inner.count == (allowed ? 1 : 0))
          }
          #expect(drops == (allowed ? [:] : ["policy-inner": 1]), "group \(group) \(source)")
        }
        couple.finish()
      }
    }

    /// Packets without options are the port's default group's, and nobody's where it has none.
    @Test func defaultGroup() throws {
      for defaultGroup in [0, 1, nil] as [Int?] {
        let one = try Station(1, groups: [Keyring.train, Keyring.other]) { plan in
          RoundTrips.edit(&plan, RoundTrips.Shape(options: false))
        }
        let two = try Station(2, groups: [Keyring.train, Keyring.other]) { $0.ports[1].defaultGroup = defaultGroup }
        let couple = Couple(one: one, two: two)
        let drops = two.drops { #expect(couple.carry(packet: Self.v4()).inner.count == (defaultGroup == 0 ? 1 : 0)) }
        // The other group's keys do not open it; no group does not know it.
        #expect(drops == (defaultGroup == 0 ? [:] : defaultGroup == 1 ? ["authentication": 1] : ["unknown-key": 1]))
        couple.finish()
      }
    }

    @Test func offsetLimits() throws {
      for (coffset, ioffset) in [(6, 0), (7, 0), (6, 2), (6, 3)] as [(UInt8, UInt8)] {
        let one = try Station(1) { RoundTrips.edit(&$0, RoundTrips.Shape(), coffset: coffset, ioffset: ioffset) }
        var strict = Keyring.train
        strict.maxCOffset = 6
        strict.maxIOffset = 2
        let couple = Couple(one: one, two: try Station(2, groups: [strict]))
        let isAllowed = coffset <= 6 && ioffset <= 2
        let drops = couple.two.drops { #expect(couple.carry(packet: Self.v4()).inner.count == (isAllowed ? 1 : 0)) }
        #expect(drops == (isAllowed ? [:] : ["policy-offset": 1]))
        couple.finish()
      }
    }
  }
}
