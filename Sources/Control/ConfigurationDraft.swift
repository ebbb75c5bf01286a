internal import Keys
internal import Wire

/// A configuration as far as it could be read, item by item with its place, before the items are held against each
/// other. Items that could not be read are missing here, but their names are known, so that a reference to one of them
/// is not reported as a second mistake.
struct ConfigurationDraft {
  let findings: Findings
  var name: String?
  var identity: Configuration.Identity?
  var keysFile: String?
  var keyAgent: Configuration.KeyAgent?
  var connection: Configuration.Connection?
  var engine = Configuration.Defaults.engine
  var lcores = Configuration.LCores.default
  var controlSocket: String?
  var ports: [Placed<Configuration.Port>] = []
  var portNames: Set<String> = []
  /// The roles of ports that could not be read; nil for one whose role is unknown.
  var unreadRoles: [Configuration.Role?] = []
  var peers: [Placed<Configuration.PeerDraft>] = []
  var peerNames: Set<String> = []
  var routes: [Placed<Configuration.RouteDraft>] = []
  var groups: [Placed<Configuration.GroupPolicy>] = []
  var proxies: [Placed<Configuration.Proxy>] = []
  /// Whether it has any, also ones that could not be read.
  var isProxy = false
  var unmatched = Configuration.Unmatched.drop
  var clampsMSS = true
  var icmpRate = Configuration.Defaults.icmpRate
  var bfd: Placed<Configuration.BFDDraft>?
  var replayCapacity = Configuration.Defaults.replayCapacity
  var capture: Placed<Configuration.Capture>?

  /// - Parameters:
  ///   - fallbackName: the file's own name without extension, for a configuration without `name`.
  ///   - directory: where relative paths begin.
  init(_ section: Section<Configuration.Field>, fallbackName: String, directory: String) {
    findings = section.findings
    name = section.has(.name) ? section.value(.name, .name) : readName(fallbackName)
    if let inner = section.section(.identity, Configuration.Identity.Field.self) {
      identity = Configuration.Identity(inner, directory: directory)
    } else if !section.has(.identity), !section.has(.connection) {
      section.missing(
        .identity, expected: "the gateway's identity",
        fix: "add `identity: { device_id: 0000002a, member: 0, record: NAME.record }` as your controller assigned it")
    }
    readKeySource(section, directory: directory)
    engine = section.value(.engine, Kind<Configuration.Engine>.choice, default: engine)
    if let inner = section.section(.lcores, Configuration.LCores.Field.self) { lcores = Configuration.LCores(inner) }
    controlSocket = section.value(.controlSocket, .socketPath(in: directory))
    readItems(section)
    unmatched = section.value(.unmatched, Kind<Configuration.Unmatched>.choice, default: unmatched)
    clampsMSS = section.value(.mssClamp, .boolean, default: clampsMSS)
    icmpRate = section.value(.icmpRate, .integer(UInt32(0)...100_000), default: icmpRate)
    if let inner = section.section(.bfd, Configuration.BFD.Field.self) {
      bfd = Placed(path: inner.path, value: Configuration.BFDDraft(inner))
    }
    replayCapacity = section.value(.replayCapacity, .integer(ReplayShape.capacities), default: replayCapacity)
    if section.has(.replayCapacity), findings.mistakes.isEmpty, !groups.contains(where: { $0.value.replayWindow > 0 }) {
      findings.warning(
        section.path(.replayCapacity), "no group has a `replay_window`, so there is no table of this size")
    }
    if let inner = section.section(.capture, Configuration.Capture.Field.self) {
      capture = Configuration.Capture(inner, directory: directory).map { Placed(path: inner.path, value: $0) }
    }
  }

  /// A keys file or a key agent.
  private mutating func readKeySource(_ section: Section<Configuration.Field>, directory: String) {
    if section.has(.connection) {
      section.refuse([.keys, .keyAgent, .identity], because: "beside `connection`, which a pool's member names")
      connection = section.section(.connection, Configuration.Connection.Field.self).flatMap {
        Configuration.Connection($0, directory: directory)
      }
      return
    }
    guard section.has(.keyAgent) else {
      keysFile = section.required(.keys, .path).map { absolute($0, in: directory) }
      for place in identityControllers {
        findings.mistake(
          place.path, found: "`controller`", expected: "no such field without `key_agent`",
          fix: "write `device_id` and `member` as they were assigned, or configure a key agent")
      }
      return
    }
    section.refuse([.keys], because: "beside `key_agent`, which gets the keys from controllers")
    guard let inner = section.section(.keyAgent, Configuration.KeyAgent.Field.self) else { return }
    keyAgent = Configuration.KeyAgent(inner, directory: directory)
    // A controller that could not be read is no second mistake.
    guard let keyAgent, keyAgent.controllers.count == inner.count(.controllers) else { return }
    for place in identityControllers where !keyAgent.controllers.contains(where: { $0.name == place.value }) {
      findings.mistake(
        place.path, found: findings.quote(place.value),
        expected: "one of " + keyAgent.controllers.map(\.name).joined(separator: ", "),
        fix: "name the controller that is this group's identity authority")
    }
  }

