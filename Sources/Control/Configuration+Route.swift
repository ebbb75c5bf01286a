package import Wire

extension Configuration {
  /// What happens to the clear traffic to a prefix, or from a port whose whole frames are carried.
  package struct Route: Equatable, Sendable {
    package var match: Match
    package var action: Action

    package enum Match: Hashable, Sendable {
      case destination(IPPrefix)
      /// Everything that this ethernet-mode clear port receives.
      case port(String)
    }

    package enum Action: Equatable, Sendable {
      case protect(Protection)
      /// On the clear side: to `nextHop`, a neighbour on the network of clear port `port`.
      case forward(nextHop: IPAddress, port: String)
      /// Out of a protected port without protection; without a next hop the destination itself is on-link.
      case bypass(nextHop: IPAddress?, port: String)
      case drop
    }

    /// How traffic is sealed.
    package struct Protection: Equatable, Sendable {
      /// One is chosen for each flow or packet; empty in mode transport.
      package var peers: [String]
      package var spread: Spread
      package var group: String
      package var mode: Mode
      package var suite: Suite
      package var context: KeyContext
      /// Whether packets carry master key options; if not, `group` is the receivers' default group.
      package var sendsOptions: Bool
      /// 4-octet units; what a packet uses is lowered to the end of its transport header.
      package var coffset: UInt8
      package var ioffset: UInt8
      package var dscp: DSCP
      /// Mode transport only; in the other modes each peer has its own.
      package var carriage: Carriage?
    }

    package enum Spread: String, CaseIterable, Sendable {
      case flow, packet
    }

    package enum DSCP: Equatable, Sendable {
      case copy
      case fixed(UInt8)
    }

    package enum Field: String, SectionField {
      case to, from, action, peers, group, mode, suite, context, options, coffset, ioffset, dscp, carriage, spread
      case udpPort = "udp_port"
      case via, port
    }
  }

  enum ActionName: String, CaseIterable {
    case protect, forward, bypass, drop
  }

  /// A route as written, before ports and next hops are known.
  struct RouteDraft {
    /// Nil when it could not be read; the rest is checked nevertheless.
    var match: Route.Match?
    var action: ActionName
    var protection: Route.Protection?
    var via: IPAddress?
    var port: String?
  }
}

extension Configuration.RouteDraft {
  typealias Route = Configuration.Route

  init?(_ section: Section<Route.Field>) {
    let match = Self.match(section)
    // Who names a group wants protection; without one, only a next hop is left. Clear bypass is always said.
    let implied: Configuration.ActionName = section.has(.via) && !section.has(.group) ? .forward : .protect
    guard let action = section.has(.action) ? section.value(.action, Kind<Configuration.ActionName>.choice) : implied
    else { return nil }
    let via = section.value(.via, Kind<IPAddress>.host)
    let port = section.value(.port, .name)
    let protecting: [Route.Field] = [
      .peers, .group, .mode, .suite, .context, .options, .coffset, .ioffset, .dscp, .carriage, .udpPort,
      .spread,
    ]
    var protection: Route.Protection?
    switch action {
    case .protect:
      section.refuse([.via, .port], because: "on a route that protects: its peers have them")
      protection = Self.protection(section)
    case .forward:
      section.refuse(protecting, because: "on a route that forwards in clear")
      if !section.has(.via) { section.missing(.via, expected: "the next hop", fix: "add `via: ADDRESS`") }
    case .bypass:
      section.refuse(protecting, because: "on a route that bypasses protection")
    case .drop:
      section.refuse(protecting + [.via, .port], because: "on a route that drops")
    }
    if action != .protect, section.has(.from) {
      section.findings.mistake(
        section.path(.from), found: "`from` with `action: \(action.rawValue)`",
        expected: "`from` on a route that protects",
        fix: "match with `to`, or give the group and the peers")
    }
    guard action != .protect || protection != nil, action != .forward || via != nil else { return nil }
    self.init(match: match, action: action, protection: protection, via: via, port: port)
  }

