package import Wire

extension Configuration {
  /// Neighbours that watch this gateway by BFD (RFC 5880, RFC 5881), and what takes it out of their routes.
  package struct BFD: Equatable, Sendable {
    package var sessions: [Session]
    /// Clear ports without whose link this gateway is of no use to its neighbours.
    package var track: [String]
    /// Milliseconds from telling the neighbours to stopping.
    package var drain: UInt64

    package enum Field: String, SectionField {
      case sessions, interval, multiplier, track, drain
    }

    package struct Session: Equatable, Sendable {
      package var neighbour: IPAddress
      /// The protected port on whose link it is.
      package var port: String
      /// Milliseconds between packets, in both directions.
      package var interval: UInt32
      package var multiplier: UInt8

      package enum Field: String, SectionField {
        case neighbour, port, interval, multiplier
      }
    }
  }

  /// An address that a pool's members share.
  package struct SharedAddress: Equatable, Sendable {
    package var address: IPAddress
    /// The members that come first, by the address of their BFD session.
    package var after: [IPAddress]

    package enum Field: String, SectionField {
      case address, after
    }
  }

  /// The section before its ports are looked up.
  struct BFDDraft {
    struct Session {
      var neighbour: IPAddress
      var port: String?
      var interval: UInt32
      var multiplier: UInt8
    }
    var sessions: [Placed<Session>]
    /// Nothing: every clear port.
    var track: [Placed<String>]?
    var drain: UInt64
  }
}

extension Configuration.BFDDraft {
  /// All are served by one thread.
  private static let mostSessions = 128

  init(_ section: Section<Configuration.BFD.Field>) {
    let interval = section.value(.interval, .bfdInterval, default: Configuration.Defaults.bfdInterval)
    let multiplier = section.value(.multiplier, .integer(1...UInt8.max), default: Configuration.Defaults.bfdMultiplier)
    let sessions: [Placed<Session>] = section.sections(.sessions, Configuration.BFD.Session.Field.self).compactMap {
      inner in
      let port = inner.value(.port, .name)
      let ownInterval = inner.value(.interval, .bfdInterval, default: interval)
      let ownMultiplier = inner.value(.multiplier, .integer(1...UInt8.max), default: multiplier)
      guard let neighbour = inner.required(.neighbour, Kind<IPAddress>.host) else { return nil }
      return Placed(
        path: inner.path,
        value: Session(
          neighbour: neighbour, port: port, interval: UInt32(ownInterval), multiplier: ownMultiplier))
    }
    if section.count(.sessions) == 0 {
      section.missing(
        .sessions, expected: "at least one neighbour that watches this gateway",
        fix: "add `sessions: [{ neighbour: ROUTER }]`, or remove `bfd`")
    }
    if section.count(.sessions) > Self.mostSessions {
      section.findings.mistake(
        section.path(.sessions), found: "\(section.count(.sessions)) sessions",
        expected: "at most \(Self.mostSessions)",
        fix: "name fewer neighbours")
    }
    let track = section.has(.track) ? section.list(.track, .name) : nil
    reportRepeats(track ?? [], section.findings, "port")
    let drain = section.value(.drain, .milliseconds(0...600_000), default: Configuration.Defaults.bfdDrain)
    self.init(sessions: sessions, track: track, drain: drain)
    // The router may have missed what it was told.
    let slowest = sessions.map { UInt64($0.value.interval) * UInt64($0.value.multiplier) }.max() ?? 0
    if drain < slowest {
      section.findings.warning(
        section.path(.drain),
        "\(drain)ms is less than the \(slowest)ms in which a neighbour that misses the signal notices: packets may be lost "
          + "at a stop")
    }
  }
}

extension Configuration.SharedAddress {
  init?(_ section: Section<Field>) {
    let after = section.list(.after, Kind<IPAddress>.host)
    reportRepeats(after, section.findings, "member")
    guard let address = section.required(.address, Kind<IPAddress>.host), after.count == section.count(.after) else {
      return nil
    }
    self.init(address: address, after: after.map(\.value))
  }
}

extension Kind where Value == UInt64 {
  fileprivate static var bfdInterval: Kind { milliseconds(10...60_000) }
}