  private var identityControllers: [Placed<String>] {
    guard let identity else { return [] }
    let groups = identity.groups.enumerated().map { ("identity.groups[\($0)].controller", $1.numbers) }
    return ([("identity.controller", identity.numbers)] + groups).compactMap { path, numbers in
      numbers.controller.map { Placed(path: path, value: $0) }
    }
  }

  private func readName(_ fallback: String) -> String? {
    guard Kind.isName(fallback) else {
      findings.mistake(
        "name", found: "nothing, and a file name that cannot serve as one", expected: Kind.name.expected,
        fix: "add `name: gateway-a`")
      return nil
    }
    return fallback
  }

  private mutating func readItems(_ section: Section<Configuration.Field>) {
    if !section.has(.ports) {
      section.missing(.ports, expected: "at least one clear and one protected port", fix: "add `ports:` as in config/")
    }
    for inner in section.sections(.ports, Configuration.Port.Field.self) {
      if let name = inner.peek(.name) { portNames.insert(name) }
      if let port = Configuration.Port(inner) {
        ports.append(Placed(path: inner.path, value: port))
      } else {
        unreadRoles.append(inner.peek(.role).flatMap(Configuration.Role.init))
      }
    }
    for inner in section.sections(.peers, Configuration.Peer.Field.self) {
      if let name = inner.peek(.name) { peerNames.insert(name) }
      if let peer = Configuration.PeerDraft(inner) { peers.append(Placed(path: inner.path, value: peer)) }
    }
    for inner in section.sections(.routes, Configuration.Route.Field.self) {
      if let route = Configuration.RouteDraft(inner) { routes.append(Placed(path: inner.path, value: route)) }
    }
    for inner in section.sections(.groups, Configuration.GroupPolicy.Field.self) {
      if let group = Configuration.GroupPolicy(inner) { groups.append(Placed(path: inner.path, value: group)) }
    }
    isProxy = section.count(.proxies) > 0
    for inner in section.sections(.proxies, Configuration.Proxy.Field.self) {
      if let proxy = Configuration.Proxy(inner) { proxies.append(Placed(path: inner.path, value: proxy)) }
    }
  }

  /// The configuration, when every part is there; everything that keeps parts from fitting together is reported.
  func finish() -> Configuration? {
    checkNames()
    checkPorts()
    checkAddresses()
    checkGroups()
    checkConnection()
    checkClients()
    let bfd = resolveBFD()
    checkShared(bfd?.sessions ?? [])
    checkProxies()
    let peers = peers.map { resolve($0) }
    let routes = routes.map { resolve($0) }
    let identity = connection == nil ? identity : .connection
    guard findings.mistakes.isEmpty, let name, let identity, keysFile != nil || keyAgent != nil || connection != nil
    else { return nil }
    return Configuration(
      name: name, identity: identity, keysFile: keysFile, keyAgent: keyAgent, connection: connection, engine: engine,
      lcores: lcores,
      controlSocket: controlSocket,
      ports: ports.map(\.value), peers: peers.compactMap(\.self), routes: routes.compactMap(\.self),
      groups: groups.map(\.value), proxies: proxies.map(\.value), unmatched: unmatched, clampsMSS: clampsMSS,
      icmpRate: icmpRate, bfd: bfd,
      replayCapacity: replayCapacity,
      capture: capture?.value)
  }
}

extension Kind where Value == String {
  /// A Unix socket's path must fit `sun_path`, 108 octets with the closing zero.
  static func socketPath(in directory: String) -> Kind {
    Kind(expected: "the path of a Unix socket, at most 107 octets", example: "/run/keyweave/gateway-a.sock") {
      text throws(Misread) in
      let path = absolute(try Kind.path.read(text), in: directory)
      guard path.utf8.count <= 107 else { throw Misread(text: "choose a shorter path") }
      return path
    }
  }
}