  private static func match(_ section: Section<Route.Field>) -> Route.Match? {
    let destination = section.value(.to, .network)
    let port = section.value(.from, .name)
    switch (section.has(.to), section.has(.from)) {
    case (true, false): return destination.map { .destination($0) }
    case (false, true): return port.map { .port($0) }
    case (true, true):
      section.findings.mistake(
        section.path, found: "both `to` and `from`", expected: "one of them", fix: "make two routes of it")
    case (false, false):
      section.missing(.to, expected: "a prefix (or `from`: an ethernet port)", fix: "add `to: 10.2.0.0/16`")
    }
    return nil
  }

  private static func protection(_ section: Section<Route.Field>) -> Route.Protection? {
    let fallback: Configuration.Mode = section.has(.from) ? .ethernet : .tunnel
    guard let mode = section.has(.mode) ? section.value(.mode, Kind<Configuration.Mode>.choice) : fallback else {
      return nil
    }
    let group = section.required(.group, .name)
    let peers = section.list(.peers, .name)
    reportRepeats(peers, section.findings, "peer")
    if section.has(.from) != (mode == .ethernet), section.has(.to) || section.has(.from) {
      section.findings.mistake(
        section.path(.mode), found: "mode \(mode.rawValue) for `\(section.has(.from) ? "from" : "to")`",
        expected: section.has(.from) ? "ethernet" : "tunnel or transport",
        fix: "whole frames are matched by `from: PORT`, packets by `to: PREFIX`")
    }
    var carriage: Configuration.Carriage?
    if mode == .transport {
      section.refuse([.peers], because: "in mode transport, which keeps the packet's own destination")
      carriage = Configuration.Carriage(section, .carriage, .udpPort)
    } else {
      section.refuse([.carriage, .udpPort], because: "in mode \(mode.rawValue): each peer has its own")
      if !section.has(.peers) {
        section.missing(.peers, expected: "the peers that open it", fix: "add `peers: [NAME]`")
      }
    }
    let offsets = offsets(section)
    guard let group else { return nil }
    return Route.Protection(
      peers: peers.map(\.value),
      spread: section.value(.spread, Kind<Route.Spread>.choice, default: .flow), group: group, mode: mode,
      suite: section.value(.suite, .suite, default: .aes256),
      context: section.value(.context, .context, default: .device),
      sendsOptions: section.value(.options, .boolean, default: true),
      coffset: offsets.coffset, ioffset: offsets.ioffset, dscp: section.value(.dscp, .dscp, default: .copy),
      carriage: carriage)
  }

  private static func offsets(_ section: Section<Route.Field>) -> (coffset: UInt8, ioffset: UInt8) {
    let coffset = section.value(.coffset, .integer(UInt8(0)...255), default: 0)
    let ioffset = section.value(.ioffset, .integer(UInt8(0)...15), default: 0)
    if ioffset > coffset {
      section.findings.mistake(
        section.path(.ioffset), found: "ioffset \(ioffset) above coffset \(coffset)",
        expected: "at most coffset: what is encrypted is protected too", fix: "raise coffset or lower ioffset")
    }
    return (coffset, ioffset)
  }
}

extension Kind {
  /// A choice whose names are not the type's own.
  fileprivate static func named(_ names: [(String, Value)]) -> Kind {
    Kind(expected: "one of " + names.map(\.0).joined(separator: ", "), example: names.first?.0 ?? "") {
      text throws(Misread) in
      guard let value = names.first(where: { $0.0 == text })?.1 else { throw Misread() }
      return value
    }
  }
}

extension Kind where Value == Suite {
  static var suite: Kind { named([("aes-256-gcm", .aes256), ("aes-128-gcm", .aes128)]) }
}

extension Kind where Value == KeyContext {
  /// Connections are made by a pool's controller, not by a route.
  fileprivate static var context: Kind { named([("device", .device), ("source-address", .sourceAddress)]) }
}

extension Kind where Value == Configuration.Route.DSCP {
  fileprivate static var dscp: Kind {
    Kind(expected: "copy or a number from 0 to 63", example: "copy") { text throws(Misread) in
      text == "copy" ? .copy : .fixed(try Kind<UInt8>.integer(0...63).read(text))
    }
  }
}