extension ConfigurationDraft {
  /// Sessions with their ports; everything that cannot work is reported.
  func resolveBFD() -> Configuration.BFD? {
    guard let bfd else { return nil }
    let sessions = bfd.value.sessions.compactMap(resolve)
    var first: [String: String] = [:]
    for (session, placed) in zip(sessions, bfd.value.sessions) where sessions.count == bfd.value.sessions.count {
      let name = "\(session.neighbour) on \(session.port)"
      if let earlier = first.updateValue(placed.path, forKey: name) {
        findings.mistake(
          "\(placed.path).neighbour", found: "\(name), which \(earlier) has too", expected: "each neighbour once",
          fix: "remove one of them")
      }
    }
    for name in bfd.value.track ?? [] {
      if let port = port(named: name.value, at: name.path), port.role != .clear {
        findings.mistake(
          name.path, found: "the protected port \"\(name.value)\"", expected: "a clear port",
          fix: "remove it: the session itself sees a protected port's link")
      }
    }
    let track = bfd.value.track?.map(\.value) ?? ports.map(\.value).filter { $0.role == .clear }.map(\.name)
    return Configuration.BFD(sessions: sessions, track: track, drain: bfd.value.drain)
  }

  private func resolve(_ session: Placed<Configuration.BFDDraft.Session>) -> Configuration.BFD.Session? {
    let draft = session.value
    let path = "\(session.path).neighbour"
    guard !isOwn(draft.neighbour) else {
      findings.mistake(
        path, found: "\(draft.neighbour), an address of this gateway", expected: "the address of a neighbour",
        fix: "name the router's or the other member's")
      return nil
    }
    let port = egress(
      to: draft.neighbour, at: path, role: .protected, portName: draft.port, portPath: "\(session.path).port",
      fix: "name a neighbour on one of them: BFD goes over a single hop")
    guard let port, let found = ports.first(where: { $0.value.name == port })?.value else { return nil }
    if ports.contains(where: { $0.value.pair == port }) {
      findings.mistake(
        path, found: "a neighbour on \"\(port)\", one half of a bump in the wire", expected: "a port that routes",
        fix: "let the router watch what is behind the bump instead")
    }
    if found.udpPort == BFDPacket.udpPort {
      findings.mistake(
        path, found: "a neighbour on \"\(port)\", where sealed packets arrive on UDP port \(BFDPacket.udpPort)",
        expected: "another `udp_port` there, as this one is BFD's", fix: "change the port's `udp_port`")
    }
    return Configuration.BFD.Session(
      neighbour: draft.neighbour, port: port, interval: draft.interval, multiplier: draft.multiplier)
  }

  func checkShared(_ sessions: [Configuration.BFD.Session]) {
    var places: [Placed<IPAddress>] = []
    for port in ports {
      for (index, shared) in port.value.shared.enumerated() {
        let path = "\(port.path).shared[\(index)]"
        places.append(Placed(path: "\(path).address", value: shared.address))
        if isOwnAlone(shared.address) {
          findings.mistake(
            "\(path).address", found: "\(shared.address), an address of this gateway alone",
            expected: "an address of its own for the pool", fix: "remove it from `addresses` or from `shared`")
        } else if !isOnLink(shared.address, port.value) {
          findings.mistake(
            "\(path).address", found: "\(shared.address)",
            expected: "an address on one of the port's networks (\(networks(port.value)))",
            fix: "correct it; an address that routers lead to every member belongs into `addresses`, as ADDRESS/32")
        }
        // Sessions with mistakes of their own are no second one here.
        guard sessions.count == bfd?.value.sessions.count ?? 0 else { continue }
        for (place, member) in shared.after.enumerated() where !sessions.contains(where: { $0.neighbour == member }) {
          findings.mistake(
            "\(path).after[\(place)]", found: "\(member), with which there is no BFD session",
            expected: sessions.isEmpty
              ? "a member in `bfd.sessions`" : "one of " + sessions.map { "\($0.neighbour)" }.joined(separator: ", "),
            fix: "add `{ neighbour: \(member) }` to `bfd.sessions`")
        }
      }
    }
    reportRepeats(places, findings, "shared address")
  }
}
